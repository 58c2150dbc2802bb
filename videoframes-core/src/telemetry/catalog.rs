//! All metrics of the library.

use metrics::Unit;

use super::metric::{Labels, Metric, MetricKind};
use crate::jobs::ErrorCode;

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric::new(MetricKind::Counter, name, Unit::Count, help)
}

const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Metric {
    Metric::new(MetricKind::Gauge, name, unit, help)
}

const fn histogram(name: &'static str, unit: Unit, help: &'static str) -> Metric {
    Metric::new(MetricKind::Histogram, name, unit, help)
}

/// Returns the pairs of outcome and error type whose series exist before their first event.
fn outcomes() -> Vec<(&'static str, &'static str)> {
    let failed = ErrorCode::ALL
        .iter()
        .filter(|code| !matches!(code, ErrorCode::Cancelled | ErrorCode::Superseded))
        .map(|code| ("failed", code.as_str()));
    [("completed", ""), ("released", "")]
        .into_iter()
        .chain([
            ("cancelled", ErrorCode::Cancelled.as_str()),
            ("cancelled", ErrorCode::Superseded.as_str()),
        ])
        .chain(failed)
        .collect()
}

const OUTCOMES: &[&str] = &[
    "completed",
    "failed",
    "cancelled",
    "retried",
    "deferred",
    "released",
];

/// All metrics of the library.
pub const METRICS: &[Metric] = &[
    counter(
        "videoframes_jobs_total",
        "Ended attempts, and jobs that ended without an attempt. `completed`, `failed` and `cancelled` end the job; the other outcomes lead to another attempt.",
    )
    .labels(Labels::Pairs("outcome", "error_type", outcomes)),
    histogram(
        "videoframes_job_duration_seconds",
        Unit::Seconds,
        "Duration of attempts, from the claim to the recorded outcome.",
    )
    .labels(Labels::Product(&[("outcome", OUTCOMES)])),
    histogram(
        "videoframes_job_stage_duration_seconds",
        Unit::Seconds,
        "Duration of the stages of an attempt.",
    )
    .labels(Labels::Product(&[("stage", &["prepare", "extract", "compress", "commit"])])),
    histogram(
        "videoframes_job_queue_wait_seconds",
        Unit::Seconds,
        "Time from the submission of a job, or from the sending of its event, to its first attempt.",
    ),
    gauge(
        "videoframes_jobs_in_flight",
        Unit::Count,
        "Attempts in progress in this worker.",
    ),
    gauge(
        "videoframes_jobs_unfinished",
        Unit::Count,
        "Unfinished jobs. All workers report the same jobs: use max, not sum.",
    )
    .labels(Labels::Product(&[("status", &["pending", "processing", "retry_wait"])])),
    gauge(
        "videoframes_jobs_parked",
        Unit::Count,
        "Pending jobs that wait for the limit of their tenant. All workers report the same jobs: use max, not sum.",
    ),
    gauge(
        "videoframes_results_without_row",
        Unit::Count,
        "Results, younger than the retention, that belong to lost rows or lost retries. Such results are kept. All workers report the same results: use max.",
    ),
    gauge("videoframes_slots", Unit::Count, "Maximum number of concurrent attempts in this worker."),
    counter("videoframes_frames_extracted_total", "Frames written to archives."),
    Metric::new(
        MetricKind::Counter,
        "videoframes_input_bytes_total",
        Unit::Bytes,
        "Bytes read from the sources of completed extractions.",
    ),
    Metric::new(
        MetricKind::Counter,
        "videoframes_output_bytes_total",
        Unit::Bytes,
        "Bytes of written archives.",
    ),
    counter("videoframes_renditions_total", "Renditions, by requested codec.").labels(Labels::Product(&[
        ("outcome", &["made", "failed"]),
        ("codec", &["h264", "hevc", "av1", "vp9"]),
    ])),
    counter(
        "videoframes_outputs_total",
        "Storyboards, contact sheets and previews of completed jobs.",
    )
    .labels(Labels::Product(&[("kind", &["storyboard", "sheet", "preview"])])),
    counter(
        "videoframes_results_reused_total",
        "Jobs completed with the result of an earlier job with the same source and options.",
    ),
    counter(
        "videoframes_ffmpeg_runs_total",
        "Ended processes of ffmpeg and ffprobe. `signal` is a crash; `killed` processes were killed by the worker.",
    )
    .labels(Labels::Product(&[("exit", &["success", "failure", "signal", "killed"])])),
    counter(
        "videoframes_ffmpeg_kills_total",
        "Processes of ffmpeg and ffprobe that the worker killed. The output of `unneeded` processes was no longer needed.",
    )
    .labels(Labels::Product(&[("reason", &["cancelled", "stalled", "unneeded"])])),
    histogram(
        "videoframes_store_request_seconds",
        Unit::Seconds,
        "Duration of requests to S3 until the response begins, with retries. Missing objects are `ok`.",
    )
    .labels(Labels::Product(&[
        ("operation", &["read", "write", "list", "delete"]),
        ("result", &["ok", "error"]),
    ])),
    counter(
        "videoframes_refusals_total",
        "Requests that a dependency refused for lack of permission: HTTP 401 and 403, or a failed authentication.",
    )
    .labels(Labels::Product(&[("dependency", &["store", "queue", "database"])])),
    histogram(
        "videoframes_message_receive_count",
        Unit::Count,
        "Receive count of received messages, from 1 for a first delivery.",
    ),
    gauge(
        "videoframes_last_poll_timestamp_seconds",
        Unit::Seconds,
        "Unix time of the last poll of the input queue, or of the last wait for a rate limit. Does not advance while all slots are busy.",
    ),
    counter(
        "videoframes_duplicate_deliveries_total",
        "Received messages about jobs that need no attempt.",
    )
    .labels(Labels::Product(&[("state", &["held", "not_due", "terminal"])])),
    counter(
        "videoframes_visibility_extensions_total",
        "Extensions of the visibility timeout of messages.",
    )
    .labels(Labels::Product(&[("result", &["ok", "lost", "error", "timeout"])])),
    counter("videoframes_object_events_total", "Received events about new objects.")
        .labels(Labels::Product(&[("result", &["requested", "no_rule"])])),
    counter("videoframes_dlq_messages_total", "Messages that the worker dead-lettered.")
        .labels(Labels::Product(&[("reason", &["malformed", "idempotency_conflict"])])),
    counter("videoframes_lease_renewals_total", "Renewals of leases.")
        .labels(Labels::Product(&[("result", &["ok", "lost", "error"])])),
    counter("videoframes_lease_lost_total", "Attempts discarded because their lease was lost.")
        .labels(Labels::Product(&[("reason", &["taken", "fenced"])])),
    counter(
        "videoframes_stale_commits_total",
        "Outcomes rejected by the database because another claim holds the job.",
    ),
    counter("videoframes_rescues_total", "Jobs that a sweep enqueued again, ended, or deleted after their retention.").labels(Labels::Product(&[(
        "reason",
        &["enqueued", "failed", "cancelled", "forgotten"],
    )])),
    gauge(
        "videoframes_outbox_pending",
        Unit::Count,
        "Unsent messages in the outbox. All workers report the same outbox: use max, not sum.",
    ),
    gauge(
        "videoframes_outbox_oldest_age_seconds",
        Unit::Seconds,
        "Age of the oldest unsent message. All workers report the same outbox: use max, not sum.",
    ),
    gauge(
        "videoframes_outbox_refused",
        Unit::Count,
        "Messages that a queue rejected permanently. All workers report the same outbox: use max, not sum.",
    ),
    counter("videoframes_outbox_publish_total", "Attempts to send messages of the outbox, by result.")
        .labels(Labels::Product(&[("result", &["ok", "refused", "error"])])),
    gauge(
        "videoframes_circuit_state",
        Unit::Count,
        "1 during an outage of the dependency, as seen by this worker, else 0.",
    )
    .labels(Labels::Product(&[("dependency", &["queue", "database", "outbox", "store"])])),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_end_with_their_unit() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert!(metric.name.starts_with("videoframes_"), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            let is_total = metric.name.ends_with("_total");
            assert_eq!(is_total, metric.kind == MetricKind::Counter, "{}", metric.name);
            if metric.unit == Unit::Seconds {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
            }
        }
    }
}
