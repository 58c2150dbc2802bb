//! A job with the history of its attempts, as JSON and as a table.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use videoframes_console::Failure;
use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::{Attempt, AttemptOutcome, JobIdPrefix, JobRepo, VideoJob};
use videoframes_core::processor::worker_of;
use videoframes_core::text::printable;

use super::failure::unavailable;
use super::{lookup, progress};
use crate::terminal::width_of;

/// A job with the latest attempts at it, oldest first. In JSON, the attempts are the field `history` of the job.
#[derive(Debug, Serialize)]
pub(crate) struct JobDetails {
    #[serde(flatten)]
    pub(crate) job: VideoJob,
    pub(crate) history: Vec<Attempt>,
}

impl JobDetails {
    /// Reads the job with this id, or the only job whose id starts with it.
    pub(crate) async fn read(repo: &dyn JobRepo, id: &JobIdPrefix) -> Result<Self, Failure> {
        let job = lookup::existing(repo, id).await?;
        let history = repo.attempts(job.id).await.map_err(|e| unavailable(&e))?;
        Ok(Self { job, history })
    }
}

/// Returns a table with one line per attempt, and the stages of the last attempt. Empty without attempts.
pub(super) fn table(history: &[Attempt], now: UnixMillis) -> String {
    let Some(last) = history.last() else {
        return String::new();
    };
    let workers = history.iter().map(worker).collect::<Vec<_>>();
    let width = workers.iter().map(|worker| width_of(worker)).max();
    let width = width.unwrap_or_default().max("worker".len());
    let mut text = format!(
        "\n{:>7}  {:<9}  {:<20}  {:>8}  {:<width$}  error\n",
        "attempt", "outcome", "started", "duration", "worker"
    );
    for ((number, attempt), worker) in (1..).zip(history).zip(&workers) {
        let error = attempt.error.as_ref();
        let error = error.map(|error| format!("{}: {}", error.code, error.message));
        let started = attempt.started_at.to_string();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{number:>7}  {:<9}  {:<20}  {:>8}  {worker}{:padding$}  {}",
            outcome(attempt),
            started
                .get(..19)
                .map_or(started.clone(), |seconds| format!("{seconds}Z")),
            duration(attempt, now).map_or_else(|| "-".to_owned(), short),
            "",
            printable(error.as_deref().unwrap_or("-")),
            padding = width - width_of(worker),
        );
    }
    if !last.stages.is_empty() {
        let stages = last.stages.iter().map(|stage| {
            let duration = Duration::from_millis(stage.duration_ms);
            format!("{} {}", stage.stage.as_str(), short(duration))
        });
        let _ = writeln!(text, "\nlast attempt  {}", stages.collect::<Vec<_>>().join(", "));
    }
    text
}

/// Returns a duration in at most six characters, exact to the millisecond below a second.
fn short(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis}ms"),
        _ => progress::human(duration),
    }
}

fn worker(attempt: &Attempt) -> String {
    printable(worker_of(&attempt.worker)).into_owned()
}

fn outcome(attempt: &Attempt) -> &'static str {
    match (attempt.outcome, attempt.ended_at) {
        (Some(outcome), _) => outcome.as_str(),
        (None, None) => "running",
        // A newer version may have further outcomes.
        (None, Some(_)) => "unknown",
    }
}

/// Returns the duration of an attempt so far; `None` for a lost attempt whose end is unknown.
fn duration(attempt: &Attempt, now: UnixMillis) -> Option<Duration> {
    let end = match (attempt.ended_at, attempt.outcome) {
        (None, Some(AttemptOutcome::Lost)) => return None,
        (ended_at, _) => ended_at.unwrap_or(now),
    };
    Some(end.since(attempt.started_at))
}
