//! Turns a message into jobs.

use std::time::Duration;

use tracing::Span;

use super::fault::{self, Point};
use super::outputs::is_output;
use super::parts::Parts;
use super::producer::trace_context;
use super::receipt::Receipt;
use super::renditions::is_rendition;
use super::telemetry;
use crate::jobs::{Enqueue, JobCopy, JobId, JobMessage, JobRepoError, JobRequest, ObjectEvent, Poison};
use crate::storage::ObjectInfo;
use crate::trace;

/// Number of receipts for which the source of a message may fail to answer while other objects do. Then the
/// message becomes a job, which reports the error.
const UNANSWERED: u32 = 3;

/// The result of the validation of a message.
#[derive(Debug)]
pub(super) enum Accepted {
    /// The message is about this job, and may have a copy of its request.
    Job(JobId, Option<Box<JobCopy>>),
    /// Everything that the message requests is done, or was enqueued in separate messages.
    Done,
    /// The message was invalid and went to the dead-letter queue.
    DeadLettered,
    /// The store does not respond for now.
    NotNow,
}

impl Parts {
    /// Validates a message, and submits the jobs that it requests. `deadline` is the maximum time of each
    /// job.
    ///
    /// # Errors
    /// Returns the error of the repository.
    pub(super) async fn accept(
        &self,
        receipt: &Receipt,
        deadline: Duration,
    ) -> Result<Accepted, JobRepoError> {
        let receipts = receipt.message().receive_count;
        let (requests, broken) = match JobMessage::parse(&receipt.message().body) {
            Ok(JobMessage::Known(job, copy)) => return Ok(Accepted::Job(job, copy)),
            Ok(JobMessage::Asked(request)) => (vec![*request], None),
            Ok(JobMessage::Events(events)) => match self.requests_for(&events.created, receipts).await {
                Some(requests) => (requests, events.broken),
                None => return Ok(Accepted::NotNow),
            },
            Ok(JobMessage::Nothing) => return Ok(Accepted::Done),
            Err(poison) => {
                receipt.dead_letter("malformed", &poison.to_string()).await;
                return Ok(Accepted::DeadLettered);
            }
        };
        // Without a context of the producer, the trace of the job begins with this message.
        let trace = trace_context(receipt.message()).or_else(|| trace::context_of(&Span::current()));
        let mut jobs = Vec::with_capacity(requests.len());
        for request in requests {
            let Some(etag) = self.current_etag(&request, receipts).await else {
                return Ok(Accepted::NotNow);
            };
            let mut job = request.into_job(etag, deadline);
            job.trace.clone_from(&trace);
            jobs.push(job);
        }
        if jobs.is_empty() && broken.is_none() {
            return Ok(Accepted::Done);
        }
        // A single job is processed by the worker that holds its message; several jobs get separate messages.
        let alone = jobs.len() == 1 && broken.is_none();
        let enqueue = match alone {
            true => Enqueue::AlreadyQueued,
            false => Enqueue::ThroughOutbox,
        };
        if let [job] = jobs.as_mut_slice()
            && alone
        {
            // Makes the same message request the same job, whatever happens to the source.
            job.message_id = Some(receipt.message_id());
        }
        let submitted = match self.repo.submit(&jobs, enqueue).await {
            Ok(submitted) => submitted,
            Err(error @ JobRepoError::IdempotencyConflict(_)) => {
                receipt
                    .dead_letter("idempotency_conflict", &format!("IDEMPOTENCY_CONFLICT: {error}"))
                    .await;
                return Ok(Accepted::DeadLettered);
            }
            Err(error) => return Err(error),
        };
        fault::reached(Point::Validated);
        if let (true, Some(job)) = (alone, submitted.first()) {
            return Ok(Accepted::Job(job.id, None));
        }
        self.outbox.notify_one();
        match broken {
            // The valid records have jobs. When the message is sent again, the submission finds those jobs.
            Some(wrong) => {
                receipt
                    .dead_letter("malformed", &Poison::Event(wrong).to_string())
                    .await;
                Ok(Accepted::DeadLettered)
            }
            None => Ok(Accepted::Done),
        }
    }

    /// Returns the requests that the rules create for new objects; `None` if the store does not respond.
    async fn requests_for(&self, created: &[ObjectEvent], receipts: u32) -> Option<Vec<JobRequest>> {
        let mut requests = Vec::with_capacity(created.len());
        for event in created {
            let request = match self.rules.request(event) {
                Some(request) if self.would_loop(&request, receipts).await? => None,
                request => request,
            };
            telemetry::object_event(request.is_some());
            if request.is_none() {
                tracing::info!(
                    input.bucket = event.bucket,
                    input.key = event.key,
                    "no rule matches the new object"
                );
            }
            requests.extend(request);
        }
        Some(requests)
    }

    /// Returns whether a rule would process outputs of jobs, in an endless loop; `None` if the store
    /// does not respond.
    async fn would_loop(&self, request: &JobRequest, receipts: u32) -> Option<bool> {
        match request.has_additional_objects() {
            true => Some(
                self.head_source(request, receipts)
                    .await?
                    .is_some_and(|found| is_rendition(&found) || is_output(&found)),
            ),
            false => Some(false),
        }
    }

    /// Returns the ETag of the current version of the source.
    ///
    /// Returns `Some(None)` if there is no source or if the request names a version, and `None` if the store
    /// does not respond.
    async fn current_etag(&self, request: &JobRequest, receipts: u32) -> Option<Option<String>> {
        let version = request.source().map(|source| &source.version);
        match version {
            Some(version) if version.id.is_none() && version.etag.is_none() => {
                Some(self.head_source(request, receipts).await?.map(|found| found.etag))
            }
            _ => Some(None),
        }
    }

    /// Returns the metadata of the source, `Some(None)` if there is no source, and `None` if the store does
    /// not respond.
    async fn head_source(&self, request: &JobRequest, receipts: u32) -> Option<Option<ObjectInfo>> {
        let Some(source) = request.source() else {
            return Some(None);
        };
        // An unknown bucket creates a job that fails.
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
            // The job reports the error, as for a version that is gone.
            Err(error) if !error.is_retryable() => Some(None),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    input.key = %source.key,
                    "failed to read the metadata of a source"
                );
                let outage = self.is_outage(&reads).await;
                (!outage && receipts >= UNANSWERED).then_some(None)
            }
        }
    }
}
