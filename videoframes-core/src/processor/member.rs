//! The membership of a processor in a fleet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::fleet::{
    Fleet, FleetChange, FleetError, FleetRegistry, Revision, Role, WorkerReport, WorkerState,
};

/// The membership of a processor in a [`fleet`](crate::fleet).
pub struct FleetMember {
    registry: Arc<dyn FleetRegistry>,
    pub(super) revision: Option<Revision>,
    pub(super) version: String,
    standby: bool,
    /// Notified to report at once.
    pub(super) changed: Notify,
}

impl fmt::Debug for FleetMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetMember")
            .field("revision", &self.revision)
            .field("version", &self.version)
            .field("standby", &self.standby)
            .finish_non_exhaustive()
    }
}

impl FleetMember {
    /// Returns a member that reports, and receives messages whichever revision is active.
    pub fn new(registry: Arc<dyn FleetRegistry>, version: impl Into<String>) -> Self {
        Self {
            registry,
            revision: None,
            version: version.into(),
            standby: false,
            changed: Notify::new(),
        }
    }

    /// Receives messages only while this revision is active or the canary. The revision becomes active if no worker of
    /// an active revision runs.
    pub fn with_revision(self, revision: Revision) -> Self {
        Self {
            revision: Some(revision),
            ..self
        }
    }

    /// Sets whether the revision stands by even if no worker of an active revision runs.
    pub fn with_standby(self, standby: bool) -> Self {
        Self { standby, ..self }
    }

    /// Returns the revision, if any.
    pub fn revision(&self) -> Option<&Revision> {
        self.revision.as_ref()
    }

    /// Reports to the registry, and takes over if that is due. `timeout` is the time without a report after which a
    /// worker counts as ended.
    pub(super) async fn report(&self, report: &WorkerReport, timeout: Duration) -> Result<Fleet, FleetError> {
        let fleet = self.registry.report(report).await?;
        let Some(revision) = &self.revision else {
            return Ok(fleet);
        };
        let may_take_over = !self.standby && report.state == WorkerState::Ready;
        match fleet.role(revision) {
            Role::Standby if may_take_over => {
                let change = FleetChange::TakeOver(revision.clone());
                self.registry.change(&change, timeout).await
            }
            _ => Ok(fleet),
        }
    }
}
