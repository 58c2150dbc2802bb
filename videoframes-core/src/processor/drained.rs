//! When the input queue was last found empty.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Set by receives that brought nothing although they waited, which ask all of a queue's servers.
#[derive(Debug, Default)]
pub(super) struct Drained(Mutex<Option<Instant>>);

impl Drained {
    /// The queue was empty at this moment.
    pub(super) fn found(&self, at: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(Some(at));
    }

    /// How long ago that was, if it ever was.
    pub(super) fn ago(&self) -> Option<Duration> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|at| at.elapsed())
    }
}
