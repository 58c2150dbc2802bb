//! The retry policy for failed attempts.

use std::time::Duration;

/// Number of attempts, and the pauses between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Maximum number of attempts.
    pub attempts: u32,
    /// Pause after the first attempt; doubles with every attempt.
    pub first: Duration,
    /// Maximum pause.
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
    /// Returns the pause after `attempt` (from 1), or `None` after the last attempt. `jitter`, from 0 to 1,
    /// spreads the pause over its upper half.
    #[must_use]
    pub fn pause(&self, attempt: u32, jitter: f64) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(30);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        Some(whole / 2 + (whole / 2).mul_f64(jitter.clamp(0.0, 1.0)))
    }

    /// Sets the maximum number of attempts.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the pause after the first attempt.
    #[must_use]
    pub fn first(mut self, first: Duration) -> Self {
        self.first = first;
        self
    }

    /// Sets the maximum pause.
    #[must_use]
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }
}

impl RetryPolicy {
    /// Returns the pause of a job or message during an outage.
    ///
    /// The pause grows with every receipt, so that an outage does not exhaust the maximum receive count of a
    /// queue. Attempts are not counted, so there is no last one.
    pub(super) fn deferral(&self, receipts: u32, jitter: f64) -> Duration {
        let unlimited = Self {
            attempts: u32::MAX,
            ..*self
        };
        unlimited.pause(receipts.max(1), jitter).unwrap_or(self.longest)
    }
}

/// A pause that grows with every failure and resets on success, for loops that run forever.
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

    /// Returns the pause after another failure.
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
