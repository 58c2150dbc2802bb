//! The time at which the input queue was last found empty.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Recorded by receives that waited and returned no message: a waiting receive queries all servers of a
/// queue.
#[derive(Debug, Default)]
pub(super) struct Drained(Mutex<Option<Instant>>);

impl Drained {
    /// Records that the queue was empty at this time.
    pub(super) fn found(&self, at: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(Some(at));
    }

    /// Returns the time since the queue was last empty, if it ever was.
    pub(super) fn ago(&self) -> Option<Duration> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|at| at.elapsed())
    }
}
