//! Reports of a processor to its fleet, and the role of its revision.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::monitor::{Phase, ProcessorStatus, RestoreCheck};
use super::parts::Parts;
use super::shared::Shared;
use crate::error::chain;
use crate::fleet::{FleetError, Revision, Role, WorkerReport, WorkerState};

/// Time slice in which a canary receives messages or does not.
pub(super) const SLICE: Duration = Duration::from_secs(2);

/// Maximum time until a worker with a revision reads its role.
const ROLE_CHECK: Duration = Duration::from_secs(5);

impl Parts {
    /// Returns the revision that claims jobs, if it has a name.
    pub(super) fn revision(&self) -> Option<&Revision> {
        self.member.as_ref()?.revision()
    }

    /// Stands by after the registry refused a claim, until the next report.
    pub(super) fn stand_by(&self) {
        self.adopt_role(Role::Standby);
        self.report_soon();
    }

    /// Reports at once.
    pub(super) fn report_soon(&self) {
        if let Some(member) = &self.member {
            member.changed.notify_one();
        }
    }

    fn adopt_role(&self, role: Role) {
        let before = self.monitor.set_role(role);
        let Some(revision) = self.revision().filter(|_| before != role) else {
            return;
        };
        match role {
            Role::Active => tracing::info!(%revision, "revision is active; receiving messages"),
            Role::Canary(share) => tracing::info!(%revision, %share, "revision is the canary"),
            Role::Standby => tracing::info!(%revision, "revision stands by; receiving no messages"),
        }
    }

    /// Reports a state of the worker; a role that cannot be read stays as it was.
    async fn report_to_fleet(&self, report: &WorkerReport, timeout: Duration) -> Result<(), FleetError> {
        let Some(member) = &self.member else {
            return Ok(());
        };
        let fleet = member.report(report, timeout).await?;
        if let Some(revision) = &member.revision {
            self.adopt_role(fleet.role(revision));
        }
        Ok(())
    }
}

impl Shared {
    /// Reports to the registry until the loop is aborted.
    pub(super) async fn report(self: Arc<Self>) {
        let Some(member) = &self.parts.member else {
            return;
        };
        let interval = self.config.timing.heartbeat;
        let pulse = self.watch("fleet", interval);
        let mut was_reported = true;
        loop {
            pulse.beat();
            let state = state(&self.parts.monitor.status());
            let reported = self.report_state(state).await;
            if let Err(error) = &reported
                && was_reported
            {
                tracing::warn!(
                    error = chain(error),
                    "failed to report to the fleet; the role stays as it is"
                );
            }
            was_reported = reported.is_ok();
            // The role of a revision may change at any time.
            let is_settled = member.revision.is_none() && state == WorkerState::Ready;
            let pause = match is_settled {
                true => interval,
                false => interval.min(ROLE_CHECK),
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause) => {}
                () = member.changed.notified() => {}
                () = self.parts.monitor.restore_changed() => {}
            }
        }
    }

    pub(super) async fn report_state(&self, state: WorkerState) -> Result<(), FleetError> {
        let Some(member) = &self.parts.member else {
            return Ok(());
        };
        let revision = member.revision.clone();
        let mut report = WorkerReport::new(&self.config.owner, &member.version, revision);
        report.state = state;
        report.ended = self.parts.monitor.status().ended;
        report.slots = u32::try_from(self.config.concurrency).ok();
        self.parts
            .report_to_fleet(&report, self.config.timing.lease)
            .await
    }

    /// Returns whether a slot may receive a message now, according to the role of the revision.
    pub(super) fn is_turn(&self, now: Instant) -> bool {
        match self.parts.monitor.role() {
            Role::Active => true,
            Role::Canary(share) => {
                let slices = now.duration_since(self.started).as_millis() / SLICE.as_millis();
                share.receives_in(u64::try_from(slices).unwrap_or(0))
            }
            Role::Standby => false,
        }
    }
}

fn state(status: &ProcessorStatus) -> WorkerState {
    match status.phase {
        Phase::Starting => WorkerState::Starting,
        Phase::Stopping => WorkerState::Stopping,
        Phase::Running => match status.restore {
            RestoreCheck::Pending => WorkerState::Starting,
            RestoreCheck::Current if !status.paused && status.outages.is_empty() => WorkerState::Ready,
            _ => WorkerState::NotReady,
        },
    }
}
