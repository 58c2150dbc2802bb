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
    /// The heartbeat ended by a defect.
    Defect,
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
    /// Whether another worker has the lease, for whatever reason the work was broken off before.
    taken: Arc<AtomicBool>,
    /// Whether the lease has ended here, likewise.
    fenced: Arc<AtomicBool>,
}

impl Stop {
    pub(super) fn because(&self, reason: Reason) {
        match reason {
            Reason::LeaseLost => self.taken.store(true, Ordering::SeqCst),
            Reason::Fenced => self.fenced.store(true, Ordering::SeqCst),
            Reason::Cancelled | Reason::Deadline | Reason::Defect | Reason::Shutdown => {}
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
        self.taken.load(Ordering::SeqCst)
    }

    /// Whether the job may be another worker's by now, and is to be handed back if it is not.
    pub(super) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::SeqCst)
    }

    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }
}
