//! Submission of jobs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use videoframes_core::error::chain;
use videoframes_core::jobs::{Enqueue, JobFilter, JobMessage, NewJob, SourceRef, VideoJob};
use videoframes_core::processor::relay;
use videoframes_core::storage::StorageError;
use videoframes_core::trace;

use super::extract::JsonText;
use super::{Api, to_the_end};
use crate::http::identity::Actor;
use crate::http::problem::Problem;
use crate::http::request::{idempotency_key, parent};

/// Maximum number of jobs that are searched for an idempotency key.
const RECENT: u32 = 100;
pub(crate) async fn submit(
    State(api): State<Arc<Api>>,
    actor: Actor,
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let header = idempotency_key(&headers)?;
    let request =
        JobMessage::parse_request(&body).map_err(|poison| Problem::bad_request(poison.to_string()))?;
    let request = actor.identity.submits(request)?;
    let key = header.or_else(|| request.idempotency_key().map(str::to_owned));
    let invalid = |reason: &str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", reason);
    let Some(source) = request.source() else {
        return Err(invalid(request.rejection().unwrap_or("the request is invalid")));
    };
    let etag = match (api.etag(source).await, &key) {
        (Ok(etag), _) => etag,
        // The source of an existing job may be deleted meanwhile.
        (Err(problem), Some(key)) => {
            let repeated = request.into_job(None, api.deadline);
            let existing = api.existing(key, &repeated.payload_hash).await?;
            return existing.map(|job| response(StatusCode::OK, job)).ok_or(problem);
        }
        (Err(problem), None) => return Err(problem),
    };
    let mut job = request.into_job(Some(etag), api.deadline);
    // Without a key, every submission is a separate job.
    job.idempotency_key = key.unwrap_or_else(|| job.id.to_string());
    let span = tracing::info_span!("submit", otel.kind = "producer", job.id = %job.id);
    let parent = parent(&headers);
    if let Some(parent) = &parent {
        trace::set_parent(&span, parent);
    }
    job.trace = trace::context_of(&span).or(parent);
    to_the_end(api.submit(actor, job).instrument(span)).await
}

fn response(status: StatusCode, job: VideoJob) -> Response {
    let location = HeaderValue::from_str(&format!("/api/v1/jobs/{}", job.id));
    let mut response = (status, Json(job)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

impl Api {
    async fn submit(self: Arc<Self>, actor: Actor, job: NewJob) -> Result<Response, Problem> {
        let repo = self.repo().await?;
        let submitted = repo.submit(&[job], Enqueue::ThroughOutbox).await?;
        let submitted = submitted.into_iter().next();
        let submitted = submitted
            .ok_or_else(|| Problem::unavailable("the database returned no job for the submission"))?;
        if submitted.created {
            self.lists.forget();
            actor.changed_job("submit", submitted.id);
            self.relay();
        }
        let job = repo.get(submitted.id).await?;
        let status = match submitted.created {
            true => StatusCode::CREATED,
            false => StatusCode::OK,
        };
        Ok(response(
            status,
            job.ok_or_else(|| Problem::no_job(submitted.id))?,
        ))
    }

    /// Returns a recent job with this idempotency key and hash.
    async fn existing(&self, key: &str, payload_hash: &str) -> Result<Option<VideoJob>, Problem> {
        let mut filter = JobFilter::default().limit(RECENT);
        filter.text = Some(key.to_owned());
        let page = self.repo().await?.list(&filter).await?;
        let is_same = |job: &VideoJob| job.idempotency_key == key && job.payload_hash == payload_hash;
        Ok(page.jobs.into_iter().find(is_same))
    }

    /// Returns the current ETag of a source.
    async fn etag(&self, source: &SourceRef) -> Result<String, Problem> {
        let invalid =
            |reason: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", reason);
        let store = self.stores.source(source.bucket.as_deref());
        let store = store.map_err(|error| invalid(format!("source.bucket: {error}")))?;
        match store.head(&source.key, &source.version).await {
            Ok(info) => Ok(info.etag),
            Err(error @ (StorageError::NotFound(_) | StorageError::Refused { .. })) => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "source_not_found",
                chain(&error),
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends messages of the outbox. Workers would send them at their next poll; sending here avoids the delay.
    pub(super) fn relay(&self) {
        let (repo, tenants, hold) = (Arc::clone(&self.repo), self.tenants.clone(), self.relay_hold);
        // Messages behind this run are left to the workers.
        let Ok(turn) = Arc::clone(&self.relaying).try_acquire_owned() else {
            return;
        };
        let (input, notifier) = (self.queues.input.clone(), self.queues.notifier.queue());
        tokio::spawn(async move {
            let _turn = turn;
            if let Err(error) = relay(repo.as_ref(), &input, notifier.as_ref(), &tenants, hold).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "failed to send messages of the outbox"
                );
            }
        });
    }
}
