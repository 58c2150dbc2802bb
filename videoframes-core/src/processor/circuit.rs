//! Nothing new is begun while what it needs does not answer.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::retry::Backoff;
use super::telemetry;

/// One for each of what every job needs.
#[derive(Debug)]
pub(super) struct Circuits {
    pub(super) queue: Circuit,
    pub(super) database: Circuit,
    /// Jobs find out that it fails; it is asked itself whether it answers again, so that no job loses
    /// another attempt by trying.
    pub(super) store: Circuit,
}

impl Default for Circuits {
    fn default() -> Self {
        Self {
            queue: Circuit::new("queue"),
            database: Circuit::new("database"),
            store: Circuit::new("store"),
        }
    }
}

/// Open while a dependency fails: whoever begins something waits, and then tries for all.
#[derive(Debug)]
pub(super) struct Circuit {
    dependency: &'static str,
    state: Mutex<(Backoff, Option<Instant>)>,
}

impl Circuit {
    fn new(dependency: &'static str) -> Self {
        Self {
            dependency,
            state: Mutex::default(),
        }
    }

    /// Whether it failed when it was last asked.
    pub(super) fn is_open(&self) -> bool {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .is_some()
    }

    /// When to try again, while it is open and that is to come.
    pub(super) fn open_until(&self) -> Option<Instant> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.filter(|until| *until > Instant::now())
    }

    pub(super) fn failed(&self, why: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that failed together count once.
        if state.1.is_some_and(|until| until > Instant::now()) {
            return;
        }
        if state.1.is_none() {
            telemetry::circuit(self.dependency, true);
        }
        let pause = state.0.failed();
        tracing::warn!(
            dependency = self.dependency,
            error = why,
            ?pause,
            "it does not answer; waiting"
        );
        state.1 = Some(Instant::now() + pause);
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.1.take().is_some() {
            state.0.succeeded();
            telemetry::circuit(self.dependency, false);
            tracing::info!(dependency = self.dependency, "it answers again");
        }
    }
}
