//! What an error means for its job: try again, or never.

use crate::archive::ArchiveError;
use crate::compress::CompressError;
use crate::error::kept_chain;
use crate::extract::ExtractError;
use crate::jobs::{ErrorCode, JobError};
use crate::pipeline::Error;
use crate::select::SelectError;
use crate::storage::{ObjectKey, StorageError};

/// Why an attempt has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) error: JobError,
    /// Whether another attempt may succeed without anyone changing anything.
    pub(super) retryable: bool,
    /// Objects of this attempt that must not stay, once the job has failed for it.
    pub(super) discard: Vec<ObjectKey>,
}

impl Verdict {
    pub(super) fn permanent(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            error: JobError::new(code, message),
            retryable: false,
            discard: Vec::new(),
        }
    }

    pub(super) fn retryable(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            error: JobError::new(code, message),
            retryable: true,
            discard: Vec::new(),
        }
    }

    /// Whether it says that a store did not answer as it should, which may hold for every job.
    pub(super) fn is_of_a_store(&self) -> bool {
        let codes = [ErrorCode::SourceUnavailable, ErrorCode::OutputUnavailable];
        self.retryable && codes.iter().any(|code| self.error.code == code.as_str())
    }

    /// Of a failed extraction.
    pub(super) fn of(error: &Error) -> Self {
        let message = kept_chain(error);
        let permanent = |code| Self::permanent(code, message.clone());
        let retryable = |code| Self::retryable(code, message.clone());
        match error {
            Error::Source(source) | Error::Extract(ExtractError::SourceFailed(source)) => {
                match StorageError::of_read(source) {
                    Some(error) => Self::of_source(error),
                    None => retryable(ErrorCode::SourceUnavailable),
                }
            }
            Error::Copy { .. } => retryable(ErrorCode::NoSpace),
            Error::Empty => permanent(ErrorCode::EmptySource),
            Error::Select(SelectError::TooManyFrames { .. } | SelectError::TooFine { .. }) => {
                permanent(ErrorCode::LimitExceeded)
            }
            Error::Select(_) => permanent(ErrorCode::SelectionOutOfRange),
            Error::LimitExceeded(_) | Error::Extract(ExtractError::LimitExceeded(_)) => {
                permanent(ErrorCode::LimitExceeded)
            }
            Error::Damaged(_) | Error::Extract(ExtractError::Damaged(_)) => {
                permanent(ErrorCode::DamagedVideo)
            }
            Error::NotPlannable(_) => permanent(ErrorCode::Unsupported),
            Error::Archive(ArchiveError::Storage(error)) => Self::of_output(error, message),
            Error::Archive(_) => permanent(ErrorCode::Internal),
            Error::Video(error) => Self::of_output(error, message),
            Error::Compress(CompressError::Output(_)) => retryable(ErrorCode::NoSpace),
            Error::Compress(CompressError::TooLarge(_)) => permanent(ErrorCode::LimitExceeded),
            Error::Compress(_) => permanent(ErrorCode::RenditionFailed),
            Error::Extract(error) => match error {
                // Another worker may have what this one lacks.
                ExtractError::DecoderMissing { .. } | ExtractError::Unsupported(_) => {
                    retryable(ErrorCode::Unsupported)
                }
                ExtractError::NotAVideo(_) => permanent(ErrorCode::NotAVideo),
                ExtractError::NoVideoStream => permanent(ErrorCode::NoVideoStream),
                ExtractError::Stalled(_) => retryable(ErrorCode::DecoderStalled),
                _ => retryable(ErrorCode::DecoderFailed),
            },
        }
    }

    fn of_output(error: &StorageError, message: String) -> Self {
        match error {
            StorageError::AlreadyExists(_) => Self::permanent(ErrorCode::OutputExists, message),
            StorageError::Invalid { .. } => Self::permanent(ErrorCode::InvalidRequest, message),
            StorageError::NoSpace { .. } => Self::retryable(ErrorCode::NoSpace, message),
            _ => Self::retryable(ErrorCode::OutputUnavailable, message),
        }
    }

    /// Of a source that cannot be looked at.
    pub(super) fn of_source(error: &StorageError) -> Self {
        let message = kept_chain(error);
        match error {
            StorageError::NotFound(_) => Self::permanent(ErrorCode::SourceNotFound, message),
            StorageError::Changed(_) => Self::permanent(ErrorCode::InputChanged, message),
            StorageError::Invalid { .. } => Self::permanent(ErrorCode::InvalidRequest, message),
            _ => Self::retryable(ErrorCode::SourceUnavailable, message),
        }
    }

    /// Of a store that cannot be asked about the result.
    pub(super) fn of_store(error: &StorageError) -> Self {
        Self::of_output(error, kept_chain(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_succeed_is_not_repeated() {
        let code = |error: Error| {
            let verdict = Verdict::of(&error);
            (verdict.error.code, verdict.retryable)
        };
        let named = |name: &str, retryable| (name.to_owned(), retryable);
        assert_eq!(code(Error::Empty), named("EMPTY_SOURCE", false));
        assert_eq!(
            code(ExtractError::NoVideoStream.into()),
            named("NO_VIDEO_STREAM", false)
        );
        assert_eq!(
            code(ExtractError::NotAVideo(String::new()).into()),
            named("NOT_A_VIDEO", false)
        );
        assert_eq!(code(Error::Damaged(String::new())), named("DAMAGED_VIDEO", false));
        assert_eq!(
            code(ExtractError::DecoderFailed(String::new()).into()),
            named("DECODER_FAILED", true)
        );
        let full = StorageError::NoSpace {
            name: String::new(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        assert_eq!(
            code(Error::Archive(ArchiveError::Storage(full))),
            named("NO_SPACE", true)
        );
    }
}
