//! Statistics of jobs.

use std::time::Duration;

use serde::Serialize;

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
    /// Failed jobs that ended within the longest requested window, by their error code. The most frequent code comes
    /// first, codes of equal frequency in alphabetical order.
    pub failures: Vec<FailureCount>,
}

/// The number of failed jobs with one error code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FailureCount {
    /// Code of the error.
    pub code: String,
    /// Number of failed jobs.
    pub count: u64,
}

impl FailureCount {
    /// Returns the counts of codes that occur, in the order of [`JobStats::failures`].
    pub(crate) fn sorted(counts: impl IntoIterator<Item = (String, u64)>) -> Vec<Self> {
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        let mut counts: Vec<Self> = counts.map(|(code, count)| Self { code, count }).collect();
        counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.code.cmp(&b.code)));
        counts
    }
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
    /// Pending jobs that wait for the limit of their tenant.
    pub parked: u64,
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
