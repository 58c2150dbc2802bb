//! Errors of an HTTP source.

use std::error::Error;
use std::io;

use reqwest::StatusCode;

/// Errors of an HTTP source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The host has an address of this machine or of a local network, which is not allowed.
    #[error("'{0}' has no public address")]
    PrivateAddress(String),
    /// The server returned an error status.
    #[error("the server returned {0}")]
    Status(StatusCode),
    /// The video exceeds the size limit.
    #[error("the video is larger than the limit of {0} bytes")]
    TooLarge(u64),
    /// The server was silent, or slower than the minimum rate.
    #[error("the server is too slow")]
    TooSlow,
    /// The download exceeded the time limit.
    #[error("the download exceeded the time limit")]
    TimeLimit,
    /// The response violates HTTP.
    #[error("the server sent an invalid response: {0}")]
    Answer(String),
    /// The video changed while it was read.
    #[error("the video changed while it was read")]
    Changed,
    /// The connection failed.
    #[error("the connection failed")]
    Transport(#[source] reqwest::Error),
    /// The response is incomplete.
    #[error("the connection was closed early")]
    Truncated,
    /// A temporary file for a server without ranges could not be written.
    #[error("failed to write a copy to {}", std::env::temp_dir().display())]
    Copy(#[source] io::Error),
}

impl HttpError {
    /// Converts the error of a request.
    pub(super) fn from_request(error: reqwest::Error, host: &str) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            if inner.is::<NotPublic>() {
                return Self::PrivateAddress(host.to_owned());
            }
            cause = inner.source();
        }
        if error.is_timeout() && !error.is_connect() {
            return Self::TooSlow;
        }
        // A URL may contain secrets.
        Self::Transport(error.without_url())
    }

    /// Returns whether a retry may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Truncated | Self::TooSlow => true,
            Self::Status(status) => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                    )
            }
            _ => false,
        }
    }
}

impl From<HttpError> for io::Error {
    fn from(error: HttpError) -> Self {
        Self::other(error)
    }
}

/// A name has no public address.
#[derive(Debug, thiserror::Error)]
#[error("the name has no public address")]
pub(super) struct NotPublic;
