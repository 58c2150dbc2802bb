//! How a processor works: times, bounds and policies.

use std::time::Duration;

use super::retry::RetryPolicy;
use crate::limits::Limits;

/// How a [`super::Processor`] works. The defaults are those of a deployed worker.
#[derive(Debug, Clone)]
pub struct ProcessorConfig {
    /// Who holds the leases: a name that no other running processor has.
    pub owner: String,
    /// Jobs that are worked on at once.
    pub concurrency: usize,
    /// Times that have to fit each other.
    pub timing: Timing,
    /// When a failed attempt is repeated.
    pub retry: RetryPolicy,
    /// Workers of one job that may vanish before it fails.
    pub crashes: u32,
    /// What a job may cost at most, whatever it asks for.
    pub limits: Limits,
    /// Longest time from submission to result for jobs that set none.
    pub deadline: Duration,
    /// Whether a job takes over the archive of an earlier one that asked the same of the same source.
    pub reuse: bool,
    /// Most jobs that are begun in a minute.
    pub jobs_per_minute: Option<u32>,
    /// Most bytes of sources a second, on the average.
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

/// Times that have to fit each other: see [`Timing::check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How often a lease is renewed.
    pub heartbeat: Duration,
    /// How long a lease lasts.
    pub lease: Duration,
    /// How much longer than the lease the message stays hidden, so that it comes back to a job that can
    /// be claimed.
    pub visibility_margin: Duration,
    /// How long before the lease's end a worker that cannot renew it stops itself.
    pub fence_margin: Duration,
    /// How long a receive waits for a message.
    pub long_poll: Duration,
    /// How often the outbox is looked at when nothing says that something is in it.
    pub relay: Duration,
    /// How long a message of the outbox is the relay's that took it.
    pub relay_hold: Duration,
    /// How often jobs that nobody looks after are looked for.
    pub sweep: Duration,
    /// How long a job may be due before it is enqueued again.
    pub overdue: Duration,
    /// How long finished jobs and their results are kept.
    pub retention: Duration,
    /// How old a result that no job has must be before it is removed.
    pub orphan: Duration,
    /// How long running jobs may go on once the processor is to stop.
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
    /// How long a message stays hidden after a heartbeat.
    pub fn visibility(&self) -> Duration {
        self.lease + self.visibility_margin
    }

    /// What does not fit, in words.
    ///
    /// # Errors
    /// One sentence for each.
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
                wrong.push(format!("the {what} has to be longer than nothing"));
            }
        }
        if self.heartbeat * 2 + self.fence_margin > self.lease {
            wrong.push(format!(
                "the lease ({:?}) has to last two heartbeats ({:?}) and the fence margin ({:?})",
                self.lease, self.heartbeat, self.fence_margin
            ));
        }
        if self.visibility() > crate::queue::LONGEST_VISIBILITY {
            wrong.push("lease and visibility margin together are longer than 12 hours".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_has_to_outlast_a_missed_heartbeat() {
        assert_eq!(Timing::default().check(), Ok(()));
        let tight = Timing {
            heartbeat: Duration::from_secs(40),
            ..Timing::default()
        };
        assert!(tight.check().is_err());
    }
}
