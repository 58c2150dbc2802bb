//! Metrics of the worker, and the recorder for all metrics.

use std::path::Path;

use metrics::{Unit, counter, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use videoframes_core::ffmpeg::{SandboxMode, SandboxStatus};
use videoframes_core::telemetry::{self, Labels, Metric, MetricKind};

use super::health::{Facts, Health};
use crate::backup_times::{self, Operation};

/// Durations of jobs and stages in seconds: from a short clip to a feature film.
const DURATIONS: &[f64] = &[
    0.05, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0,
];
/// Waits in the queue in seconds.
const WAITS: &[f64] = &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 10_800.0, 21_600.0];
/// Durations of requests in seconds. Few, since they have many labels.
const REQUESTS: &[f64] = &[0.025, 0.1, 0.5, 2.5, 10.0];
/// Receive counts: the default maximum is 50.
const RECEIVES: &[f64] = &[1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0];

/// Reasons of `videoframes_ready`, without their details.
const REASONS: &[&str] = &[
    "starting",
    "stopping",
    "restored",
    "restore_mark",
    "paused",
    "circuit:queue",
    "circuit:database",
    "circuit:store",
    "scratch",
    "ffmpeg",
    "loop",
];
/// Queues of a worker.
pub(super) const QUEUES: &[&str] = &["input", "notifier", "dead_letter"];
/// Loops of a worker.
const LOOPS: &[&str] = &["slot", "heartbeat", "relay", "sweep", "fleet", "runtime"];
/// Roles of the revision of a worker.
const ROLES: &[&str] = &["active", "canary", "standby"];

const fn gauge_of(name: &'static str, unit: Unit, help: &'static str) -> Metric {
    Metric::new(MetricKind::Gauge, name, unit, help)
}

/// Metrics that the worker adds to those of the library.
const METRICS: &[Metric] = &[
    gauge_of("videoframes_build_info", Unit::Count, "Always 1; the labels name the running versions.")
        .labels(Labels::Open(&["version", "ffmpeg"])),
    gauge_of(
        "videoframes_sandbox",
        Unit::Count,
        "1 if this part of the sandbox restricts ffmpeg, else 0: Landlock its access to files, seccomp its system calls.",
    )
    .labels(Labels::Product(&[("part", &["landlock", "seccomp"])])),
    gauge_of(
        "videoframes_ready",
        Unit::Count,
        "1 while this reason prevents the worker from starting jobs, else 0. The worker is ready if all series are 0.",
    )
    .labels(Labels::Product(&[("reason", REASONS)])),
    gauge_of(
        "videoframes_fleet_role",
        Unit::Count,
        "1 for the role of the revision of the worker, else 0. A worker without a revision is active.",
    )
    .labels(Labels::Product(&[("role", ROLES)])),
    gauge_of(
        "videoframes_loop_age_seconds",
        Unit::Seconds,
        "Maximum time since the last progress of the loops with this name; 0 if no such loop runs.",
    )
    .labels(Labels::Product(&[("loop", LOOPS)])),
    gauge_of(
        "videoframes_queue_messages",
        Unit::Count,
        "Messages in a queue, or in all input queues. All workers report the same queues: use max, not sum.",
    )
    .labels(Labels::Product(&[
        ("queue", QUEUES),
        ("state", &["visible", "in_flight", "delayed"]),
    ])),
    gauge_of(
        "videoframes_input_queue_messages",
        Unit::Count,
        "Messages in each input queue. All workers report the same queues: use max, not sum.",
    )
    .labels(Labels::Open(&["queue", "state"])),
    gauge_of(
        "videoframes_queue_oldest_age_seconds",
        Unit::Seconds,
        "Time since the oldest visible message of a queue was sent, from the first measurement on. For SQS an estimate, which is higher on busy workers: use min.",
    )
    .labels(Labels::Open(&["queue"])),
    gauge_of(
        "videoframes_schema_version",
        Unit::Count,
        "Migrations that were applied to the database when the worker started.",
    ),
    gauge_of(
        "videoframes_database_pool_connections",
        Unit::Count,
        "Database connections of this worker.",
    )
    .labels(Labels::Product(&[("state", &["idle", "used"])])),
    gauge_of(
        "videoframes_scratch_free_bytes",
        Unit::Bytes,
        "Free space for temporary files: the minimum of the remaining quota and the free space of the file system.",
    ),
    gauge_of("videoframes_scratch_quota_bytes", Unit::Bytes, "Maximum size of the temporary files."),
    gauge_of(
        "videoframes_children_resident_memory_bytes",
        Unit::Bytes,
        "Resident memory of the running ffmpeg processes.",
    ),
    Metric::new(
        MetricKind::Counter,
        "videoframes_children_cpu_seconds_total",
        Unit::Seconds,
        "CPU time of all running and ended ffmpeg processes.",
    ),
    gauge_of(
        "videoframes_memory_limit_bytes",
        Unit::Bytes,
        "Memory limit of the worker's cgroup; 0 without a limit.",
    ),
    of_last_success(Operation::Backup),
    of_last_success(Operation::RestoreTest),
];

const fn of_last_success(operation: Operation) -> Metric {
    gauge_of(operation.metric(), Unit::Seconds, operation.help())
}

/// Installs the recorder for Prometheus and creates all series.
///
/// # Errors
/// Fails if the process already has a recorder.
pub(crate) fn install(ffmpeg: &str, sandbox: &SandboxStatus) -> Result<PrometheusHandle, BuildError> {
    let is = |name: &str| Matcher::Full(name.to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), DURATIONS)?
        .set_buckets_for_metric(is("videoframes_job_queue_wait_seconds"), WAITS)?
        .set_buckets_for_metric(is("videoframes_message_receive_count"), RECEIVES)?
        .set_buckets_for_metric(is("videoframes_store_request_seconds"), REQUESTS)?
        .install_recorder()?;
    telemetry::register(telemetry::METRICS);
    telemetry::register(METRICS);
    Collector::default().describe();
    gauge!(
        "videoframes_build_info",
        "version" => crate::service::VERSION,
        "ffmpeg" => ffmpeg.to_owned()
    )
    .set(1.0);
    let is_used = sandbox.mode != SandboxMode::Off;
    for (part, is_available) in [
        ("landlock", sandbox.landlock.is_ok()),
        ("seccomp", sandbox.seccomp.is_ok()),
    ] {
        gauge!("videoframes_sandbox", "part" => part).set(f64::from(u8::from(is_used && is_available)));
    }
    // The counter exists before the first ffmpeg process.
    counter!("videoframes_children_cpu_seconds_total").absolute(0);
    Ok(handle)
}

/// Records the gauges of health.
pub(super) fn record(facts: &Facts, readiness: &Health) {
    for reason in REASONS {
        let holds = readiness
            .reasons
            .iter()
            .any(|text| text == reason || (*reason == "loop" && text.starts_with("loop:")));
        gauge!("videoframes_ready", "reason" => *reason).set(f64::from(u8::from(holds)));
    }
    for role in ROLES {
        let holds = facts.processor.role.as_str() == *role;
        gauge!("videoframes_fleet_role", "role" => *role).set(f64::from(u8::from(holds)));
    }
    for name in LOOPS {
        let ages = facts.processor.loops.iter().filter(|pulse| pulse.name == *name);
        let oldest = ages.map(|pulse| pulse.age.as_secs_f64()).fold(0.0, f64::max);
        gauge!("videoframes_loop_age_seconds", "loop" => *name).set(oldest);
    }
    gauge!("videoframes_slots").set(facts.processor.slots as f64);
}

/// Records the times of the last backup and restore test. A file that becomes unreadable leaves the last times.
pub(super) fn record_backups(file: Option<&Path>) {
    for operation in Operation::ALL {
        if let Some(time) = file.and_then(|file| backup_times::last(file, operation)) {
            gauge!(operation.metric()).set(time);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// Returns `docs/metrics.md`.
    fn catalog() -> String {
        let mut text = "# Metrics\n\n\
            `vf-worker` exports these metrics at `/metrics` of its operations port, and `process_*` metrics of its \
            process. Histograms have the suffixes `_bucket`, `_sum` and `_count`.\n\n\
            | Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n"
            .to_owned();
        for metric in telemetry::METRICS.iter().chain(METRICS) {
            let names: Vec<_> = metric
                .labels
                .names()
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                metric.name,
                metric.kind.as_str(),
                names.join(", "),
                metric.help
            );
        }
        let of_process = [
            ("process_cpu_seconds_total", "counter", "CPU time."),
            ("process_open_fds", "gauge", "Open file descriptors."),
            (
                "process_max_fds",
                "gauge",
                "Maximum number of open file descriptors.",
            ),
            ("process_virtual_memory_bytes", "gauge", "Virtual memory."),
            (
                "process_virtual_memory_max_bytes",
                "gauge",
                "Maximum amount of virtual memory.",
            ),
            (
                "process_resident_memory_bytes",
                "gauge",
                "Resident memory, without the memory of ffmpeg.",
            ),
            ("process_start_time_seconds", "gauge", "Unix time of the start."),
            ("process_threads", "gauge", "Threads."),
        ];
        for (name, kind, help) in of_process {
            let _ = writeln!(text, "| `{name}` | {kind} |  | {help} |");
        }
        text
    }

    /// With `UPDATE_DOCS` set, writes the page.
    #[test]
    fn docs_list_all_metrics() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&page, catalog()).unwrap();
        }
        assert!(
            std::fs::read_to_string(&page).unwrap() == catalog(),
            "docs/metrics.md is stale: run this test with UPDATE_DOCS=1"
        );
    }
}
