//! Environment variables of the worker.

/// All environment variables: name, default and meaning.
pub(crate) const VARIABLES: &[(&str, &str, &str)] = &[
    (
        "DATABASE_URL",
        "",
        "postgres://… or sqlite:…, unless --local is given",
    ),
    (
        "VF_STORAGE",
        "",
        "file:FOLDER or s3://BUCKET[/PREFIX], unless --local is given",
    ),
    (
        "VF_SOURCES",
        "",
        "additional buckets of source videos, separated by commas",
    ),
    (
        "VF_DATABASE_DIRECT_URL",
        "",
        "the database of DATABASE_URL without its connection pooler (PgBouncer), for migrations",
    ),
    (
        "VF_DATABASE_PASSWORD_FILE",
        "",
        "file with the password of DATABASE_URL, read again while the worker runs",
    ),
    (
        "VF_DATABASE_AUTH",
        "password",
        "password, or iam: tokens of AWS IAM as passwords (Amazon RDS)",
    ),
    (
        "VF_DATABASE_TLS",
        "",
        "verify-full, verify-ca, require or off [default: verify-full to other machines]",
    ),
    (
        "VF_DATABASE_TLS_CA_FILE",
        "",
        "PEM file of certificate authorities, in addition to those of the system",
    ),
    (
        "VF_DATABASE_CONNECTIONS",
        "8",
        "maximum number of database connections",
    ),
    ("VF_MIGRATE", "on", "apply migrations at startup: on or off"),
    (
        "VF_INPUT_QUEUE",
        "input",
        "queues of job messages, separated by commas: a name in the database, sqs:NAME or a URL; of several, QUEUE=WEIGHT[/PRIORITY]",
    ),
    (
        "VF_NOTIFIER_QUEUE",
        "notifier",
        "queue of notifications, in the same form",
    ),
    (
        "VF_DEAD_LETTER_QUEUE",
        "dead-letters",
        "queue of dead-letter messages, in the same form",
    ),
    ("VF_RULES", "", "file of rules for new objects (docs/worker.md)"),
    (
        "VF_TENANTS",
        "",
        "file of weights and limits of tenants (docs/worker.md)",
    ),
    (
        "VF_S3_PATH_STYLE",
        "",
        "path-style bucket addresses: on or off [default: on if AWS_ENDPOINT_URL is set]",
    ),
    (
        "VF_S3_ENCRYPTION",
        "bucket",
        "encryption of results: bucket (its default), s3, kms or kms:KEY",
    ),
    (
        "VF_MAX_RECEIVES",
        "50",
        "receive count after which a message is dead-lettered",
    ),
    ("VF_CONCURRENCY", "1", "maximum number of concurrent jobs"),
    (
        "VF_REVISION",
        "",
        "name of the revision of this worker ('vf-worker fleet'); 'ecs' for its ECS task definition",
    ),
    (
        "VF_JOBS_PER_MINUTE",
        "",
        "maximum number of jobs started per minute",
    ),
    (
        "VF_BYTES_PER_SECOND",
        "",
        "maximum bytes of videos read per second, on average",
    ),
    (
        "VF_HEARTBEAT",
        "",
        "interval between renewals of a lease, and between updates of the progress [default: 20s; 2s with --local]",
    ),
    ("VF_LEASE", "90s", "duration of a lease"),
    (
        "VF_VISIBILITY_MARGIN",
        "10s",
        "time by which the visibility timeout exceeds the lease",
    ),
    (
        "VF_FENCE_MARGIN",
        "15s",
        "time before the end of a lease at which a disconnected worker stops",
    ),
    (
        "VF_LONG_POLL",
        "",
        "maximum time that a receive waits for a message [default: 1s, or 10s with SQS]",
    ),
    ("VF_RELAY_INTERVAL", "1s", "interval between polls of the outbox"),
    (
        "VF_RELAY_HOLD",
        "30s",
        "time for which one worker reserves a message of the outbox",
    ),
    (
        "VF_SWEEP_INTERVAL",
        "30s",
        "interval between sweeps for abandoned jobs",
    ),
    (
        "VF_OVERDUE",
        "2m",
        "how much older than the received messages a waiting job must be to count as abandoned",
    ),
    (
        "VF_RETENTION",
        "720h",
        "retention of finished jobs and their results",
    ),
    (
        "VF_ORPHAN_AGE",
        "24h",
        "minimum age at which an orphaned result is removed",
    ),
    (
        "VF_VERSION_RETENTION",
        "720h",
        "retention of replaced and deleted versions in the bucket, enforced by its lifecycle rule ('provision')",
    ),
    ("VF_GRACE", "30s", "maximum time of a shutdown"),
    ("VF_ATTEMPTS", "5", "maximum number of attempts per job"),
    (
        "VF_RETRY_FIRST",
        "10s",
        "delay before the first retry; doubles with each retry",
    ),
    ("VF_RETRY_LONGEST", "15m", "maximum delay before a retry"),
    (
        "VF_CRASHES",
        "3",
        "number of crashed workers at which a job fails",
    ),
    (
        "VF_REUSE",
        "on",
        "reuse the result of an identical earlier job: on or off",
    ),
    (
        "VF_DEADLINE",
        "24h",
        "maximum time from the first start of a job to its completion",
    ),
    (
        "VF_OUTAGE_TIMEOUT",
        "5m",
        "maximum outage during which 'submit --wait' and 'notifications --follow' retry",
    ),
    ("VF_ATTEMPT_TIMEOUT", "6h", "maximum time of one attempt"),
    (
        "VF_STALL_TIMEOUT",
        "60s",
        "maximum time without progress of ffmpeg or a server",
    ),
    ("VF_MAX_INPUT", "64GiB", "maximum size of the input"),
    ("VF_MAX_OUTPUT", "64GiB", "maximum size of the output"),
    ("VF_MAX_FRAMES", "1000000", "maximum number of pictures"),
    (
        "VF_MAX_PIXELS",
        "134217728",
        "maximum number of pixels per stored frame",
    ),
    (
        "VF_MAX_MEMORY",
        "",
        "maximum address space of one ffmpeg process [default: by frame size]",
    ),
    ("VF_MAX_DURATION", "24h", "maximum duration of the video"),
    (
        "VF_SCRATCH",
        "",
        "folder for temporary files [default: DIR/scratch with --local, else the system's]",
    ),
    (
        "VF_SCRATCH_QUOTA",
        "100GiB",
        "maximum size of the temporary files",
    ),
    (
        "VF_FFMPEG",
        "",
        "path of ffmpeg; ffprobe is expected in the same folder",
    ),
    (
        "VF_SANDBOX",
        "auto",
        "sandbox of ffmpeg: require (fail without the complete sandbox), auto or off",
    ),
    (
        "VF_LOG",
        "info",
        "log level (error, warn, info, debug) or a filter such as videoframes_core=debug",
    ),
    (
        "VF_OPS_LISTEN",
        "127.0.0.1:9464",
        "IP:PORT of /livez, /readyz, /metrics and /version, or off; off with --local unless set",
    ),
    (
        "VF_HTTP_LISTEN",
        "",
        "IP:PORT of the HTTP API and the jobs page, or off [default: off; 127.0.0.1:9465 with --local]",
    ),
    (
        "VF_HTTP_AUTH",
        "",
        "tokens ('vf-worker token'), or open to this machine [default: tokens; open with --local]",
    ),
    (
        "VF_HTTP_HOSTS",
        "",
        "host names by which clients reach the HTTP API, separated by commas",
    ),
    (
        "VF_HTTP_TLS_CERT_FILE",
        "",
        "PEM file of the certificate of the HTTP API, with its chain",
    ),
    (
        "VF_HTTP_TLS_KEY_FILE",
        "",
        "PEM file of the key of the certificate",
    ),
    (
        "VF_HTTP_BEHIND_PROXY",
        "off",
        "on if clients reach the HTTP API only through a proxy that terminates TLS",
    ),
    (
        "VF_HTTP_RATE",
        "50",
        "maximum number of HTTP requests per second and client",
    ),
    (
        "VF_METRICS",
        "prometheus",
        "metrics: prometheus (at the operations port), emf (CloudWatch lines on stdout) or off",
    ),
    (
        "VF_BACKUP_METRICS",
        "",
        "file with the times of backups and restore tests, for /metrics [default: FILE.backup.prom of sqlite:FILE]",
    ),
    ("VF_LOG_FORMAT", "text", "log format: text or json"),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "collector of traces by OTLP over HTTP, such as http://localhost:4318 (docs/monitoring.md)",
    ),
];

/// Returns the variables as a section of `--help`.
pub(crate) fn help() -> String {
    let mut text = "Environment variables (options take precedence):".to_owned();
    for (name, default, meaning) in VARIABLES {
        let default = match *default {
            "" => String::new(),
            default => format!(" [{default}]"),
        };
        text += &format!("\n  {name:<25} {meaning}{default}");
    }
    text
}
