//! The age of the oldest message, which SQS reports to CloudWatch only.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::clock::UnixMillis;

/// An estimate of the age of the oldest visible message: SQS delivers messages roughly in the order in which they were
/// sent. Redelivered messages may be older.
#[derive(Debug, Default)]
pub(super) struct Age {
    /// Estimated time at which the oldest visible message was sent; zero if it is unknown.
    since: AtomicI64,
}

impl Age {
    /// Records that all visible messages were probably sent at `time` or later. The clock of SQS may be ahead of `now`.
    pub(super) fn nothing_sent_before(&self, time: UnixMillis, now: UnixMillis) {
        self.since.fetch_max(time.min(now).get(), Ordering::Relaxed);
    }

    /// Returns the estimated age of the oldest visible message at `now`, if it is known.
    pub(super) fn at(&self, now: UnixMillis) -> Option<Duration> {
        match self.since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(now.since(UnixMillis::new(since))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_later_messages_lower_the_age() {
        let age = Age::default();
        let now = UnixMillis::new(100_000);
        assert_eq!(age.at(now), None);
        for (sent_at, expected) in [(40_000, 60), (30_000, 60), (90_000, 10), (200_000, 0)] {
            age.nothing_sent_before(UnixMillis::new(sent_at), now);
            assert_eq!(age.at(now), Some(Duration::from_secs(expected)), "{sent_at}");
        }
    }
}
