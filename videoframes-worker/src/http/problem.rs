//! Problem details of failed requests (RFC 9457).

use std::error::Error;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use videoframes_console::Failure;
use videoframes_core::access::{Scope, TokenError};
use videoframes_core::archive::ReadArchiveError;
use videoframes_core::error::chain;
use videoframes_core::fleet::FleetError;
use videoframes_core::jobs::{JobId, JobRepoError};
use videoframes_core::storage::StorageError;
use videoframes_core::tenant::Tenant;

use super::request::InvalidRequest;

/// Seconds after which a client may repeat a request that an outage failed.
const RETRY_AFTER: u32 = 5;

/// The reason that a request failed.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    /// Stable name of the reason.
    code: &'static str,
    detail: String,
    /// Seconds after which the client may repeat the request.
    retry_after: Option<u32>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: &'static str,
    detail: &'a str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            retry_after: None,
        }
    }

    pub(super) fn retry_after(self, seconds: u32) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    /// A request with a missing or invalid parameter, header or body.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(super) fn no_job(id: JobId) -> Self {
        Self::not_found(format!("job {id} does not exist"))
    }

    /// A client that sends its body too slowly.
    pub(super) fn stalled(detail: &'static str) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "stalled", detail)
    }

    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub(super) fn out_of_scope(scope: Scope) -> Self {
        let detail = format!("the token lacks the scope '{scope}'");
        Self::new(StatusCode::FORBIDDEN, "insufficient_scope", detail)
    }

    pub(super) fn other_tenant(own: &Tenant, requested: &Tenant) -> Self {
        let detail =
            format!("tenant: the token submits jobs of the tenant '{own}' only, not of '{requested}'");
        Self::new(StatusCode::FORBIDDEN, "other_tenant", detail)
    }

    /// A request that may succeed later.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(RETRY_AFTER)
    }

    /// A fault of this program, whose cause is in the log only.
    pub(super) fn internal(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error, "failed to answer an HTTP request");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "internal error; the log of the worker has the cause",
        )
    }

    /// An outage of the database, the store or a queue.
    fn outage(error: &(dyn Error + 'static)) -> Self {
        tracing::warn!(error, "failed to answer an HTTP request");
        Self::unavailable(chain(error))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<InvalidRequest> for Problem {
    fn from(InvalidRequest(detail): InvalidRequest) -> Self {
        Self::bad_request(detail)
    }
}

impl From<JobRepoError> for Problem {
    fn from(error: JobRepoError) -> Self {
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, error.to_string());
        match &error {
            JobRepoError::IdempotencyConflict(_) => conflict("idempotency_conflict"),
            JobRepoError::WrongState(_) => conflict("wrong_state"),
            JobRepoError::Unreadable(_) => conflict("unreadable_job"),
            JobRepoError::Restored => Self::unavailable(error.to_string()),
            JobRepoError::Unavailable { .. } => Self::outage(&error),
            _ => Self::internal(&error),
        }
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::NotFound(_) => Self::not_found(error.to_string()),
            StorageError::Changed(_) => Self::new(StatusCode::CONFLICT, "changed", error.to_string()),
            StorageError::Invalid { .. } => Self::bad_request(error.to_string()),
            StorageError::NoSpace { .. } => {
                tracing::warn!(error = &error as &dyn Error, "failed to store an upload");
                let detail = "no space is left in the store";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", detail)
            }
            _ => Self::outage(&error),
        }
    }
}

impl From<ReadArchiveError> for Problem {
    fn from(error: ReadArchiveError) -> Self {
        match &error {
            ReadArchiveError::Source(_) => Self::outage(&error),
            _ => Self::new(StatusCode::CONFLICT, "unreadable_archive", error.to_string()),
        }
    }
}

/// The client is not authenticated yet, and learns nothing about the database.
impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        tracing::warn!(error = &error as &dyn Error, "failed to verify an access token");
        Self::unavailable("failed to verify the access token")
    }
}

impl From<FleetError> for Problem {
    fn from(error: FleetError) -> Self {
        Self::outage(&error)
    }
}

/// A failure of an operation that commands share: the servers behind the operation are the reason.
impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        tracing::warn!(error = %failure, "failed to answer an HTTP request");
        Self::unavailable(failure.to_string())
    }
}
