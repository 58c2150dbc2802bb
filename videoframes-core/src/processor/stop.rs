//! Why work on a job is broken off: the first reason counts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Why work on a job is broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Another worker holds the job.
    LeaseLost,
    /// The lease could not be renewed in time.
    Fenced,
    /// Someone asked for it.
    Cancelled,
    /// The time for the whole job is over.
    Deadline,
    /// The processor stops.
    Shutdown,
}

/// Tells work to stop, and why.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    token: CancellationToken,
    reason: Arc<OnceLock<Reason>>,
    /// Whether the lease is gone, for whatever reason the work was broken off before.
    lost: Arc<AtomicBool>,
}

impl Stop {
    pub(super) fn because(&self, reason: Reason) {
        if matches!(reason, Reason::LeaseLost | Reason::Fenced) {
            self.lost.store(true, Ordering::SeqCst);
        }
        if self.reason.set(reason).is_ok() {
            self.token.cancel();
        }
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        self.reason.get().copied()
    }

    /// Whether nothing that is done here counts any more.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }
}
