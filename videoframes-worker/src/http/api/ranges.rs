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

/// Number of bytes per read, which one download holds in memory.
const CHUNK: u64 = 1 << 20;

/// Number of bytes that content in memory hands over at once.
const PART: usize = 64 << 10;

/// The part of the content that a request selects.
#[derive(Debug, PartialEq, Eq)]
enum Selected {
    All,
    /// From the first to the last byte, inclusive.
    Part(u64, u64),
    Unsatisfiable,
}

/// Returns the selected part of `length` bytes. Several ranges select everything, as servers may decide.
fn select(headers: &HeaderMap, length: u64, etag: &str) -> Selected {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let Some(range) = text(header::RANGE) else {
        return Selected::All;
    };
    if text(header::IF_RANGE).is_some_and(|known| known != etag) {
        return Selected::All;
    }
    let Ok(parsed) = http_range_header::parse_range_header(range) else {
        return Selected::All;
    };
    match parsed.validate(length).as_deref() {
        Ok([range]) => Selected::Part(*range.start(), *range.end()),
        Ok(_) => Selected::All,
        Err(_) => Selected::Unsatisfiable,
    }
}

/// Returns the content of a source, or the requested part. `sha256` identifies the content.
pub(super) fn content(source: Arc<dyn Source>, sha256: &str, headers: &HeaderMap) -> Response {
    let etag = format!("\"{sha256}\"");
    let length = source.len();
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let is_known = |known: &str| {
        known
            .split(',')
            .any(|known| known.trim().trim_start_matches("W/") == etag)
    };
    let mut response = if known.is_some_and(is_known) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_range_selects_a_part() {
        let of = |range: &str, if_range: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, range.parse().unwrap());
            if let Some(known) = if_range {
                headers.insert(header::IF_RANGE, known.parse().unwrap());
            }
            select(&headers, 100, "\"a\"")
        };
        for (range, expected) in [
            ("bytes=0-9", Selected::Part(0, 9)),
            ("bytes=90-", Selected::Part(90, 99)),
            ("bytes=-10", Selected::Part(90, 99)),
            ("bytes=90-1000", Selected::Part(90, 99)),
            ("bytes=100-", Selected::Unsatisfiable),
            ("bytes=0-1,5-6", Selected::All),
            ("bytes=x", Selected::All),
            ("items=0-1", Selected::All),
        ] {
            assert_eq!(of(range, None), expected, "{range}");
        }
        assert_eq!(of("bytes=0-9", Some("\"a\"")), Selected::Part(0, 9));
        assert_eq!(of("bytes=0-9", Some("\"b\"")), Selected::All);
    }
}
