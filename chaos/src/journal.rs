//! The journal: what was injected, and when.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// A performed injection.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) injection: String,
    /// Seconds since the start of the load.
    pub(crate) began_s: f64,
    pub(crate) ended_s: f64,
    /// Unix time of the end, in milliseconds.
    pub(crate) ended_at: i64,
    pub(crate) result: String,
}

/// The journal.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) since: Instant,
    entries: Mutex<Vec<Entry>>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            entries: Mutex::default(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    pub(crate) fn record(&self, injection: String, began: Duration, result: String) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let entry = Entry {
            injection,
            began_s: began.as_secs_f64(),
            ended_s: self.elapsed().as_secs_f64(),
            ended_at: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
            result,
        };
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
    }

    /// Returns the entries in the order of their ends.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
