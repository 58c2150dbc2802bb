//! Evidence that faults have occurred.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Numbers of observations by name.
pub(crate) type Counters = BTreeMap<String, u64>;

/// Adds to a counter.
pub(crate) fn count(counters: &mut Counters, name: impl Into<String>, number: u64) {
    *counters.entry(name.into()).or_default() += number;
}

/// Counters of what the injections themselves observe.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    counters: Mutex<Counters>,
}

impl Evidence {
    pub(crate) fn add(&self, name: impl Into<String>, number: u64) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut counters, name, number);
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.get(name).copied().unwrap_or_default()
    }

    /// Returns all counters.
    pub(crate) fn counters(&self) -> Counters {
        self.counters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
