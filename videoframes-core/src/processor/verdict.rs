//! Classifies errors: whether an attempt may be repeated.

use std::{fmt, io};

use super::subject::Operation;
use crate::archive::ArchiveError;
use crate::error::{ErrorKind, kept_chain};
use crate::extract::ExtractError;
use crate::jobs::{ErrorCode, JobError};
use crate::pipeline::Error;
use crate::storage::{ObjectKey, StorageError};

/// The reason why an attempt has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) error: JobError,
    /// Whether another attempt may succeed without any change.
    pub(super) retryable: bool,
    /// Subject that may have an outage, if any.
    pub(super) suspect: Option<Suspect>,
    /// Objects of this attempt to delete if the job fails because of this error.
    pub(super) discard: Vec<ObjectKey>,
}

/// A dependency that may have an outage, which affects every job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspect {
    /// Reads from the source store.
    SourceRead,
    /// An operation on the result store.
    Results(Operation),
}

/// The reason why an existing object cannot be used as a result.
#[derive(Debug)]
pub(super) enum Unusable {
    /// The store failed: the object may be complete.
    Store(StorageError),
    /// The object is damaged, missing, or not the expected one.
    Object(Verdict),
}

impl Unusable {
    /// Returns the reason for a failed request for the object.
    pub(super) fn of_request(error: StorageError) -> Self {
        match error {
            StorageError::NotFound(_) => Self::Object(Verdict::retryable(
                ErrorCode::OutputUnavailable,
                kept_chain(&error),
            )),
            error => Self::Store(error),
        }
    }

    /// Returns the reason for a failed read of the object. Bytes that differ from the checksum of the store are invalid
    /// data.
    pub(super) fn of_read(key: &ObjectKey, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::InvalidData {
            return Self::damaged(key, &error);
        }
        Self::of_request(match error.downcast::<StorageError>() {
            Ok(error) => error,
            Err(error) => StorageError::from_io("read", key.as_str(), error),
        })
    }

    /// Returns the reason for an object whose bytes are no archive.
    pub(super) fn damaged(key: &ObjectKey, reason: impl fmt::Display) -> Self {
        let verdict = Verdict::retryable(ErrorCode::OutputUnavailable, format!("'{key}': {reason}"));
        Self::Object(verdict.suspecting(Suspect::Results(Operation::Read)))
    }
}

impl From<Verdict> for Unusable {
    fn from(verdict: Verdict) -> Self {
        Self::Object(verdict)
    }
}

impl From<Unusable> for Verdict {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Store(error) => Self::from_results_error(&error, Operation::Read),
            Unusable::Object(verdict) => verdict,
        }
    }
}

impl Verdict {
    pub(super) fn permanent(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            error: JobError::new(code, message),
            retryable: false,
            suspect: None,
            discard: Vec::new(),
        }
    }

    /// Returns the verdict for a request that no video can satisfy.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::permanent(ErrorCode::InvalidRequest, message)
    }

    pub(super) fn retryable(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            error: JobError::new(code, message),
            retryable: true,
            suspect: None,
            discard: Vec::new(),
        }
    }

    /// Adds a dependency that may have an outage.
    pub(super) fn suspecting(self, suspect: Suspect) -> Self {
        Self {
            suspect: Some(suspect),
            ..self
        }
    }

    /// Returns the verdict for a dependency with a known outage.
    pub(super) fn from_outage(suspect: Suspect) -> Self {
        let (code, message) = match suspect {
            Suspect::SourceRead => (ErrorCode::SourceUnavailable, "the source store does not respond"),
            Suspect::Results(_) => (ErrorCode::OutputUnavailable, "the result store does not respond"),
        };
        Self::retryable(code, message).suspecting(suspect)
    }

    /// Returns the verdict for a failed extraction.
    pub(super) fn from_pipeline_error(error: &Error) -> Self {
        let message = kept_chain(error);
        match error {
            Error::Source(source) | Error::Extract(ExtractError::SourceFailed(source)) => {
                match StorageError::of_read(source) {
                    Some(error) => Self::from_source_error(error),
                    None => {
                        Self::retryable(ErrorCode::SourceUnavailable, message).suspecting(Suspect::SourceRead)
                    }
                }
            }
            Error::Archive(ArchiveError::Storage(error)) | Error::Video(error) => {
                Self::from_output_error(error, message, Operation::Write)
            }
            error => Self::from_kind(error.kind(), message),
        }
    }

    /// Returns the verdict for a kind of error: the only table from kinds to error codes of jobs.
    fn from_kind(kind: ErrorKind, message: String) -> Self {
        let (code, retryable) = match kind {
            ErrorKind::SourceUnavailable => (ErrorCode::SourceUnavailable, true),
            ErrorKind::EmptySource => (ErrorCode::EmptySource, false),
            ErrorKind::NotAVideo => (ErrorCode::NotAVideo, false),
            ErrorKind::NoVideoStream => (ErrorCode::NoVideoStream, false),
            ErrorKind::Damaged => (ErrorCode::DamagedVideo, false),
            ErrorKind::SelectionOutOfRange => (ErrorCode::SelectionOutOfRange, false),
            ErrorKind::LimitExceeded => (ErrorCode::LimitExceeded, false),
            ErrorKind::NoSpace => (ErrorCode::NoSpace, true),
            // Another worker may have the component that this one lacks.
            ErrorKind::DecoderMissing | ErrorKind::DecoderUnsupported | ErrorKind::NotConfigured => {
                (ErrorCode::Unsupported, true)
            }
            ErrorKind::DecoderStalled => (ErrorCode::DecoderStalled, true),
            ErrorKind::DecoderFailed | ErrorKind::Cancelled => (ErrorCode::DecoderFailed, true),
            ErrorKind::NotPlannable => (ErrorCode::Unsupported, false),
            ErrorKind::StatisticsTooLarge | ErrorKind::NotCompressible | ErrorKind::VerificationFailed => {
                (ErrorCode::RenditionFailed, false)
            }
            ErrorKind::OutputExists => (ErrorCode::OutputExists, false),
            ErrorKind::InvalidName => (ErrorCode::InvalidRequest, false),
            ErrorKind::StoreUnavailable => (ErrorCode::OutputUnavailable, true),
            ErrorKind::ArchiveFailed => (ErrorCode::Internal, false),
        };
        match retryable {
            true => Self::retryable(code, message),
            false => Self::permanent(code, message),
        }
    }

    fn from_output_error(error: &StorageError, message: String, operation: Operation) -> Self {
        let suspect = Suspect::Results(operation);
        match error {
            StorageError::AlreadyExists(_) => Self::permanent(ErrorCode::OutputExists, message),
            StorageError::Invalid { .. } => Self::permanent(ErrorCode::InvalidRequest, message),
            StorageError::NoSpace { .. } => Self::retryable(ErrorCode::NoSpace, message).suspecting(suspect),
            StorageError::Refused { .. } => Self::retryable(ErrorCode::OutputUnavailable, message),
            _ => Self::retryable(ErrorCode::OutputUnavailable, message).suspecting(suspect),
        }
    }

    /// Returns the verdict for a source whose metadata cannot be read.
    pub(super) fn from_source_error(error: &StorageError) -> Self {
        let message = kept_chain(error);
        match error {
            StorageError::NotFound(_) => Self::permanent(ErrorCode::SourceNotFound, message),
            StorageError::Changed(_) => Self::permanent(ErrorCode::InputChanged, message),
            StorageError::Invalid { .. } => Self::permanent(ErrorCode::InvalidRequest, message),
            // Changes of permissions take some time to propagate.
            StorageError::Refused { .. } => Self::retryable(ErrorCode::SourceRefused, message),
            _ => Self::retryable(ErrorCode::SourceUnavailable, message).suspecting(Suspect::SourceRead),
        }
    }

    /// Returns the verdict for a failed operation on the result store.
    pub(super) fn from_results_error(error: &StorageError, operation: Operation) -> Self {
        Self::from_output_error(error, kept_chain(error), operation)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn permanent_errors_are_not_retried() {
        let code = |error: Error| {
            let verdict = Verdict::from_pipeline_error(&error);
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
    #[test]
    fn an_error_of_the_store_is_no_damage() {
        let key: ObjectKey = "results/j/1.zip".parse().unwrap();
        let stored = |error: StorageError| io::Error::other(error);
        let refused = StorageError::Refused {
            action: "read",
            name: String::new(),
            source: io::ErrorKind::PermissionDenied.into(),
        };
        let timeout = StorageError::from_io("read", "k", io::ErrorKind::TimedOut.into());
        for (error, is_store) in [
            (stored(timeout), true),
            (stored(refused), true),
            (stored(StorageError::Changed(String::new())), true),
            (io::ErrorKind::PermissionDenied.into(), true),
            (stored(StorageError::NotFound(String::new())), false),
            (io::ErrorKind::NotFound.into(), false),
            (
                io::Error::new(io::ErrorKind::InvalidData, "another checksum"),
                false,
            ),
        ] {
            let text = format!("{error:?}");
            let unusable = Unusable::of_read(&key, error);
            assert_eq!(matches!(unusable, Unusable::Store(_)), is_store, "{text}");
        }
        let damaged = Unusable::damaged(&key, "is truncated");
        assert!(matches!(damaged, Unusable::Object(_)), "{damaged:?}");
    }

    #[test]
    fn only_outages_have_a_suspect() {
        let refused = || StorageError::Refused {
            action: "read",
            name: String::new(),
            source: std::io::ErrorKind::PermissionDenied.into(),
        };
        let unavailable = || StorageError::from_io("read", "v.mp4", std::io::ErrorKind::TimedOut.into());
        let source = Some(Suspect::SourceRead);
        for (error, code, retryable, suspect) in [
            (
                StorageError::NotFound(String::new()),
                "SOURCE_NOT_FOUND",
                false,
                None,
            ),
            (
                StorageError::invalid("k", "is odd"),
                "INVALID_REQUEST",
                false,
                None,
            ),
            (refused(), "SOURCE_REFUSED", true, None),
            (unavailable(), "SOURCE_UNAVAILABLE", true, source),
        ] {
            let verdict = Verdict::from_source_error(&error);
            assert_eq!(
                (verdict.error.code.as_str(), verdict.retryable, verdict.suspect),
                (code, retryable, suspect)
            );
        }
        let write = Some(Suspect::Results(Operation::Write));
        for (error, code, suspect) in [
            (refused(), "OUTPUT_UNAVAILABLE", None),
            (StorageError::AlreadyExists(String::new()), "OUTPUT_EXISTS", None),
            (unavailable(), "OUTPUT_UNAVAILABLE", write),
        ] {
            let verdict = Verdict::from_pipeline_error(&Error::Archive(ArchiveError::Storage(error)));
            assert_eq!((verdict.error.code.as_str(), verdict.suspect), (code, suspect));
        }
    }
}
