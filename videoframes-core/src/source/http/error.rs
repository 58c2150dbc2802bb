//! Why a video could not be had by HTTP.

use std::error::Error;
use std::io;

use reqwest::StatusCode;

/// Why a video could not be had by HTTP.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is none of a video by HTTP.
    #[error("{0}")]
    InvalidUrl(String),
    /// The host is of this machine or of a local network, and that was not allowed.
    #[error("'{0}' is at an address that is not public")]
    PrivateAddress(String),
    /// There is nothing, or nothing for us.
    #[error("the server answers {0}")]
    Status(StatusCode),
    /// It is longer than allowed.
    #[error("it is larger than the limit of {0} bytes")]
    TooLarge(u64),
    /// It was silent, or sent less than it has to in that time.
    #[error("the server is too slow")]
    TooSlow,
    /// All of it took longer than allowed.
    #[error("it took longer than allowed")]
    TimeLimit,
    /// The server does not do what HTTP says.
    #[error("the server's answer cannot be used: {0}")]
    Answer(String),
    /// What is there is not what was there.
    #[error("it changed while it was read")]
    Changed,
    /// The connection.
    #[error("the connection failed")]
    Transport(#[source] reqwest::Error),
    /// The answer ended before its end.
    #[error("the connection ended early")]
    Truncated,
    /// What a server only gives as a whole could not be kept.
    #[error("no copy of it can be kept in {}", std::env::temp_dir().display())]
    Copy(#[source] io::Error),
}

impl HttpError {
    /// What a failed request means.
    pub(super) fn of(error: reqwest::Error, host: &str) -> Self {
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
        // An address can carry what only its owner should know.
        Self::Transport(error.without_url())
    }

    /// Whether another try may go better.
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

/// No address of a name is public.
#[derive(Debug, thiserror::Error)]
#[error("no address of it is public")]
pub(super) struct NotPublic;
