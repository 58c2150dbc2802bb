//! Content with ranges (RFC 9110), streamed from a source.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use videoframes_core::source::Source;

use crate::http::problem::Problem;
use crate::http::request::{Selected, is_known, select};

/// Number of bytes per read, which one download holds in memory.
const CHUNK: u64 = 1 << 20;

/// Number of bytes that content in memory hands over at once.
const PART: usize = 64 << 10;

/// Returns the content of a source, or the requested part. `sha256` identifies the content.
pub(super) fn content(source: Arc<dyn Source>, sha256: &str, headers: &HeaderMap) -> Response {
    let etag = format!("\"{sha256}\"");
    let length = source.len();
    let mut response = if is_known(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match select(headers, length, &etag) {
            Selected::All => part(source, 0, length),
            Selected::Part(first, last) => {
                let mut response = part(source, first, last + 1);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = HeaderValue::from_str(&format!("bytes {first}-{last}/{length}"));
                insert(&mut response, header::CONTENT_RANGE, range.ok());
                response
            }
            Selected::Unsatisfiable => {
                let detail = format!("the content has {length} bytes");
                let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "invalid_range", detail);
                let mut response = problem.into_response();
                let range = HeaderValue::from_str(&format!("bytes */{length}"));
                insert(&mut response, header::CONTENT_RANGE, range.ok());
                return response;
            }
        }
    };
    insert(&mut response, header::ETAG, HeaderValue::from_str(&etag).ok());
    insert(
        &mut response,
        header::ACCEPT_RANGES,
        Some(HeaderValue::from_static("bytes")),
    );
    // The content under a job never changes, but a job may be deleted.
    let cached = HeaderValue::from_static("private, no-cache");
    insert(&mut response, header::CACHE_CONTROL, Some(cached));
    response
}

fn insert(response: &mut Response, name: header::HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        response.headers_mut().insert(name, value);
    }
}

/// Streams the bytes from `start` to before `end`.
fn part(source: Arc<dyn Source>, start: u64, end: u64) -> Response {
    let chunks = stream::try_unfold(start, move |offset| {
        let source = Arc::clone(&source);
        async move {
            let wanted = usize::try_from((end - offset).min(CHUNK)).unwrap_or(usize::MAX);
            if wanted == 0 {
                return Ok(None);
            }
            let bytes = source.read_at(offset, wanted).await.inspect_err(|error| {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "failed to read an object for a download"
                );
            })?;
            let read = bytes.len() as u64;
            match read {
                // The connection ends before the promised length, so that the client notices.
                0 => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
                _ => Ok(Some((bytes, offset + read))),
            }
        }
    });
    let mut response = Body::from_stream(chunks).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, (end - start).into());
    response
}

/// Returns content that is in memory. The permit for its space ends with the last part.
pub(super) fn whole(content: Bytes, permit: OwnedSemaphorePermit) -> Response {
    let length = content.len();
    let parts = stream::unfold((content, permit), async |(mut rest, permit)| {
        if rest.is_empty() {
            return None;
        }
        let part = rest.split_to(rest.len().min(PART));
        Some((Ok::<_, Infallible>(part), (rest, permit)))
    });
    let mut response = Body::from_stream(parts).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response
}
