//! Evidence from what remains after a run: metrics and ends of workers, rows, attempts, notifications and dead-letter messages.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::checker::growth::growth;
use crate::checker::observed::{Event, Row, Violation};
use crate::evidence::{Counters, count};
use crate::load::ledger::Entries;
use crate::workers::metrics::{Metrics, sum};
use crate::workers::worker::{Ended, UNAVAILABLE};

/// Number of outcomes of one worker that no scrape may have seen: those of its last seconds.
const UNSEEN: u64 = 12;

/// Metrics that prove faults: the name of the evidence, the metric, and a label.
const METRICS: &[(&str, &str, &str)] = &[
    ("metric stale_commits", "videoframes_stale_commits_total", ""),
    ("metric lease_lost taken", "videoframes_lease_lost_total", "taken"),
    (
        "metric lease_lost fenced",
        "videoframes_lease_lost_total",
        "fenced",
    ),
    (
        "metric duplicate_deliveries held",
        "videoframes_duplicate_deliveries_total",
        "held",
    ),
    (
        "metric duplicate_deliveries terminal",
        "videoframes_duplicate_deliveries_total",
        "terminal",
    ),
    (
        "metric ffmpeg_kills stalled",
        "videoframes_ffmpeg_kills_total",
        "stalled",
    ),
    (
        "metric ffmpeg_runs signal",
        "videoframes_ffmpeg_runs_total",
        "signal",
    ),
    (
        "metric outbox_publish error",
        "videoframes_outbox_publish_total",
        "error",
    ),
    ("metric results_reused", "videoframes_results_reused_total", ""),
    ("metric rescues enqueued", "videoframes_rescues_total", "enqueued"),
];

/// Counts the evidence in the last metrics of workers.
pub(crate) fn of_workers<'a>(workers: impl Iterator<Item = &'a Metrics>, counters: &mut Counters) {
    for metrics in workers {
        for (name, metric, label) in METRICS {
            count(counters, *name, sum(metrics, metric, &[label]) as u64);
        }
    }
}

/// Returns the violations by workers: an end without a cause, and growth.
pub(crate) fn violations_of_workers(ended: &[Ended]) -> Vec<Violation> {
    let mut found = Vec::new();
    for worker in ended {
        let is_explained = worker.doomed || worker.status.code() == Some(UNAVAILABLE);
        if !is_explained {
            let log = std::fs::read_to_string(&worker.log).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(3).collect();
            let text = format!("ended by itself with {}: {}", worker.status, last.join(" | "));
            found.push(Violation::new(&worker.name, text));
        }
        found.extend(growth(&worker.name, &worker.samples));
    }
    found
}

/// Compares the outcomes in the metrics of workers with rows. A worker that was killed has reported only what the last
/// scrape saw, so the metrics have at most as many outcomes as the rows, and at least a part of them.
pub(crate) fn violations_of_metrics(ended: &[Ended], rows: &[Row]) -> Vec<Violation> {
    let mut found = Vec::new();
    for outcome in ["completed", "failed", "cancelled"] {
        let label = format!("outcome=\"{outcome}\"");
        let of_worker = |worker: &Ended| sum(&worker.metrics, "videoframes_jobs_total", &[&label]);
        let counted = ended.iter().map(of_worker).sum::<f64>() as u64;
        let ends = rows.iter().filter(|row| row.status == outcome).count() as u64;
        // A job in generation 1 has failed or was cancelled before.
        let retries: u64 = rows.iter().map(|row| row.generation.unsigned_abs()).sum();
        let least = ends.saturating_sub(UNSEEN * ended.len() as u64);
        if counted > ends + retries || counted < least {
            let text =
                format!("{counted} jobs {outcome} by metrics, and {ends} rows (with {retries} retries)");
            found.push(Violation::new("metrics", text));
        }
    }
    found
}

/// What remains of jobs in the servers.
#[derive(Debug)]
pub(crate) struct Remains<'a> {
    pub(crate) rows: &'a [Row],
    pub(crate) attempts: &'a [Value],
    pub(crate) events: &'a [Event],
    /// Number of dead-letter messages.
    pub(crate) letters: u64,
}

/// Counts the evidence of rows, attempts, notifications and dead-letter messages.
pub(crate) fn of_jobs(entries: &Entries, remains: &Remains<'_>, counters: &mut Counters) {
    for row in remains.rows {
        count(counters, format!("job {}", row.outcome()), 1);
        let is_playlist = row.source.ends_with(".m3u8") && row.status == "failed";
        count(counters, "playlist refused", u64::from(is_playlist));
        let is_odd = entries.odd.contains(&row.source) && row.status == "completed";
        count(counters, "odd key completed", u64::from(is_odd));
    }
    for attempt in remains.attempts {
        if let Some(code) = attempt["error_code"].as_str() {
            count(counters, format!("attempt {code}"), 1);
        }
        count(counters, "attempt lost", u64::from(attempt["outcome"] == "lost"));
    }
    let ids: BTreeSet<_> = remains.events.iter().map(|event| &event.id).collect();
    let repeated = remains.events.len() - ids.len();
    count(counters, "notification repeated", repeated as u64);
    count(counters, "dead-letter message", remains.letters);
    count(counters, "message about an ended job", entries.redelivered);
    count(counters, "dead-letter message redriven", entries.letters_redriven);
}

/// Returns the number of jobs by outcome.
pub(crate) fn outcomes(rows: &[Row]) -> BTreeMap<String, u64> {
    let mut outcomes = BTreeMap::new();
    for row in rows {
        *outcomes.entry(row.outcome().to_owned()).or_default() += 1;
    }
    outcomes
}
