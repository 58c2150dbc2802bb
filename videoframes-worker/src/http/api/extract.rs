//! Extractors whose rejections are problem details.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use videoframes_core::jobs::JobId;

use crate::http::problem::Problem;
use crate::http::request::{is_json, parameters};

/// Maximum time until a JSON body has arrived.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Parameters of the query.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(parameters(&parts.uri)?))
    }
}

/// Segments of the path.
#[derive(Debug)]
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(error) => Err(Problem::bad_request(format!(
                "invalid path: {}",
                error.body_text()
            ))),
        }
    }
}

/// The job that the path names.
#[derive(Debug)]
pub(crate) struct JobInPath(pub(crate) JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Segments::<String>::from_request_parts(parts, state)
            .await
            .and_then(|Segments(id)| job_id(&id).map(Self))
    }
}

/// Parses the id of a job in a path.
pub(super) fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found("a job id is a UUID; no job has another id"))
}

/// The text of a JSON body, whose size the router limits.
#[derive(Debug)]
pub(crate) struct JsonText(pub(crate) String);

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "the body must be JSON, with Content-Type: application/json";
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                detail,
            ));
        }
        let body = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
        let body = body.map_err(|_| Problem::stalled("the body did not arrive within 30 s"))?;
        let body = body.map_err(|error| match error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            true => {
                let detail = "a JSON body has at most 256 KiB";
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
            }
            false => Problem::bad_request("failed to read the body"),
        })?;
        String::from_utf8(body.into())
            .map(Self)
            .map_err(|_| Problem::bad_request("the body is not UTF-8"))
    }
}

/// A JSON body with known fields.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let JsonText(text) = JsonText::from_request(request, state).await?;
        serde_json::from_str(&text)
            .map(Self)
            .map_err(|error| Problem::bad_request(format!("invalid body: {error}")))
    }
}
