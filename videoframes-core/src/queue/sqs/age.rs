//! The age of the oldest message, which SQS reports to CloudWatch only.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::clock::UnixMillis;

/// An upper bound for the age of the oldest visible message: SQS delivers messages roughly in the order in which they
/// were sent.
#[derive(Debug, Default)]
pub(super) struct Age {
    /// Time before which no visible message was sent; zero if it is unknown.
    since: AtomicI64,
}

impl Age {
    /// Records that all visible messages were sent at `time` or later.
    pub(super) fn nothing_sent_before(&self, time: UnixMillis) {
        self.since.fetch_max(time.get(), Ordering::Relaxed);
    }

    /// Returns the maximum age of a visible message at `now`, if it is known.
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
            age.nothing_sent_before(UnixMillis::new(sent_at));
            assert_eq!(age.at(now), Some(Duration::from_secs(expected)), "{sent_at}");
        }
    }
}
