//! Servers that do not answer for a while, under commands that wait.

use std::error::Error;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use videoframes_console::{Failure, exit};
use videoframes_core::error::chain;

/// Pauses between two attempts: at first, and at last.
const PAUSE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(10)];

/// One outage, bounded by `VF_OUTAGE_TIMEOUT`.
pub(crate) struct Outage {
    limit: Duration,
    since: Option<Instant>,
    pause: Duration,
}

impl Outage {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: None,
            pause: PAUSE[0],
        }
    }

    /// The server has answered.
    pub(crate) fn is_over(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Waits before the next attempt. Fails where the outage has lasted too long.
    pub(crate) async fn wait(&mut self, error: &dyn Error) -> Result<(), Failure> {
        let since = *self.since.get_or_insert_with(|| {
            eprintln!("{}; retrying for up to {:?}", chain(error), self.limit);
            Instant::now()
        });
        let left = self.limit.saturating_sub(since.elapsed());
        if left.is_zero() {
            return Err(Failure::because(exit::UNAVAILABLE, error)
                .hint("VF_OUTAGE_TIMEOUT sets the maximum duration of an outage"));
        }
        sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(PAUSE[1]);
        Ok(())
    }
}
