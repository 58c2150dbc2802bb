//! What can be set by the environment.

/// Everything that can be set by the environment: name, default, meaning.
pub(super) const VARIABLES: &[(&str, &str, &str)] = &[
    (
        "DATABASE_URL",
        "",
        "postgres://… or sqlite:…, where --local is not given",
    ),
    (
        "VF_STORAGE",
        "",
        "file:FOLDER or s3://BUCKET[/PREFIX], where --local is not given",
    ),
    (
        "VF_SOURCES",
        "",
        "buckets that sources may come from beside it, with commas between",
    ),
    (
        "VF_DATABASE_DIRECT_URL",
        "",
        "the same database without the pooler (PgBouncer) of DATABASE_URL, for migrations",
    ),
    (
        "VF_DATABASE_CONNECTIONS",
        "8",
        "connections to the database at once",
    ),
    ("VF_MIGRATE", "on", "bring the tables up at the start: on or off"),
    (
        "VF_INPUT_QUEUE",
        "input",
        "queue that messages come from: a name in the database, sqs:NAME or a URL",
    ),
    (
        "VF_NOTIFIER_QUEUE",
        "notifier",
        "queue that clients are told by, likewise",
    ),
    (
        "VF_DEAD_LETTER_QUEUE",
        "dead-letters",
        "queue of messages that cannot be worked on, likewise",
    ),
    (
        "VF_RULES",
        "",
        "file that says what to do with objects that arrive (docs/worker.md)",
    ),
    (
        "VF_S3_PATH_STYLE",
        "",
        "the bucket in the path: on or off [default: on where AWS_ENDPOINT_URL is set]",
    ),
    (
        "VF_S3_ENCRYPTION",
        "bucket",
        "encryption of results: bucket (as it does), s3, kms or kms:KEY",
    ),
    (
        "VF_MAX_RECEIVES",
        "50",
        "receipts after which a message is a dead letter",
    ),
    ("VF_CONCURRENCY", "1", "jobs at once"),
    ("VF_JOBS_PER_MINUTE", "", "most jobs begun in a minute"),
    (
        "VF_BYTES_PER_SECOND",
        "",
        "most bytes of videos a second, on the average",
    ),
    ("VF_HEARTBEAT", "20s", "how often a lease is renewed"),
    ("VF_LEASE", "90s", "how long a lease lasts"),
    (
        "VF_VISIBILITY_MARGIN",
        "10s",
        "how much longer a message stays hidden",
    ),
    (
        "VF_FENCE_MARGIN",
        "15s",
        "how long before the lease's end a cut-off worker stops itself",
    ),
    (
        "VF_LONG_POLL",
        "",
        "how long a receive waits for a message [default: 1s, 10s with SQS]",
    ),
    ("VF_RELAY_INTERVAL", "1s", "how often the outbox is looked at"),
    (
        "VF_RELAY_HOLD",
        "30s",
        "how long a message of the outbox is left to the worker that took it",
    ),
    (
        "VF_SWEEP_INTERVAL",
        "30s",
        "how often abandoned jobs are looked for",
    ),
    (
        "VF_OVERDUE",
        "2m",
        "how much older than received messages an abandoned job's message is",
    ),
    (
        "VF_RETENTION",
        "720h",
        "how long finished jobs and their results are kept",
    ),
    (
        "VF_ORPHAN_AGE",
        "24h",
        "how old a result without a job has to be before it is removed",
    ),
    ("VF_GRACE", "30s", "how long a stop may take"),
    ("VF_ATTEMPTS", "5", "attempts at a job"),
    (
        "VF_RETRY_FIRST",
        "10s",
        "pause after the first failed attempt; it doubles",
    ),
    ("VF_RETRY_LONGEST", "15m", "longest pause"),
    (
        "VF_CRASHES",
        "3",
        "workers of one job that may vanish before it fails",
    ),
    (
        "VF_REUSE",
        "on",
        "take over the result of an identical earlier job: on or off",
    ),
    (
        "VF_DEADLINE",
        "24h",
        "longest time from when work on a job first begins to its result",
    ),
    (
        "VF_OUTAGE_TIMEOUT",
        "5m",
        "how long 'submit --wait' and 'notifications --follow' try again in an outage",
    ),
    ("VF_ATTEMPT_TIMEOUT", "6h", "longest time of one attempt"),
    (
        "VF_STALL_TIMEOUT",
        "60s",
        "how long ffmpeg may give no sign of life",
    ),
    ("VF_MAX_INPUT", "64GiB", "largest video"),
    ("VF_MAX_OUTPUT", "64GiB", "largest archive"),
    ("VF_MAX_FRAMES", "1000000", "most pictures of a job"),
    ("VF_MAX_PIXELS", "134217728", "largest picture"),
    (
        "VF_MAX_MEMORY",
        "",
        "largest address space of one ffmpeg process [default: by the size of the frames]",
    ),
    ("VF_MAX_DURATION", "24h", "longest video"),
    (
        "VF_SCRATCH",
        "",
        "folder for temporary files [default: DIR/scratch, else the system's]",
    ),
    ("VF_SCRATCH_QUOTA", "100GiB", "most bytes in it"),
    ("VF_FFMPEG", "", "the ffmpeg to run"),
    (
        "VF_LOG",
        "info",
        "error, warn, info, debug, or a filter such as videoframes_core=debug",
    ),
    ("VF_LOG_FORMAT", "text", "text or json"),
];

/// The variables, for `--help`.
pub(crate) fn help() -> String {
    let mut text = "Environment (a flag goes before it):".to_owned();
    for (name, default, meaning) in VARIABLES {
        let default = match *default {
            "" => String::new(),
            default => format!(" [{default}]"),
        };
        text += &format!("\n  {name:<24} {meaning}{default}");
    }
    text
}
