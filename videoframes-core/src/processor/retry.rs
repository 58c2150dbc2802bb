//! When a failed attempt is repeated.

use std::time::Duration;

/// Attempts and the pauses between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all.
    pub attempts: u32,
    /// The pause after the first; it doubles from attempt to attempt.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first: Duration::from_secs(10),
            longest: Duration::from_secs(15 * 60),
        }
    }
}

impl RetryPolicy {
    /// The pause after `attempt` (from 1), or `None` where that was the last one. `jitter`, from 0 to 1,
    /// spreads it over its upper half.
    pub fn pause(&self, attempt: u32, jitter: f64) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(30);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        Some(whole / 2 + (whole / 2).mul_f64(jitter.clamp(0.0, 1.0)))
    }
}

impl RetryPolicy {
    /// The pause of a job or a message that an outage keeps waiting. Grows from receipt to receipt, so that an
    /// outage does not use up a queue's patience; an attempt is never counted, so that there is no last one.
    pub(super) fn deferral(&self, receipts: u32, jitter: f64) -> Duration {
        let patient = Self {
            attempts: u32::MAX,
            ..*self
        };
        patient.pause(receipts.max(1), jitter).unwrap_or(self.longest)
    }
}

/// Grows from failure to failure, and starts anew after a success: for loops that have to go on.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    const POLICY: RetryPolicy = RetryPolicy {
        attempts: u32::MAX,
        first: Duration::from_millis(200),
        longest: Duration::from_secs(20),
    };

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure.
    pub(super) fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let pause = Self::POLICY.pause(self.failures, fastrand::f64());
        pause.unwrap_or(Self::POLICY.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_attempts() {
        let policy = RetryPolicy {
            attempts: 5,
            first: Duration::from_secs(10),
            longest: Duration::from_secs(30),
        };
        let whole: Vec<_> = (1..=5).map(|attempt| policy.pause(attempt, 1.0)).collect();
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(whole, [seconds(10), seconds(20), seconds(30), seconds(30), None]);
        assert_eq!(policy.pause(1, 0.0), seconds(5));
    }

    #[test]
    fn deferrals_grow_and_never_end() {
        let policy = RetryPolicy {
            attempts: 1,
            first: Duration::from_secs(10),
            longest: Duration::from_secs(30),
        };
        let whole: Vec<_> = (0..=5)
            .map(|receipts| policy.deferral(receipts, 1.0).as_secs())
            .collect();
        assert_eq!(whole, [10, 10, 20, 30, 30, 30]);
    }
}
