//! Nothing new is begun while what it needs does not answer.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::retry::Backoff;
use super::telemetry;
use super::verdict::chain;

/// Open while a dependency fails: whoever begins something waits, and then tries for all.
#[derive(Debug)]
pub(super) struct Circuit {
    dependency: &'static str,
    state: Mutex<(Backoff, Option<Instant>)>,
}

impl Circuit {
    pub(super) fn new(dependency: &'static str) -> Self {
        Self {
            dependency,
            state: Mutex::default(),
        }
    }

    /// When to try again, while it is open.
    pub(super) fn open_until(&self) -> Option<Instant> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.filter(|until| *until > Instant::now())
    }

    pub(super) fn failed(&self, error: &dyn std::error::Error) {
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
            error = chain(error),
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
