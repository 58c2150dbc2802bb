//! From a message to the jobs that it is about.

use std::time::Duration;

use super::Parts;
use super::fault::{self, Point};
use super::receipt::Receipt;
use super::renditions::is_rendition;
use super::telemetry;
use crate::jobs::{Enqueue, JobId, JobMessage, JobRepoError, JobRequest, ObjectEvent, Poison};
use crate::storage::ObjectInfo;

/// Receipts of a message for which its source may fail to answer while other objects do. Then the message becomes a
/// job, which tells.
const UNANSWERED: u32 = 3;

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
        let receipts = receipt.message().receive_count;
        let (requests, broken) = match JobMessage::parse(&receipt.message().body) {
            Ok(JobMessage::Known(job)) => return Ok(Accepted::Job(job)),
            Ok(JobMessage::Asked(request)) => (vec![*request], None),
            Ok(JobMessage::Events(events)) => match self.asked_of(&events.created, receipts).await {
                Some(asked) => (asked, events.broken),
                None => return Ok(Accepted::NotNow),
            },
            Ok(JobMessage::Nothing) => return Ok(Accepted::Done),
            Err(poison) => {
                receipt.bury("malformed", &poison.to_string()).await;
                return Ok(Accepted::Buried);
            }
        };
        let mut jobs = Vec::with_capacity(requests.len());
        for request in requests {
            let Some(etag) = self.etag_of(&request, receipts).await else {
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

    /// What the rules ask of new objects; `None` where the store does not answer.
    async fn asked_of(&self, created: &[ObjectEvent], receipts: u32) -> Option<Vec<JobRequest>> {
        let mut asked = Vec::with_capacity(created.len());
        for event in created {
            let request = match self.rules.request(event) {
                Some(request) if self.feeds_itself(&request, receipts).await? => None,
                request => request,
            };
            telemetry::object_event(request.is_some());
            if request.is_none() {
                tracing::info!(
                    input.bucket = event.bucket,
                    input.key = event.key,
                    "a new object of which no rule asks anything"
                );
            }
            asked.extend(request);
        }
        Some(asked)
    }

    /// Whether a rule would make renditions of a rendition, and of those the next ones; `None` where the
    /// store does not answer.
    async fn feeds_itself(&self, request: &JobRequest, receipts: u32) -> Option<bool> {
        match request.writes_videos() {
            true => Some(
                self.source_of(request, receipts)
                    .await?
                    .is_some_and(|found| is_rendition(&found)),
            ),
            false => Some(false),
        }
    }

    /// The version of the source that is there now: `Some(None)` where there is none or where another is
    /// meant, `None` where the store does not answer.
    async fn etag_of(&self, request: &JobRequest, receipts: u32) -> Option<Option<String>> {
        let version = request.source().map(|source| &source.version);
        match version {
            Some(version) if version.id.is_none() && version.etag.is_none() => {
                Some(self.source_of(request, receipts).await?.map(|found| found.etag))
            }
            _ => Some(None),
        }
    }

    /// The source, where it is there; `None` where the store does not answer.
    async fn source_of(&self, request: &JobRequest, receipts: u32) -> Option<Option<ObjectInfo>> {
        let Some(source) = request.source() else {
            return Some(None);
        };
        // A bucket that is not known makes a job that fails.
        let bucket = source.bucket.as_deref();
        let Ok(storage) = self.stores.source(bucket) else {
            return Some(None);
        };
        let reads = self.source_reads(bucket);
        if !self.admits(&reads).await {
            return None;
        }
        match storage.head(&source.key, &source.version).await {
            Ok(found) => Some(Some(found)),
            // The job says so, as of a version that is gone.
            Err(error) if !error.is_retryable() => Some(None),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    input.key = %source.key,
                    "failed to look at a source"
                );
                let outage = self.is_outage(&reads).await;
                (!outage && receipts >= UNANSWERED).then_some(None)
            }
        }
    }
}
