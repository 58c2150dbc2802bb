//! Requests to stop the work on a job: the first reason counts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// The reason why the work on a job is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Another worker holds the job.
    LeaseLost,
    /// The lease could not be renewed in time.
    Fenced,
    /// An internal error ended the heartbeat.
    Defect,
    /// The job was cancelled on request.
    Cancelled,
    /// The deadline of the job passed.
    Deadline,
    /// The processor shuts down.
    Shutdown,
}

/// A request to stop, with its reason.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    token: CancellationToken,
    reason: Arc<OnceLock<Reason>>,
    /// Whether another worker holds the lease, even if the work was stopped for another reason before.
    taken: Arc<AtomicBool>,
    /// Whether the lease expired without a renewal, even if the work was stopped for another reason before.
    fenced: Arc<AtomicBool>,
}

impl Stop {
    pub(super) fn request(&self, reason: Reason) {
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

    /// Returns whether another worker holds the job, so that this attempt has no effect any more.
    pub(super) fn is_lost(&self) -> bool {
        self.taken.load(Ordering::SeqCst)
    }

    /// Returns whether another worker may hold the job. If none does, the job has to be released.
    pub(super) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::SeqCst)
    }

    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }
}
