//! Retries during an outage, for commands that wait.

use std::error::Error;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use videoframes_console::{Failure, exit};
use videoframes_core::error::chain;

/// First and maximum delay between two attempts.
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

    /// Ends the outage after a successful request.
    pub(crate) fn end(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Waits before the next attempt. Fails if the outage exceeds the limit.
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
