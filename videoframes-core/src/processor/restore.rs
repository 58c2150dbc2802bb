//! Stops a worker while its database is behind the restore mark in the store.

use std::time::Duration;

use super::mark::{self, StoredMark};
use super::monitor::RestoreCheck;
use super::parts::Parts;
use super::subject::{Operation, StoreUse};
use crate::error::chain;
use crate::jobs::{JobCopy, JobId, JobRepoError, JobStatus, RestoreRow, RestoreState, VideoJob};

impl Parts {
    /// Compares the marks of database and store, and increases them unless another worker did within `interval`.
    /// Returns whether jobs may be changed.
    ///
    /// After a failed read, the last answer holds: the repository compares its marks at every change.
    pub(super) async fn check_restore(&self, interval: Duration) -> bool {
        if !self.keeps_mark {
            self.monitor.restore(RestoreCheck::Current);
            return true;
        }
        // First the store: workers increase the mark in the database first, so a database is behind an older copy
        // only after a restore.
        let store = match mark::read(self.stores.results().as_ref()).await {
            Ok(store) => store,
            Err(error) => {
                self.unreadable("the restore mark in the store", &error);
                if error.is_retryable() {
                    // Opens the circuit during an outage, which the worker then reports.
                    self.is_outage(&StoreUse::of_results(Operation::Read)).await;
                }
                return self.monitor.may_change_jobs();
            }
        };
        let row = match self.repo.restore_mark().await {
            Ok(row) => row,
            Err(error) => {
                self.unreadable("the restore mark in the database", &error);
                return self.monitor.may_change_jobs();
            }
        };
        let state = RestoreState::compare(&row, store.as_ref().map(|store| &store.mark));
        if !state.is_current() {
            self.hold(&row, store.as_ref(), state);
            return false;
        }
        self.repo.observe_mark(&row.mark);
        if self.monitor.restore(RestoreCheck::Current) == RestoreCheck::Restored {
            tracing::info!("the restore of the database was accepted; continuing");
        }
        self.advance(row, store.is_none(), interval).await
    }

    /// Reports a mark that cannot be read: once as an error if the worker cannot start jobs without the mark.
    fn unreadable(&self, what: &'static str, error: &dyn std::error::Error) {
        let error = chain(error);
        match self.monitor.unreadable() {
            true => tracing::error!(
                error,
                "failed to read {what}: this worker starts no jobs until the mark can be read"
            ),
            false => tracing::warn!(error, "failed to read {what}"),
        }
    }

    /// Increases the mark if it is time, and copies it to the store after the commit.
    async fn advance(&self, row: RestoreRow, is_new: bool, interval: Duration) -> bool {
        let advanced = match self.repo.advance_mark(interval).await {
            Ok(advanced) => advanced.or_else(|| is_new.then_some(row)),
            Err(JobRepoError::Restored) => {
                self.restored().await;
                return false;
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "failed to increase the restore mark");
                return true;
            }
        };
        if let Some(row) = advanced
            && let Err(error) = mark::write(self.stores.results().as_ref(), &row).await
        {
            tracing::warn!(
                error = chain(&error),
                "failed to write the restore mark to the store"
            );
        }
        true
    }

    /// Stops the worker after the repository reported that its database is behind.
    pub(super) async fn restored(&self) {
        if let Ok(row) = self.repo.restore_mark().await {
            self.hold(&row, None, RestoreState::compare(&row, None));
        } else {
            self.monitor.restore(RestoreCheck::Restored);
        }
    }

    /// Returns whether the database is still the one that was checked, before an object is deleted because of a row.
    pub(super) async fn is_current(&self) -> Result<bool, JobRepoError> {
        if !self.keeps_mark {
            return Ok(true);
        }
        let row = self.repo.restore_mark().await?;
        if row.is_behind() {
            self.hold(&row, None, RestoreState::compare(&row, None));
        }
        Ok(!row.is_behind() && self.monitor.may_change_jobs())
    }

    /// Rebuilds the row of a job from the copy of its request in a message. Returns whether the job may be claimed.
    ///
    /// A job is kept for `retention` after its end. A younger message about a job without a row therefore shows that a
    /// restored database lost the row.
    pub(super) async fn recover(
        &self,
        job: JobId,
        copy: &JobCopy,
        retention: Duration,
    ) -> Result<bool, JobRepoError> {
        let now = self.repo.restore_mark().await?.now;
        if now.since(copy.written_at) >= retention {
            return Ok(false);
        }
        match self.repo.rebuild(job, &copy.record, None).await {
            Ok(is_new) => {
                if is_new {
                    tracing::warn!(job.id = %job, "rebuilt the row of a job from its message");
                }
                Ok(true)
            }
            // A client has submitted the same request again since.
            Err(JobRepoError::IdempotencyConflict(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Retries an ended job whose message is of a later retry, which a restored database lost. Returns whether the job may
    /// be claimed.
    ///
    /// A retry and its message are one transaction: without a restore, no message is of a later generation than the row.
    pub(super) async fn recover_retry(
        &self,
        row: &VideoJob,
        copy: Option<&JobCopy>,
    ) -> Result<bool, JobRepoError> {
        let Some(lost) = copy.map(|copy| copy.record.generation) else {
            return Ok(false);
        };
        if row.status == JobStatus::Completed || lost <= row.generation {
            return Ok(false);
        }
        match self.repo.raise(row.id, lost).await {
            Ok(_) => {
                tracing::warn!(job.id = %row.id, generation = lost, "retried a job that its message shows as retried");
                Ok(true)
            }
            // Another worker has completed the job meanwhile.
            Err(JobRepoError::WrongState(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn hold(&self, row: &RestoreRow, store: Option<&StoredMark>, state: RestoreState) {
        if self.monitor.restore(RestoreCheck::Restored) == RestoreCheck::Restored {
            return;
        }
        let seconds = store.map(|store| {
            let written = store.written.duration_since(std::time::UNIX_EPOCH);
            let written = written.unwrap_or_default().as_secs();
            written.saturating_sub(u64::try_from(row.advanced_at.get() / 1000).unwrap_or(0))
        });
        match state {
            RestoreState::Foreign { deployment } => tracing::error!(
                %deployment,
                "the store belongs to another database: this worker changes no jobs until 'vf-worker reconcile' ran"
            ),
            _ => tracing::error!(
                lost_seconds = seconds,
                "the database was restored to an earlier moment: this worker changes no jobs until \
                 'vf-worker reconcile' ran"
            ),
        }
    }
}
