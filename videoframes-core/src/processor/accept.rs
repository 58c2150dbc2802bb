//! From a message to the job that it is about.

use std::time::Duration;

use super::Parts;
use super::fault::{self, Point};
use super::receipt::Receipt;
use crate::jobs::{Enqueue, JobId, JobMessage, JobRepoError, JobRequest, NewJob};
use crate::storage::StorageError;

/// What a message turned out to be.
#[derive(Debug)]
pub(super) enum Accepted {
    /// About this job.
    Job(JobId),
    /// Nothing that can be worked on; it is buried.
    Buried,
    /// It cannot be told for now.
    NotNow,
}

impl Parts {
    /// Validates a message; one that asks for a job makes it, or finds it made. `deadline` is how long it
    /// may take at most.
    ///
    /// # Errors
    /// Of the repository, where it does not answer.
    pub(super) async fn accept(
        &self,
        receipt: &Receipt,
        deadline: Duration,
    ) -> Result<Accepted, JobRepoError> {
        let request = match JobMessage::parse(&receipt.message().body) {
            Ok(JobMessage::Known(job)) => return Ok(Accepted::Job(job)),
            Ok(JobMessage::Asked(request)) => request,
            Err(poison) => {
                receipt.bury("malformed", &poison.to_string()).await;
                return Ok(Accepted::Buried);
            }
        };
        let Some(etag) = self.etag_of(&request).await else {
            return Ok(Accepted::NotNow);
        };
        let message = format!("{}/{}", self.input.name(), receipt.message().id);
        let job = NewJob {
            message_id: Some(message),
            ..request.into_job(etag, deadline)
        };
        match self.repo.submit(&[job], Enqueue::AlreadyQueued).await {
            Ok(submitted) => {
                fault::reached(Point::Validated);
                Ok(submitted
                    .first()
                    .map_or(Accepted::NotNow, |job| Accepted::Job(job.id)))
            }
            Err(error @ JobRepoError::IdempotencyConflict(_)) => {
                receipt
                    .bury("idempotency_conflict", &format!("IDEMPOTENCY_CONFLICT: {error}"))
                    .await;
                Ok(Accepted::Buried)
            }
            Err(error) => Err(error),
        }
    }

    /// The version of the source that is there now: `Some(None)` where there is none, `None` where the
    /// store does not answer.
    async fn etag_of(&self, request: &JobRequest) -> Option<Option<String>> {
        let Some(source) = request.source() else {
            return Some(None);
        };
        if source.version.id.is_some() || source.version.etag.is_some() {
            return Some(None);
        }
        // A bucket that is not known makes a job that fails.
        let Ok(storage) = self.stores.source(source.bucket.as_deref()) else {
            return Some(None);
        };
        match storage.head(&source.key, &source.version).await {
            Ok(info) => Some(Some(info.etag)),
            Err(StorageError::NotFound(_)) => Some(None),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    key = %source.key,
                    "the source cannot be looked at for now"
                );
                None
            }
        }
    }
}
