//! The number of jobs that an operation for many jobs changes and skips. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::{JobEvent, JobStatus, VideoJob};

/// A change of jobs by an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Cancel,
    Retry,
}

impl Change {
    fn event(self) -> JobEvent {
        match self {
            Self::Cancel => JobEvent::Cancel,
            Self::Retry => JobEvent::Retry,
        }
    }

    /// Returns the verb in the past tense.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Retry => "retried",
        }
    }

    /// Returns the statuses of the jobs that can be changed.
    pub(crate) fn statuses(self) -> Vec<JobStatus> {
        let statuses = JobStatus::ALL.into_iter();
        statuses.filter(|status| self.applies_to(*status)).collect()
    }

    fn applies_to(self, status: JobStatus) -> bool {
        status.after(self.event()).is_some()
    }

    /// Returns the reason why a job as it was read cannot be changed at `now`.
    pub(super) fn obstacle(self, job: &VideoJob, now: UnixMillis) -> Option<String> {
        if !self.applies_to(job.status) {
            return Some(job.status.to_string());
        }
        // Without an unexpired lease, no worker will end the job.
        let is_held = job.lease_expires_at.is_some_and(|expiry| expiry > now);
        let requested = self == Self::Cancel && job.cancel_requested && is_held;
        requested.then(|| "requested to stop before".to_owned())
    }
}

/// The number of changed and skipped jobs.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    changed: u64,
    /// Jobs whose worker was requested to stop.
    requested: u64,
    /// Skipped jobs by the reason.
    skipped: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts a job that can be changed.
    pub(super) fn changeable(&mut self) {
        self.changed += 1;
    }

    /// Counts a job after its change.
    pub(super) fn changed(&mut self, job: &VideoJob) {
        match job.cancel_requested && !job.status.is_terminal() {
            true => self.requested += 1,
            false => self.changed += 1,
        }
    }

    pub(super) fn skipped(&mut self, reason: impl Into<String>) {
        *self.skipped.entry(reason.into()).or_default() += 1;
    }

    /// Returns the number of changed jobs.
    pub(crate) fn total(&self) -> u64 {
        self.changed + self.requested
    }

    /// Returns the summary of a dry run.
    pub(super) fn plan(&self, change: Change) -> String {
        let verb = change.verb();
        let then = match self.total() {
            0 => String::new(),
            _ => format!(
                "; --yes changes {}",
                if self.total() == 1 { "it" } else { "them" }
            ),
        };
        format!(
            "dry run: {} would be {verb}{}{then}",
            jobs(self.total()),
            self.reasons()
        )
    }

    /// Returns the summary of an operation.
    pub(crate) fn summary(&self, change: Change) -> String {
        let requested = match self.requested {
            0 => String::new(),
            count => format!(", the workers of {} were requested to stop", jobs(count)),
        };
        format!(
            "{} {}{requested}{}",
            jobs(self.changed),
            change.verb(),
            self.reasons()
        )
    }

    fn reasons(&self) -> String {
        let total: u64 = self.skipped.values().sum();
        if total == 0 {
            return String::new();
        }
        let reasons = self
            .skipped
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"));
        format!(", {total} skipped ({})", reasons.collect::<Vec<_>>().join(", "))
    }
}

fn jobs(count: u64) -> String {
    match count {
        1 => "1 job".to_owned(),
        count => format!("{count} jobs"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::tests::job;
    use super::*;

    #[test]
    fn a_change_applies_to_some_statuses() {
        use JobStatus::{Cancelled, Failed, Pending, Processing, RetryWait};
        assert_eq!(Change::Cancel.statuses(), [Pending, Processing, RetryWait]);
        assert_eq!(Change::Retry.statuses(), [Failed, Cancelled]);
        let now = UnixMillis::new(1000);
        let mut job = job();
        assert_eq!(Change::Cancel.obstacle(&job, now), None);
        assert_eq!(Change::Retry.obstacle(&job, now).as_deref(), Some("pending"));
        (job.status, job.cancel_requested) = (Processing, true);
        job.lease_expires_at = Some(UnixMillis::new(1001));
        let obstacle = Change::Cancel.obstacle(&job, now);
        assert_eq!(obstacle.as_deref(), Some("requested to stop before"));
        job.lease_expires_at = Some(now);
        assert_eq!(Change::Cancel.obstacle(&job, now), None, "its worker is gone");
        job.status = Cancelled;
        assert_eq!(Change::Cancel.obstacle(&job, now).as_deref(), Some("cancelled"));
        assert_eq!(Change::Retry.obstacle(&job, now), None);
    }

    #[test]
    fn summaries_count_changed_and_skipped_jobs() {
        let mut tally = Tally::default();
        assert_eq!(tally.plan(Change::Retry), "dry run: 0 jobs would be retried");
        assert_eq!(tally.summary(Change::Cancel), "0 jobs cancelled");
        tally.changeable();
        assert_eq!(
            tally.plan(Change::Retry),
            "dry run: 1 job would be retried; --yes changes it"
        );
        let mut running = job();
        (running.status, running.cancel_requested) = (JobStatus::Processing, true);
        tally.changed(&running);
        tally.changed(&job());
        for reason in ["completed", "deleted meanwhile", "completed"] {
            tally.skipped(reason);
        }
        assert_eq!(
            tally.summary(Change::Cancel),
            "2 jobs cancelled, the workers of 1 job were requested to stop, \
             3 skipped (2 completed, 1 deleted meanwhile)"
        );
    }
}
