//! Configuration of a processor: times, limits and policies.

use std::time::Duration;

use super::retry::RetryPolicy;
use crate::limits::Limits;

/// Configuration of a [`super::Processor`]. The defaults suit a deployed worker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProcessorConfig {
    /// Owner of the leases; must be unique among running processors.
    pub owner: String,
    /// Number of jobs that are processed concurrently.
    pub concurrency: usize,
    /// Times that depend on each other.
    pub timing: Timing,
    /// Policy for the retry of failed attempts.
    pub retry: RetryPolicy,
    /// Number of crashed workers at which a job fails.
    pub crashes: u32,
    /// Upper limits for every job, whatever its own limits are.
    pub limits: Limits,
    /// Maximum time from submission to result for jobs without a deadline.
    pub deadline: Duration,
    /// Whether a job reuses the archive of an earlier job with the same source and options.
    pub reuse: bool,
    /// Maximum number of jobs started per minute.
    pub jobs_per_minute: Option<u32>,
    /// Maximum average number of source bytes read per second.
    pub bytes_per_second: Option<u64>,
}

impl Default for ProcessorConfig {
    fn default() -> Self {
        Self {
            owner: format!("processor-{}", uuid::Uuid::new_v4()),
            concurrency: 1,
            timing: Timing::default(),
            retry: RetryPolicy::default(),
            crashes: 3,
            limits: Limits {
                input_bytes: 64 << 30,
                output_bytes: 64 << 30,
                frames: 1_000_000,
                duration: Duration::from_secs(24 * 3600),
                wall_time: Duration::from_secs(6 * 3600),
                ..Limits::default()
            },
            deadline: Duration::from_secs(24 * 3600),
            reuse: true,
            jobs_per_minute: None,
            bytes_per_second: None,
        }
    }
}

impl ProcessorConfig {
    /// Sets the owner of the leases, which must be unique among running processors.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }

    /// Sets the number of jobs that are processed concurrently.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Sets times that depend on each other.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Sets the policy for the retry of failed attempts.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the number of crashed workers at which a job fails.
    #[must_use]
    pub fn crashes(mut self, crashes: u32) -> Self {
        self.crashes = crashes;
        self
    }

    /// Sets upper limits for every job.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the maximum time from submission to result for jobs without a deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets whether a job reuses the archive of an earlier job with the same source and options.
    #[must_use]
    pub fn reuse(mut self, reuse: bool) -> Self {
        self.reuse = reuse;
        self
    }

    /// Sets the maximum number of jobs started per minute.
    #[must_use]
    pub fn jobs_per_minute(mut self, jobs_per_minute: u32) -> Self {
        self.jobs_per_minute = Some(jobs_per_minute);
        self
    }

    /// Sets the maximum average number of source bytes read per second.
    #[must_use]
    pub fn bytes_per_second(mut self, bytes_per_second: u64) -> Self {
        self.bytes_per_second = Some(bytes_per_second);
        self
    }
}

/// Times that depend on each other: see [`Timing::check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// Interval between renewals of a lease.
    pub heartbeat: Duration,
    /// Duration of a lease.
    pub lease: Duration,
    /// Time by which the visibility timeout exceeds the lease, so that a redelivered message finds a job that
    /// can be claimed.
    pub visibility_margin: Duration,
    /// Time before the end of an unrenewed lease at which a worker stops itself.
    pub fence_margin: Duration,
    /// Maximum time for which a receive waits for a message.
    pub long_poll: Duration,
    /// Interval between reads of the outbox without a notification of new messages.
    pub relay: Duration,
    /// Time for which a relay keeps the messages that it took from the outbox.
    pub relay_hold: Duration,
    /// Interval between searches for abandoned jobs.
    pub sweep: Duration,
    /// Time for which a job may be due before it is enqueued again.
    pub overdue: Duration,
    /// Retention of terminal jobs and of their results.
    pub retention: Duration,
    /// Minimum age of an orphaned result before it is deleted.
    pub orphan: Duration,
    /// Maximum time for running jobs after the processor was asked to stop.
    pub drain: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            heartbeat: seconds(20),
            lease: seconds(90),
            visibility_margin: seconds(10),
            fence_margin: seconds(15),
            long_poll: seconds(20),
            relay: seconds(1),
            relay_hold: seconds(30),
            sweep: seconds(30),
            overdue: seconds(120),
            retention: seconds(30 * 24 * 3600),
            orphan: seconds(24 * 3600),
            drain: seconds(15),
        }
    }
}

impl Timing {
    /// Returns the visibility timeout of a message after a heartbeat.
    #[must_use]
    pub fn visibility(&self) -> Duration {
        self.lease + self.visibility_margin
    }

    /// Checks that the times are consistent.
    ///
    /// # Errors
    /// Returns a description of each inconsistency.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        for (what, time) in [
            ("heartbeat", self.heartbeat),
            ("visibility margin", self.visibility_margin),
            ("relay interval", self.relay),
            ("relay hold", self.relay_hold),
            ("sweep interval", self.sweep),
        ] {
            if time.is_zero() {
                wrong.push(format!("the {what} must be greater than zero"));
            }
        }
        if self.heartbeat * 2 + self.fence_margin > self.lease {
            wrong.push(format!(
                "the lease ({:?}) must cover two heartbeats ({:?}) and the fence margin ({:?})",
                self.lease, self.heartbeat, self.fence_margin
            ));
        }
        if self.visibility() > crate::queue::MAX_VISIBILITY {
            wrong.push("lease and visibility margin together must not exceed 12 hours".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Sets the interval between renewals of a lease.
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Sets the duration of a lease.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets the time by which the visibility timeout exceeds the lease.
    #[must_use]
    pub fn visibility_margin(mut self, visibility_margin: Duration) -> Self {
        self.visibility_margin = visibility_margin;
        self
    }

    /// Sets the time before the end of an unrenewed lease at which a worker stops itself.
    #[must_use]
    pub fn fence_margin(mut self, fence_margin: Duration) -> Self {
        self.fence_margin = fence_margin;
        self
    }

    /// Sets the maximum time for which a receive waits for a message.
    #[must_use]
    pub fn long_poll(mut self, long_poll: Duration) -> Self {
        self.long_poll = long_poll;
        self
    }

    /// Sets the interval between reads of the outbox.
    #[must_use]
    pub fn relay(mut self, relay: Duration) -> Self {
        self.relay = relay;
        self
    }

    /// Sets the time for which a relay keeps the messages that it took from the outbox.
    #[must_use]
    pub fn relay_hold(mut self, relay_hold: Duration) -> Self {
        self.relay_hold = relay_hold;
        self
    }

    /// Sets the interval between searches for abandoned jobs.
    #[must_use]
    pub fn sweep(mut self, sweep: Duration) -> Self {
        self.sweep = sweep;
        self
    }

    /// Sets the time for which a job may be due before it is enqueued again.
    #[must_use]
    pub fn overdue(mut self, overdue: Duration) -> Self {
        self.overdue = overdue;
        self
    }

    /// Sets the retention of terminal jobs and of their results.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Sets the minimum age of an orphaned result before it is deleted.
    #[must_use]
    pub fn orphan(mut self, orphan: Duration) -> Self {
        self.orphan = orphan;
        self
    }

    /// Sets the maximum time for running jobs after the processor was asked to stop.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_must_outlast_a_missed_heartbeat() {
        assert_eq!(Timing::default().check(), Ok(()));
        let tight = Timing {
            heartbeat: Duration::from_secs(40),
            ..Timing::default()
        };
        assert!(tight.check().is_err());
    }
}
