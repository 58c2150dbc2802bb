//! What a store's answers mean.

use std::error::Error as StdError;
use std::io;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::super::StorageError;

/// Longest text of an answer that is passed on.
const TEXT: usize = 300;

/// What was asked of which object, for the error where it fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) action: &'static str,
    pub(super) name: &'a str,
}

impl Asked<'_> {
    /// What the answer means where an object was to be read.
    pub(super) fn failed<E>(self, error: &SdkError<E, HttpResponse>) -> StorageError
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        match (status(error), code(error)) {
            (Some(404), Some("NoSuchBucket")) => self.io("there is no such bucket"),
            (Some(404), _) => StorageError::NotFound(self.name.to_owned()),
            (Some(412), _) => StorageError::Changed(self.name.to_owned()),
            (Some(403), Some("RequestTimeTooSkewed")) => {
                self.io("the clock of this machine is wrong: RequestTimeTooSkewed")
            }
            (Some(403), code) => {
                let code = code.filter(|code| *code != "AccessDenied" && *code != "Forbidden");
                let code = code.map_or_else(String::new, |code| format!(" ({code})"));
                self.io(format!(
                    "access is denied{code}; without the right to list, a missing object is answered like that"
                ))
            }
            // A HEAD has no body that would say which.
            (Some(301 | 400), None) => {
                self.io("it is refused: the region may be another one, or the credentials no longer valid")
            }
            _ => self.io(describe(error)),
        }
    }

    pub(super) fn io(self, why: impl Into<String>) -> StorageError {
        StorageError::Io {
            action: self.action,
            name: self.name.to_owned(),
            source: io::Error::other(why.into()),
        }
    }
}

pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

pub(super) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error()?.code()
}

/// In one line of bounded length. Neither headers nor addresses are part of it.
fn describe<E: ProvideErrorMetadata + StdError + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    let text = match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            match (answer.err().code(), answer.err().message()) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                (Some(code), None) => code.to_owned(),
                _ => format!("the store answers {status}"),
            }
        }
        SdkError::TimeoutError(_) => "it does not answer in time".to_owned(),
        error => innermost(error),
    };
    text.chars().take(TEXT).collect()
}

/// What the last of the causes says: those before repeat that something failed.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// Whether it is not known what became of a request: it may have been done.
pub(super) fn is_doubtful<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => false,
        SdkError::ServiceError(answer) => answer.raw().status().as_u16() >= 500,
        _ => true,
    }
}
