//! The result of a reconciliation.

use serde::Serialize;

use crate::jobs::{JobId, JobRepoError, RestoreMark, RestoreState};
use crate::storage::StorageError;

/// What a reconciliation found and changed, or would change.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ReconcileReport {
    /// State of the database before the reconciliation.
    #[serde(flatten)]
    pub state: RestoreState,
    /// Jobs without a row, whose rows were rebuilt as completed.
    pub rebuilt: Vec<JobId>,
    /// Those of the rebuilt jobs whose client metadata was too large for the archive, and is lost.
    pub without_client_metadata: Vec<JobId>,
    /// Failed and cancelled jobs that an operator had retried after the moment.
    pub retried: Vec<JobId>,
    /// Number of unfinished jobs, all of which were enqueued.
    pub unfinished: u64,
    /// Number of the unfinished jobs with an archive, which the next claim adopts.
    pub adoptable: u64,
    /// Completed jobs whose archive is missing.
    pub missing_archives: Vec<JobId>,
    /// Objects and rows that need a decision of an operator.
    pub problems: Vec<ReconcileProblem>,
    /// The mark after the restore was accepted; `None` if nothing was accepted.
    pub accepted: Option<RestoreMark>,
}

/// An accepted restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Accepted {
    /// State of the database before.
    #[serde(flatten)]
    pub state: RestoreState,
    /// The mark after the restore was accepted.
    #[serde(rename = "accepted")]
    pub mark: RestoreMark,
}

/// An object or a row that needs a decision of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReconcileProblem {
    /// Identifier of the job.
    pub job: JobId,
    /// Key of the object, if the problem is an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Human-readable reason.
    pub reason: String,
}

impl ReconcileReport {
    pub(super) fn new(state: RestoreState) -> Self {
        Self {
            state,
            rebuilt: Vec::new(),
            without_client_metadata: Vec::new(),
            retried: Vec::new(),
            unfinished: 0,
            adoptable: 0,
            missing_archives: Vec::new(),
            problems: Vec::new(),
            accepted: None,
        }
    }

    /// Returns whether everything that was lost could be brought back, as far as known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing_archives.is_empty()
            && self.problems.is_empty()
            && self.without_client_metadata.is_empty()
    }

    pub(super) fn problem(&mut self, job: JobId, key: Option<&str>, reason: impl Into<String>) {
        self.problems.push(ReconcileProblem {
            job,
            key: key.map(str::to_owned),
            reason: reason.into(),
        });
    }
}

/// Errors of a reconciliation, which can be repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The repository failed.
    #[error("failed to reconcile the jobs")]
    Repo(#[from] JobRepoError),
    /// The result store failed.
    #[error("failed to reconcile the objects")]
    Storage(#[from] StorageError),
}
