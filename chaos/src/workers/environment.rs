//! The environment of workers and of commands for operators.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::servers::cloud::{ACCESS_KEYS, BUCKET, REGION, SECRET};

/// Durations of the protocol and limits, so short that recovery fits into a run of minutes.
const SETTINGS: &[(&str, &str)] = &[
    ("VF_HEARTBEAT", "700ms"),
    ("VF_LEASE", "5s"),
    ("VF_VISIBILITY_MARGIN", "1s"),
    ("VF_FENCE_MARGIN", "1s"),
    ("VF_LONG_POLL", "1s"),
    ("VF_RELAY_INTERVAL", "200ms"),
    ("VF_RELAY_HOLD", "3s"),
    ("VF_SWEEP_INTERVAL", "1s"),
    ("VF_OVERDUE", "5s"),
    ("VF_ORPHAN_AGE", "8s"),
    ("VF_RETRY_FIRST", "200ms"),
    ("VF_RETRY_LONGEST", "2s"),
    ("VF_GRACE", "8s"),
    ("VF_STALL_TIMEOUT", "8s"),
    // Uploads of dead workers are aborted at this age.
    ("VF_ATTEMPT_TIMEOUT", "90s"),
    // Faults of the system never fail a job of the load: the checker requires that valid videos complete.
    ("VF_ATTEMPTS", "100"),
    ("VF_CRASHES", "50"),
    ("VF_CONCURRENCY", "2"),
    ("VF_MAX_PIXELS", "4000000"),
    ("VF_MAX_FRAMES", "400"),
    ("VF_MAX_DURATION", "30m"),
    ("VF_SCRATCH_QUOTA", "1GiB"),
    ("VF_HTTP_LISTEN", "off"),
    ("VF_LOG", "info"),
    ("VF_LOG_FORMAT", "json"),
    ("VF_INPUT_QUEUE", "sqs:vf-input"),
    ("VF_NOTIFIER_QUEUE", "sqs:vf-notifier"),
    ("VF_DEAD_LETTER_QUEUE", "sqs:vf-dead-letters"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("AWS_REGION", REGION),
    // A backtrace of a build with debug information takes seconds.
    ("RUST_BACKTRACE", "0"),
];

/// Tenant with a limit, and the name of its sources.
pub(crate) const LIMITED: &str = "event-limited";
/// Maximum number of concurrent jobs of the tenant.
pub(crate) const LIMIT: u64 = 2;

/// The addresses of the servers, direct or through links.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) database: String,
    pub(crate) store: String,
    pub(crate) queue: String,
}

/// Files in the folder of a run.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) root: PathBuf,
}

impl Files {
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    fn rules(&self) -> PathBuf {
        self.root.join("rules.json")
    }

    fn tenants(&self) -> PathBuf {
        self.root.join("tenants.json")
    }

    fn profile(&self) -> PathBuf {
        self.root.join("aws.ini")
    }

    fn key(&self) -> PathBuf {
        self.root.join("access-key")
    }

    /// Writes the files that workers read, with the limit of a tenant.
    pub(crate) fn write(&self, limit: Option<u64>) -> std::io::Result<()> {
        std::fs::create_dir_all(self.logs())?;
        let rules = json!([
            {"prefix": format!("in/{LIMITED}-"), "request": {"selection": {"all": true}, "tenant": LIMITED}},
            {"prefix": "in/event-", "request": {"selection": {"count": 4}}},
        ]);
        std::fs::write(self.rules(), rules.to_string())?;
        let terms = limit.map_or_else(|| json!({}), |limit| json!({"max_jobs": limit}));
        std::fs::write(self.tenants(), json!({"tenants": {LIMITED: terms}}).to_string())?;
        let program = self.root.join("credentials");
        // Short-lived credentials are read repeatedly, so that a rotation reaches running workers.
        let script = format!(
            "#!/bin/sh\nread -r key <'{}'\nuntil=$(date -u -d '+14 seconds' +%Y-%m-%dT%H:%M:%SZ)\n\
             printf '{{\"Version\": 1, \"AccessKeyId\": \"%s\", \"SecretAccessKey\": \"{SECRET}\", \
             \"Expiration\": \"%s\"}}' \"$key\" \"$until\"\n",
            self.key().display()
        );
        std::fs::write(&program, script)?;
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, executable)?;
        let profile = format!("[default]\ncredential_process = {}\n", program.display());
        std::fs::write(self.profile(), profile)?;
        self.rotate(ACCESS_KEYS[0])
    }

    /// Replaces the access key that workers read.
    pub(crate) fn rotate(&self, key: &str) -> std::io::Result<()> {
        let new = self.root.join("access-key.new");
        std::fs::write(&new, format!("{key}\n"))?;
        std::fs::rename(new, self.key())
    }

    /// Returns the access key that workers read.
    pub(crate) fn access_key(&self) -> std::io::Result<String> {
        Ok(std::fs::read_to_string(self.key())?.trim().to_owned())
    }

    /// Returns the environment of a worker.
    pub(crate) fn environment(&self, addresses: &Addresses) -> Vec<(String, String)> {
        let path = |path: &Path| path.display().to_string();
        let own = [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("HOME", path(&self.root)),
            // Decoders inherit only this variable.
            ("TMPDIR", path(&self.root)),
            ("DATABASE_URL", addresses.database.clone()),
            ("AWS_ENDPOINT_URL_S3", addresses.store.clone()),
            ("AWS_ENDPOINT_URL_SQS", addresses.queue.clone()),
            ("AWS_CONFIG_FILE", path(&self.profile())),
            ("VF_STORAGE", format!("s3://{BUCKET}")),
            ("VF_RULES", path(&self.rules())),
            ("VF_TENANTS", path(&self.tenants())),
            ("VF_SCRATCH", path(&self.scratch())),
        ];
        let settings = SETTINGS
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        settings.chain(own).collect()
    }
}
