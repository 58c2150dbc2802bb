//! Statistics of jobs.

use std::time::Duration;

use super::JobStatus;

/// Statistics of jobs at one moment, by the clock of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct JobStats {
    /// Jobs that are not terminal, by their status.
    pub unfinished: Unfinished,
    /// Longest time for which a job could have been claimed and was not; `None` if no job waits for a worker.
    ///
    /// A pending job can be claimed from its submission, retry or release, a job in
    /// [`JobStatus::RetryWait`] from its next attempt, and a job of a lost worker from the end of the lease.
    pub oldest_wait: Option<Duration>,
    /// Distinct owners of unexpired leases, sorted. Every claim has a separate owner.
    pub lease_owners: Vec<String>,
    /// Jobs that became terminal within each requested window, in the order of the request.
    pub ended: Vec<EndedJobs>,
}

/// The number of jobs that became terminal within a window before now.
///
/// Jobs that were retried or deleted since do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EndedJobs {
    /// Length of the window.
    pub window: Duration,
    /// Completed jobs.
    pub completed: u64,
    /// Failed jobs.
    pub failed: u64,
    /// Cancelled jobs.
    pub cancelled: u64,
}

impl EndedJobs {
    /// Returns a window without jobs.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            ..Self::default()
        }
    }

    /// Adds jobs with this status; jobs that are not terminal do not count.
    pub(crate) fn add(&mut self, status: JobStatus, count: u64) {
        match status {
            JobStatus::Completed => self.completed += count,
            JobStatus::Failed => self.failed += count,
            JobStatus::Cancelled => self.cancelled += count,
            JobStatus::Pending | JobStatus::Processing | JobStatus::RetryWait => {}
        }
    }
}

/// The number of jobs that are not terminal, by their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unfinished {
    /// Jobs that wait for their first attempt, or were retried by an operator.
    pub pending: u64,
    /// Jobs with an attempt in progress.
    pub processing: u64,
    /// Jobs that wait for another attempt.
    pub retry_wait: u64,
}

impl Unfinished {
    /// Returns the number of all jobs that are not terminal.
    pub fn total(&self) -> u64 {
        self.pending + self.processing + self.retry_wait
    }

    /// Adds jobs with this status; terminal jobs do not count.
    pub(crate) fn add(&mut self, status: JobStatus, count: u64) {
        match status {
            JobStatus::Pending => self.pending += count,
            JobStatus::Processing => self.processing += count,
            JobStatus::RetryWait => self.retry_wait += count,
            JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled => {}
        }
    }
}
