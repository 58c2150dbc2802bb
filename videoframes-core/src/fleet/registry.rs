//! Storage of the fleet.

use std::time::Duration;

use async_trait::async_trait;

use super::{Fleet, FleetChange, FleetWorker, Revision, WorkerReport};

/// Errors of a registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// A canary of the active revision was requested. Nothing was changed.
    #[error("the revision '{0}' is active")]
    AlreadyActive(Revision),
    /// A canary was requested before the first activation. Nothing was changed.
    #[error("no revision is active")]
    NoActive,
    /// A rollback was requested, but no other revision was active before. Nothing was changed.
    #[error("no other revision was active before")]
    NoPrevious,
    /// The registry has an entry that this version cannot read.
    #[error("the registry of the fleet cannot be read: {0}")]
    Unreadable(String),
    /// The registry is unreachable or returned an unexpected answer. The change may or may not have happened.
    #[error("failed to {action}")]
    Unavailable {
        /// The action that failed.
        action: &'static str,
        /// Error of the client.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A store of the active revision, and of the workers.
///
/// Callers may rely on every change to be atomic, and on times of one clock.
#[async_trait]
pub trait FleetRegistry: Send + Sync + 'static {
    /// Returns the fleet.
    async fn fleet(&self) -> Result<Fleet, FleetError>;

    /// Records the state of a worker, and returns the fleet.
    async fn report(&self, worker: &WorkerReport) -> Result<Fleet, FleetError>;

    /// Returns the workers that reported within the last day, oldest first.
    async fn workers(&self) -> Result<Vec<FleetWorker>, FleetError>;

    /// Changes the fleet, and returns the fleet after the change. Workers count as running within `timeout` of their
    /// last report.
    ///
    /// # Errors
    /// Returns [`FleetError::AlreadyActive`], [`FleetError::NoActive`] or [`FleetError::NoPrevious`] for an impossible
    /// change.
    async fn change(&self, change: &FleetChange, timeout: Duration) -> Result<Fleet, FleetError>;
}
