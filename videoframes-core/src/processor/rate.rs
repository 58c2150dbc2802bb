//! Rate limits: jobs per minute, bytes per second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::config::ProcessorConfig;

/// The rate limits of a processor.
#[derive(Debug, Default)]
pub(super) struct Rates {
    pub(super) jobs: Option<Rate>,
    pub(super) bytes: Option<Rate>,
}

impl Rates {
    pub(super) fn new(config: &ProcessorConfig) -> Self {
        Self {
            jobs: config
                .jobs_per_minute
                .map(|jobs| Rate::new(f64::from(jobs) / 60.0)),
            bytes: config.bytes_per_second.map(|bytes| Rate::new(bytes as f64)),
        }
    }
}

/// A token bucket that may be overdrawn: work takes its tokens at the start, and the next work waits until
/// the debt is paid.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: f64,
    state: Mutex<(f64, Instant)>,
}

impl Rate {
    /// Returns a bucket that gains `per_second` tokens a second and holds at most one second's worth (at
    /// least one token).
    pub(super) fn new(per_second: f64) -> Self {
        Self {
            per_second,
            state: Mutex::new((per_second.max(1.0), Instant::now())),
        }
    }

    /// Takes `amount` tokens and returns the time until the bucket is out of debt.
    pub(super) fn take(&self, amount: f64) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let gained = now.duration_since(state.1).as_secs_f64() * self.per_second;
        let level = (state.0 + gained).min(self.per_second.max(1.0)) - amount;
        *state = (level, now);
        if level >= 0.0 || self.per_second <= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-level / self.per_second).unwrap_or(Duration::MAX)
    }

    /// Returns unused tokens.
    pub(super) fn refund(&self, amount: f64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 += amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn debts_are_waited_off() {
        let rate = Rate::new(2.0);
        assert_eq!(rate.take(2.0), Duration::ZERO);
        assert_eq!(rate.take(4.0), Duration::from_secs(2));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(rate.take(1.0), Duration::from_millis(500));
        rate.refund(1.0);
        assert_eq!(rate.take(0.0), Duration::ZERO);
    }
}
