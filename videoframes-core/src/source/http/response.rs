//! The headers of a response.

use reqwest::Response;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderValue, LAST_MODIFIED};

use super::HttpError;
use crate::source::content_range::ContentRange;

/// Identifies a version of the video, as far as the server provides one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    etag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
}

impl Version {
    pub(super) fn from_response(response: &Response) -> Self {
        let header = |name| response.headers().get(name).cloned();
        Self {
            etag: header(ETAG),
            modified: header(LAST_MODIFIED),
        }
    }
}

/// Returns the range of a response.
pub(super) fn content_range(response: &Response) -> Result<ContentRange, HttpError> {
    let header = response.headers().get(CONTENT_RANGE);
    header
        .and_then(|header| ContentRange::parse(header.to_str().ok()?))
        .ok_or_else(|| HttpError::Answer("missing Content-Range header".to_owned()))
}

/// Returns whether a response to a request for the first bytes shows that the video is empty.
pub(super) fn is_empty(response: &Response) -> bool {
    let range = response.headers().get(CONTENT_RANGE);
    range.is_some_and(|range| range == "bytes */0")
}
