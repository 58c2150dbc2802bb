//! From a message to the jobs that it is about.

use std::time::Duration;

use super::Parts;
use super::fault::{self, Point};
use super::receipt::Receipt;
use super::telemetry;
use super::verdict::chain;
use crate::jobs::{Enqueue, JobId, JobMessage, JobRepoError, JobRequest, ObjectEvent, Poison};
use crate::storage::StorageError;

/// What a message turned out to be.
#[derive(Debug)]
pub(super) enum Accepted {
    /// About this job.
    Job(JobId),
    /// All that it asks is done, or on its way in messages of its own.
    Done,
    /// Nothing that can be worked on; it is buried.
    Buried,
    /// It cannot be told for now.
    NotNow,
}

impl Parts {
    /// Validates a message; one that asks for jobs makes them, or finds them made. `deadline` is how long
    /// each may take at most.
    ///
    /// # Errors
    /// Of the repository, where it does not answer.
    pub(super) async fn accept(
        &self,
        receipt: &Receipt,
        deadline: Duration,
    ) -> Result<Accepted, JobRepoError> {
        let (requests, broken) = match JobMessage::parse(&receipt.message().body) {
            Ok(JobMessage::Known(job)) => return Ok(Accepted::Job(job)),
            Ok(JobMessage::Asked(request)) => (vec![*request], None),
            Ok(JobMessage::Events(events)) => (self.asked_of(&events.created), events.broken),
            Ok(JobMessage::Nothing) => return Ok(Accepted::Done),
            Err(poison) => {
                receipt.bury("malformed", &poison.to_string()).await;
                return Ok(Accepted::Buried);
            }
        };
        let mut jobs = Vec::with_capacity(requests.len());
        for request in requests {
            let Some(etag) = self.etag_of(&request).await else {
                return Ok(Accepted::NotNow);
            };
            jobs.push(request.into_job(etag, deadline));
        }
        if jobs.is_empty() && broken.is_none() {
            return Ok(Accepted::Done);
        }
        // One job is worked on by whoever holds its message; several get messages of their own.
        let alone = jobs.len() == 1 && broken.is_none();
        let enqueue = match alone {
            true => Enqueue::AlreadyQueued,
            false => Enqueue::ThroughOutbox,
        };
        if let [job] = jobs.as_mut_slice()
            && alone
        {
            // Whatever becomes of the source, the same message asks for the same job.
            job.message_id = Some(format!("{}/{}", self.input.name(), receipt.message().id));
        }
        let submitted = match self.repo.submit(&jobs, enqueue).await {
            Ok(submitted) => submitted,
            Err(error @ JobRepoError::IdempotencyConflict(_)) => {
                receipt
                    .bury("idempotency_conflict", &format!("IDEMPOTENCY_CONFLICT: {error}"))
                    .await;
                return Ok(Accepted::Buried);
            }
            Err(error) => return Err(error),
        };
        fault::reached(Point::Validated);
        if let (true, Some(job)) = (alone, submitted.first()) {
            return Ok(Accepted::Job(job.id));
        }
        self.outbox.notify_one();
        match broken {
            // What could be read of it has its jobs; when it is sent again they are found made.
            Some(wrong) => {
                receipt.bury("malformed", &Poison::Event(wrong).to_string()).await;
                Ok(Accepted::Buried)
            }
            None => Ok(Accepted::Done),
        }
    }

    /// What the rules ask of new objects.
    fn asked_of(&self, created: &[ObjectEvent]) -> Vec<JobRequest> {
        let asked = |event: &ObjectEvent| {
            let request = self.rules.request(event);
            telemetry::object_event(request.is_some());
            if request.is_none() {
                tracing::info!(
                    input.bucket = event.bucket,
                    input.key = event.key,
                    "a new object of which no rule asks anything"
                );
            }
            request
        };
        created.iter().filter_map(asked).collect()
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
                self.circuits.store.failed(&chain(&error));
                None
            }
        }
    }
}
