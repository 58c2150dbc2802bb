//! Records the stages of an attempt after its end, for the history of the job.

use std::time::Duration;

use super::heartbeat::State;
use super::parts::Parts;
use crate::error::chain;
use crate::jobs::{Lease, StageTime};

/// Maximum time for which the record of the stages may delay a slot.
const MAX_TIME: Duration = Duration::from_secs(1);

/// The stages of an attempt that has ended.
#[derive(Debug)]
pub(super) struct EndedStages {
    lease: Lease,
    stages: Vec<StageTime>,
}

impl EndedStages {
    pub(super) fn new(lease: Lease, state: &State) -> Self {
        let stages = state.stages();
        Self { lease, stages }
    }

    /// Records the stages once, if the repository responds in time. They are not worth a retry.
    pub(super) async fn record(self, parts: &Parts) {
        if !parts.monitor.may_change_jobs() {
            return;
        }
        let recorded = parts.repo.record_stages(&self.lease, &self.stages);
        match tokio::time::timeout(MAX_TIME, recorded).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(
                    error = chain(&error),
                    "failed to record the stages of the attempt"
                );
            }
            Err(_) => tracing::debug!("failed to record the stages of the attempt in time"),
        }
    }
}
