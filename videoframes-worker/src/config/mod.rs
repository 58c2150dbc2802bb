//! Configuration from environment variables and options, read once; all errors are reported together.

mod address;
mod database;
mod http;
mod inputs;
mod logging;
mod places;
mod values;
mod variables;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use videoframes_console::{Failure, exit};
use videoframes_core::ffmpeg::{SandboxMode, UnknownSandboxMode};
use videoframes_core::jobs::Rules;
use videoframes_core::limits::Limits;
use videoframes_core::processor::{ProcessorConfig, RetryPolicy, Timing};
use videoframes_core::tenant::Tenants;

pub(crate) use self::address::{
    BucketPlace, QueueAddress, QueuePlace, StoragePlace, bucket_name, bucket_names,
};
pub(crate) use self::database::{DatabaseAuth, DatabaseSettings};
pub(crate) use self::http::{HttpAuth, HttpSettings, TlsFiles};
pub(crate) use self::inputs::{InputPlace, InputPlaces};
pub(crate) use self::logging::LogConfig;
pub(crate) use self::places::{Places, S3Settings, encryption};
pub(crate) use self::values::{Reader, count, on_off, time};
use self::values::{positive_time, size};
#[cfg(test)]
pub(crate) use self::variables::VARIABLES;
pub(crate) use self::variables::help;
use crate::args::LocationArgs;
use crate::fleet::{RevisionSource, revision};

/// The format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricsFormat {
    /// Text for scrapes at the operations port.
    Prometheus,
    /// Lines of the CloudWatch embedded metric format on stdout.
    Emf,
    /// No metrics.
    Off,
}

fn metrics_format(text: &str) -> Result<MetricsFormat, String> {
    match text {
        "prometheus" => Ok(MetricsFormat::Prometheus),
        "emf" => Ok(MetricsFormat::Emf),
        "off" => Ok(MetricsFormat::Off),
        _ => Err("prometheus, emf or off".to_owned()),
    }
}

/// Returns the default file for the times of backups, next to a SQLite database.
fn backup_metrics(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".backup.prom");
    path.into()
}

fn ops_listen(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| "IP:PORT or off".to_owned()),
    }
}

/// The configuration of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) places: Places,
    pub(crate) rules: Rules,
    /// Weights of tenants.
    pub(crate) tenants: Tenants,
    pub(crate) database: DatabaseSettings,
    pub(crate) connections: u32,
    pub(crate) migrate: bool,
    pub(crate) scratch_quota: u64,
    pub(crate) max_receives: u32,
    /// Revision of this worker, if it takes part in blue/green deployments.
    pub(crate) revision: Option<RevisionSource>,
    pub(crate) outage: Duration,
    pub(crate) ffmpeg: Option<PathBuf>,
    /// Sandbox of ffmpeg.
    pub(crate) sandbox: SandboxMode,
    /// Address of the operations port; `None` if off.
    pub(crate) ops_listen: Option<SocketAddr>,
    /// Settings of the HTTP port; `None` if off.
    pub(crate) http: Option<HttpSettings>,
    pub(crate) metrics: MetricsFormat,
    /// File with the times of the last backup and restore test, if any.
    pub(crate) backup_metrics: Option<PathBuf>,
    pub(crate) processor: ProcessorConfig,
}

impl Config {
    /// Reads options and environment variables.
    pub(crate) fn read(location: &LocationArgs) -> Result<Self, Failure> {
        Self::from_reader(location, Reader::from_environment()).map_err(|errors| {
            Failure::all(exit::USAGE, errors).hint("'vf-worker run --help' lists the environment variables")
        })
    }

    fn from_reader(location: &LocationArgs, mut read: Reader) -> Result<Self, Vec<String>> {
        let places = Places::read(location, &mut read);
        let config = Self {
            rules: read.optional("VF_RULES", rules).unwrap_or_default(),
            tenants: read.optional("VF_TENANTS", tenants).unwrap_or_default(),
            database: DatabaseSettings::read(location, &mut read),
            connections: read.get("VF_DATABASE_CONNECTIONS", count),
            migrate: read.get("VF_MIGRATE", on_off),
            scratch_quota: read.get("VF_SCRATCH_QUOTA", size),
            max_receives: read.get("VF_MAX_RECEIVES", count),
            revision: read.optional("VF_REVISION", revision),
            outage: read.get("VF_OUTAGE_TIMEOUT", time),
            ffmpeg: read.optional("VF_FFMPEG", |text| Ok(PathBuf::from(text))),
            sandbox: read.get("VF_SANDBOX", |text| {
                text.parse().map_err(|e: UnknownSandboxMode| e.to_string())
            }),
            ops_listen: match location.local.is_some() && !read.is_set("VF_OPS_LISTEN") {
                true => None,
                false => read.get("VF_OPS_LISTEN", ops_listen),
            },
            http: HttpSettings::read(location.local.is_some(), &mut read),
            metrics: read.get("VF_METRICS", metrics_format),
            backup_metrics: read
                .optional("VF_BACKUP_METRICS", |text| Ok(PathBuf::from(text)))
                .or_else(|| places.sqlite_file().map(|file| backup_metrics(&file))),
            processor: processor(&mut read, &places, location.local.is_some()),
            places,
        };
        if read.is_fine() {
            config.processor.timing.check().map(|()| config)
        } else {
            Err(read.into_errors())
        }
    }
}

fn processor(read: &mut Reader, places: &Places, is_local: bool) -> ProcessorConfig {
    let mut config = ProcessorConfig::default();
    config.concurrency = read.get("VF_CONCURRENCY", count::<usize>);
    config.timing = timing(read, places, is_local);
    config.retry = RetryPolicy::default()
        .attempts(read.get("VF_ATTEMPTS", count))
        .first(read.get("VF_RETRY_FIRST", time))
        .longest(read.get("VF_RETRY_LONGEST", time));
    config.crashes = read.get("VF_CRASHES", count);
    config.limits = limits(read);
    config.deadline = read.get("VF_DEADLINE", positive_time);
    config.reuse = read.get("VF_REUSE", on_off);
    config.jobs_per_minute = read.optional("VF_JOBS_PER_MINUTE", count);
    config.bytes_per_second = read.optional("VF_BYTES_PER_SECOND", size);
    config
}

fn timing(read: &mut Reader, places: &Places, is_local: bool) -> Timing {
    // Each receive from SQS costs money, but a long poll delays the shutdown.
    let long_poll = match places.inputs.first.queue {
        QueuePlace::Sqs(_) => Duration::from_secs(10),
        QueuePlace::Database(_) => Duration::from_secs(1),
    };
    // In one folder, a renewal costs little, and a user watches the progress.
    let heartbeat = match is_local {
        true => Duration::from_secs(2),
        false => Timing::default().heartbeat,
    };
    let grace = read.get("VF_GRACE", time);
    Timing::default()
        .heartbeat(read.optional("VF_HEARTBEAT", time).unwrap_or(heartbeat))
        .lease(read.get("VF_LEASE", time))
        .visibility_margin(read.get("VF_VISIBILITY_MARGIN", time))
        .fence_margin(read.get("VF_FENCE_MARGIN", time))
        .long_poll(read.optional("VF_LONG_POLL", time).unwrap_or(long_poll))
        .relay(read.get("VF_RELAY_INTERVAL", time))
        .relay_hold(read.get("VF_RELAY_HOLD", time))
        .sweep(read.get("VF_SWEEP_INTERVAL", time))
        .overdue(read.get("VF_OVERDUE", time))
        .retention(read.get("VF_RETENTION", positive_time))
        .orphan(read.get("VF_ORPHAN_AGE", time))
        // The rest of the grace period is for killing processes, aborting uploads and releasing jobs.
        .drain(grace.saturating_sub(Duration::from_secs(15).min(grace / 2)))
}

/// Reads the rules at startup, so that errors in a rule are reported before any work.
fn rules(path: &str) -> Result<Rules, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("a readable file: {error}"))?;
    Rules::from_json(&text).map_err(|error| format!("a valid file of rules: {error}"))
}

/// Reads the terms of tenants at startup.
fn tenants(path: &str) -> Result<Tenants, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("a readable file: {error}"))?;
    Tenants::from_json(&text).map_err(|error| format!("a valid file of tenants: {error}"))
}

fn limits(read: &mut Reader) -> Limits {
    let mut limits = Limits::default()
        .input_bytes(read.get("VF_MAX_INPUT", size))
        .output_bytes(read.get("VF_MAX_OUTPUT", size))
        .frames(read.get("VF_MAX_FRAMES", count))
        .pixels(read.get("VF_MAX_PIXELS", count))
        .duration(read.get("VF_MAX_DURATION", positive_time))
        .wall_time(read.get("VF_ATTEMPT_TIMEOUT", positive_time))
        .stall(read.get("VF_STALL_TIMEOUT", positive_time));
    limits.memory = read.optional("VF_MAX_MEMORY", size);
    limits
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use videoframes_console::options::VerboseArgs;

    use super::*;

    fn of(local: Option<&str>, values: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let location = LocationArgs {
            local: local.map(PathBuf::from),
            verbose: VerboseArgs::default(),
        };
        let values = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_reader(&location, Reader::new(values.collect()))
    }

    #[test]
    fn a_local_folder_is_sufficient() {
        let config = of(Some("data"), &[]).unwrap();
        assert_eq!(config.places.database_url, "sqlite:data/videoframes.sqlite");
        assert_eq!(
            config.places.storage,
            StoragePlace::Folder(PathBuf::from("data/objects"))
        );
        assert_eq!(config.processor.timing.drain, Duration::from_secs(15));
    }

    #[test]
    fn defaults_match_the_library() {
        let config = of(Some("data"), &[]).unwrap().processor;
        let library = ProcessorConfig::default();
        let timing = config.timing.heartbeat(library.timing.heartbeat);
        assert_eq!(timing.long_poll(library.timing.long_poll), library.timing);
        assert_eq!(
            (config.retry, config.crashes, config.limits),
            (library.retry, library.crashes, library.limits)
        );
        assert_eq!((config.reuse, config.deadline), (library.reuse, library.deadline));
    }

    #[test]
    fn all_errors_are_reported_together() {
        let values = [
            ("DATABASE_URL", "mysql://user:secret@host/db"),
            ("VF_LEASE", "soon"),
            ("VF_CONCURRENCY", "0"),
            ("VF_OPS_LISTEN", "localhost"),
        ];
        let errors = of(None, &values).unwrap_err().join("\n");
        for word in [
            "DATABASE_URL",
            "VF_STORAGE",
            "VF_LEASE",
            "VF_CONCURRENCY",
            "VF_OPS_LISTEN",
            "--local",
        ] {
            assert!(errors.contains(word), "{word}: {errors}");
        }
        assert!(!errors.contains("secret"), "{errors}");
        let tight = of(Some("data"), &[("VF_LEASE", "10s")]).unwrap_err().join("\n");
        assert!(tight.contains("two heartbeats"), "{tight}");
    }

    #[test]
    fn durations_that_must_be_positive_are_checked() {
        let names = [
            "VF_DEADLINE",
            "VF_RETENTION",
            "VF_STALL_TIMEOUT",
            "VF_ATTEMPT_TIMEOUT",
            "VF_MAX_DURATION",
        ];
        for name in names {
            for zero in ["0s", "0", "0ms"] {
                let errors = of(Some("data"), &[(name, zero)]).unwrap_err().join("\n");
                assert!(
                    errors.contains(name) && errors.contains("a time above 0"),
                    "{errors}"
                );
            }
            assert!(of(Some("data"), &[(name, "1s")]).is_ok(), "{name}");
        }
        // A delay may be 0.
        assert!(of(Some("data"), &[("VF_RETRY_FIRST", "0s")]).is_ok());
    }

    #[test]
    fn variables_of_aws_are_no_configuration() {
        let values = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ];
        assert!(of(None, &values).is_err());
    }
}
