//! The workers of a revision in numbers. Pure.

use std::time::Duration;

use serde::Serialize;
use videoframes_core::fleet::{EndedAttempts, FleetWorker, Revision, WorkerState};

/// Numbers of the workers of one revision, and of their attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Tally {
    /// Workers that can start jobs.
    pub(super) ready: u64,
    /// Workers that run and cannot start jobs.
    pub(super) not_ready: u64,
    /// Workers that ended without a report.
    pub(super) lost: u64,
    #[serde(flatten)]
    pub(super) ended: EndedAttempts,
}

impl Tally {
    /// Counts the workers for which `belongs` holds. Workers count as running within `timeout` of their last report.
    pub(super) fn of(
        workers: &[FleetWorker],
        timeout: Duration,
        belongs: impl Fn(Option<&Revision>) -> bool,
    ) -> Self {
        let mut tally = Self::default();
        for worker in workers {
            let report = &worker.report;
            if !belongs(report.revision.as_ref()) {
                continue;
            }
            tally.ended = tally.ended + report.ended;
            if worker.is_lost(timeout) {
                tally.lost += 1;
            } else if worker.is_live(timeout) {
                match report.state {
                    WorkerState::Ready => tally.ready += 1,
                    _ => tally.not_ready += 1,
                }
            }
        }
        tally
    }

    /// Returns the numbers since an earlier count. Running workers are those of now.
    pub(super) fn since(self, earlier: Self) -> Self {
        let mut since = self;
        since.lost = self.lost.saturating_sub(earlier.lost);
        let (now, then) = (self.ended, earlier.ended);
        since.ended.completed = now.completed.saturating_sub(then.completed);
        since.ended.failed = now.failed.saturating_sub(then.failed);
        since.ended.faults = now.faults.saturating_sub(then.faults);
        since
    }

    /// Returns the number of jobs that completed or failed.
    pub(super) fn jobs(self) -> u64 {
        self.ended.completed + self.ended.failed
    }

    /// Returns the share of failed jobs in per cent; zero without jobs.
    pub(super) fn failed_percent(self) -> f64 {
        match self.jobs() {
            0 => 0.0,
            jobs => self.ended.failed as f64 * 100.0 / jobs as f64,
        }
    }
}
