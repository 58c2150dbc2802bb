//! `vf-worker stats`: the backlog, jobs and workers.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use videoframes_console::options::JsonArgs;
use videoframes_console::{Failure, exit, to_json};
use videoframes_core::jobs::{Backlog, EndedJobs, FailureCount, JobRepo, JobRepoError, JobStats};
use videoframes_core::processor::worker_of;
use videoframes_core::queue::{Depth, QueueError};
use videoframes_core::text::printable;

use crate::config::Config;
use crate::connections::{Connections, open_existing};
use crate::jobs::{human, unavailable};
use crate::stdout::print;

/// Windows of the rates, with their names.
const WINDOWS: [(&str, Duration); 3] = [
    ("5m", Duration::from_secs(300)),
    ("1h", Duration::from_secs(3600)),
    ("24h", Duration::from_secs(86_400)),
];

pub(crate) async fn run(config: &Config, args: JsonArgs) -> Result<ExitCode, Failure> {
    let Some(connections) = open_existing(config).await? else {
        let (jobs, outbox) = (JobStats::default(), Backlog::default());
        return report(&Stats::new(&jobs, outbox, Some(Depth::default())), args);
    };
    let depth = depth(config, &connections).await;
    let stats = Stats::read(connections.repo.as_ref(), depth.as_ref().ok().copied()).await;
    // The numbers of the database are useful without the queue.
    report(&stats.map_err(|e| unavailable(&e))?, args)?;
    depth.map(|_| ExitCode::SUCCESS)
}

async fn depth(config: &Config, connections: &Connections) -> Result<Depth, Failure> {
    let input = connections.input(config).await?;
    let depth = input.depth().await;
    depth.map_err(|error: QueueError| Failure::because(exit::UNAVAILABLE, &error))
}

fn report(stats: &Stats, args: JsonArgs) -> Result<ExitCode, Failure> {
    print(&match args.json {
        true => to_json(stats)?,
        false => stats.text(),
    })
}

/// The statistics as printed.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    /// Messages of the input queues, if they answer.
    queue: Option<Messages>,
    /// Number of all these messages.
    backlog: Option<u64>,
    /// The backlog per worker, or per one worker if there is none.
    backlog_per_worker: Option<f64>,
    /// Workers with an unexpired lease.
    workers: u64,
    jobs: BTreeMap<&'static str, u64>,
    oldest_wait_seconds: Option<f64>,
    outbox: Outbox,
    ended: BTreeMap<&'static str, Ended>,
    /// Failed jobs of the longest window by error code, most frequent code first.
    failures: Vec<FailureCount>,
}

#[derive(Debug, Serialize)]
struct Messages {
    visible: u64,
    in_flight: u64,
    delayed: u64,
}

/// Messages of the outbox, which workers send.
#[derive(Debug, Serialize)]
struct Outbox {
    unsent: u64,
    oldest_age_seconds: Option<f64>,
    refused: u64,
}

/// Jobs that ended within a window.
#[derive(Debug, Serialize)]
struct Ended {
    completed: u64,
    failed: u64,
    cancelled: u64,
    completed_per_minute: f64,
    failed_per_minute: f64,
    /// Failed jobs in relation to completed and failed jobs; `None` without such jobs.
    failure_ratio: Option<f64>,
}

impl Stats {
    /// Reads the numbers of the database, and adds the number of messages if the queue answered.
    pub(crate) async fn read(repo: &dyn JobRepo, depth: Option<Depth>) -> Result<Self, JobRepoError> {
        let windows = WINDOWS.map(|(_, window)| window);
        let jobs = repo.stats(&windows).await?;
        let outbox = repo.outbox_backlog().await?;
        Ok(Self::new(&jobs, outbox, depth))
    }

    fn new(jobs: &JobStats, outbox: Backlog, depth: Option<Depth>) -> Self {
        let workers: BTreeSet<&str> = jobs.lease_owners.iter().map(|owner| worker_of(owner)).collect();
        let workers = workers.len() as u64;
        let backlog = depth.map(|depth| depth.visible + depth.in_flight + depth.delayed);
        let unfinished = &jobs.unfinished;
        let ended = |(name, window): (&'static str, Duration)| {
            let ended = jobs.ended.iter().find(|ended| ended.window == window);
            (
                name,
                Ended::new(&ended.copied().unwrap_or_else(|| EndedJobs::new(window))),
            )
        };
        Self {
            queue: depth.map(|depth| Messages {
                visible: depth.visible,
                in_flight: depth.in_flight,
                delayed: depth.delayed,
            }),
            backlog,
            backlog_per_worker: backlog.map(|backlog| backlog as f64 / workers.max(1) as f64),
            workers,
            jobs: BTreeMap::from([
                ("pending", unfinished.pending),
                ("processing", unfinished.processing),
                ("retry_wait", unfinished.retry_wait),
            ]),
            oldest_wait_seconds: jobs.oldest_wait.map(|wait| wait.as_secs_f64()),
            outbox: Outbox {
                unsent: outbox.pending,
                oldest_age_seconds: (outbox.pending > 0).then_some(outbox.oldest.as_secs_f64()),
                refused: outbox.refused,
            },
            ended: WINDOWS.into_iter().map(ended).collect(),
            failures: jobs.failures.clone(),
        }
    }

    fn text(&self) -> String {
        let queue = self.queue.as_ref().map_or_else(
            || "unknown".to_owned(),
            |queue| {
                format!(
                    "{} visible, {} in flight, {} delayed",
                    queue.visible, queue.in_flight, queue.delayed
                )
            },
        );
        let backlog = match (self.backlog, self.backlog_per_worker) {
            (Some(backlog), Some(per_worker)) => format!("{backlog}, {per_worker:.1} per worker"),
            _ => "unknown".to_owned(),
        };
        let jobs = self
            .jobs
            .iter()
            .map(|(status, count)| format!("{count} {status}"));
        let wait = self.oldest_wait_seconds.map(Duration::from_secs_f64).map(human);
        let mut text = String::new();
        for (name, value) in [
            ("queue", queue),
            ("backlog", backlog),
            ("workers", format!("{} with a job", self.workers)),
            ("jobs", jobs.collect::<Vec<_>>().join(", ")),
            ("oldest wait", wait.unwrap_or_else(|| "-".to_owned())),
            (
                "outbox",
                format!("{} unsent, {} refused", self.outbox.unsent, self.outbox.refused),
            ),
        ] {
            text += &format!("{name:<13} {value}\n");
        }
        text += &format!(
            "\n{:<13} {:>9} {:>9} {:>9} {:>13} {:>11} {:>9}\n",
            "ended within", "completed", "failed", "cancelled", "completed/min", "failed/min", "failures"
        );
        for (name, _) in WINDOWS {
            let ended = &self.ended[name];
            let ratio = ended.failure_ratio.map(|ratio| format!("{:.1}%", ratio * 100.0));
            text += &format!(
                "{name:<13} {:>9} {:>9} {:>9} {:>13.2} {:>11.2} {:>9}\n",
                ended.completed,
                ended.failed,
                ended.cancelled,
                ended.completed_per_minute,
                ended.failed_per_minute,
                ratio.unwrap_or_else(|| "-".to_owned())
            );
        }
        if !self.failures.is_empty() {
            text += &format!("\n{:<23} {:>9}\n", "failed within 24h", "jobs");
        }
        for failure in &self.failures {
            text += &format!("{:<23} {:>9}\n", printable(&failure.code), failure.count);
        }
        text
    }
}

impl Ended {
    fn new(ended: &EndedJobs) -> Self {
        let minutes = ended.window.as_secs_f64() / 60.0;
        let valid = ended.completed + ended.failed;
        Self {
            completed: ended.completed,
            failed: ended.failed,
            cancelled: ended.cancelled,
            completed_per_minute: ended.completed as f64 / minutes,
            failed_per_minute: ended.failed as f64 / minutes,
            failure_ratio: (valid > 0).then(|| ended.failed as f64 / valid as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(visible: u64, in_flight: u64) -> Depth {
        let mut depth = Depth::default();
        (depth.visible, depth.in_flight) = (visible, in_flight);
        depth
    }

    #[test]
    fn the_backlog_is_divided_by_the_workers() {
        for (owners, backlog, per_worker) in [
            (&[][..], depth(0, 0), 0.0),
            (&[], depth(7, 0), 7.0),
            (&["a/1"], depth(7, 1), 8.0),
            (&["a/1", "a/2", "b/1"], depth(6, 3), 4.5),
        ] {
            let mut jobs = JobStats::default();
            jobs.lease_owners = owners.iter().map(|owner| (*owner).to_owned()).collect();
            let stats = Stats::new(&jobs, Backlog::default(), Some(backlog));
            assert_eq!(stats.backlog_per_worker, Some(per_worker), "{owners:?}");
        }
        let unknown = Stats::new(&JobStats::default(), Backlog::default(), None);
        assert_eq!((unknown.backlog, unknown.backlog_per_worker), (None, None));
        assert!(
            unknown.text().contains("backlog       unknown"),
            "{}",
            unknown.text()
        );
    }

    #[test]
    fn rates_are_per_minute_of_the_window() {
        let mut hour = EndedJobs::new(Duration::from_secs(3600));
        (hour.completed, hour.failed, hour.cancelled) = (90, 30, 5);
        let ended = Ended::new(&hour);
        assert_eq!((ended.completed_per_minute, ended.failed_per_minute), (1.5, 0.5));
        assert_eq!(ended.failure_ratio, Some(0.25));
        let none = Ended::new(&EndedJobs::new(Duration::from_secs(60)));
        assert_eq!((none.completed_per_minute, none.failure_ratio), (0.0, None));
    }
}
