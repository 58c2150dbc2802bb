//! Storage of the fleet.

use std::time::Duration;

use async_trait::async_trait;

use super::{Fleet, FleetChange, FleetError, FleetWorker, WorkerReport};

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
