//! Submission of jobs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use videoframes_core::error::chain;
use videoframes_core::jobs::{Enqueue, JobMessage, SourceRef};
use videoframes_core::processor::relay;
use videoframes_core::storage::StorageError;
use videoframes_core::trace::{self, TraceContext};

use super::Api;
use super::extract::JsonText;
use crate::http::identity::Actor;
use crate::http::problem::Problem;

/// Header with a key that makes repetitions of a request the same job.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Maximum length of an idempotency key in bytes.
const KEY_BYTES: usize = 1024;

pub(crate) async fn submit(
    State(api): State<Arc<Api>>,
    actor: Actor,
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let request =
        JobMessage::parse_request(&body).map_err(|poison| Problem::bad_request(poison.to_string()))?;
    let invalid = |reason: &str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", reason);
    let Some(source) = request.source() else {
        return Err(invalid(request.rejection().unwrap_or("the request is invalid")));
    };
    let etag = api.etag(source).await?;
    let mut job = request.into_job(Some(etag), api.deadline);
    if let Some(key) = key {
        job.idempotency_key = key;
    } else if !has_key(&body) {
        // Without a key, every submission is a separate job.
        job.idempotency_key = job.id.to_string();
    }
    let span = tracing::info_span!("submit", otel.kind = "producer", job.id = %job.id);
    let parent = parent(&headers);
    if let Some(parent) = &parent {
        trace::set_parent(&span, parent);
    }
    job.trace = trace::context_of(&span).or(parent);
    let submitted = async {
        let jobs = [job];
        let repo = api.repo().await?;
        let submitted = repo.submit(&jobs, Enqueue::ThroughOutbox).await?;
        let submitted = submitted.into_iter().next();
        submitted.ok_or_else(|| Problem::unavailable("the database returned no job for the submission"))
    };
    let submitted = submitted.instrument(span).await?;
    if submitted.created {
        api.lists.forget();
        actor.changed_job("submit", submitted.id);
        api.relay();
    }
    let job = api.job(submitted.id).await?;
    let status = match submitted.created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let mut response = (status, Json(job)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/jobs/{}", submitted.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .ok()
        .filter(|text| (1..=KEY_BYTES).contains(&text.len()));
    let invalid = || {
        Problem::bad_request(format!(
            "Idempotency-Key: must have 1 to {KEY_BYTES} ASCII characters"
        ))
    };
    text.map(|text| Some(text.to_owned())).ok_or_else(invalid)
}

/// Returns whether the request has an idempotency key.
fn has_key(body: &str) -> bool {
    let body: Result<serde_json::Value, _> = serde_json::from_str(body);
    body.is_ok_and(|body| body["idempotency_key"].is_string())
}

fn parent(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    TraceContext::new(text(TraceContext::TRACEPARENT)?, text(TraceContext::TRACESTATE))
}

impl Api {
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
        let (repo, hold) = (Arc::clone(&self.repo), self.relay_hold);
        let (input, notifier) = (self.queues.input.queue(), self.queues.notifier.queue());
        tokio::spawn(async move {
            if let Err(error) = relay(repo.as_ref(), input.as_ref(), notifier.as_ref(), hold).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "failed to send messages of the outbox"
                );
            }
        });
    }
}
