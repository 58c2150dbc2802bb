//! What an error means for its job: try again, or never.

use super::circuit::Operation;
use crate::archive::ArchiveError;
use crate::error::{Error, ErrorKind, kept_chain};
use crate::extract::ExtractError;
use crate::jobs::{ErrorCode, JobError};
use crate::storage::{ObjectKey, StorageError};

/// Why an attempt has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) error: JobError,
    /// Whether another attempt may succeed without anyone changing anything.
    pub(super) retryable: bool,
    /// What failed, where that may be out of order for every job.
    pub(super) suspect: Option<Suspect>,
    /// Objects of this attempt that must not stay, once the job has failed for it.
    pub(super) discard: Vec<ObjectKey>,
}

/// What may be out of order for every job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspect {
    /// Reading from the store of the source.
    SourceRead,
    /// An operation of the store of the results.
    Results(Operation),
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

    pub(super) fn retryable(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            error: JobError::new(code, message),
            retryable: true,
            suspect: None,
            discard: Vec::new(),
        }
    }

    /// The same, where this may be out of order for every job.
    pub(super) fn suspecting(self, suspect: Suspect) -> Self {
        Self {
            suspect: Some(suspect),
            ..self
        }
    }

    /// Of a dependency that is known to be out of order.
    pub(super) fn of_outage(suspect: Suspect) -> Self {
        let (code, message) = match suspect {
            Suspect::SourceRead => (
                ErrorCode::SourceUnavailable,
                "the store of the source does not answer",
            ),
            Suspect::Results(_) => (
                ErrorCode::OutputUnavailable,
                "the store of the results does not answer",
            ),
        };
        Self::retryable(code, message).suspecting(suspect)
    }

    /// Of a failed extraction.
    pub(super) fn of(error: &Error) -> Self {
        let message = kept_chain(error);
        match error {
            Error::Source(source) | Error::Extract(ExtractError::SourceFailed(source)) => {
                match StorageError::of_read(source) {
                    Some(error) => Self::of_source(error),
                    None => {
                        Self::retryable(ErrorCode::SourceUnavailable, message).suspecting(Suspect::SourceRead)
                    }
                }
            }
            Error::Archive(ArchiveError::Storage(error)) | Error::Video(error) => {
                Self::of_output(error, message, Operation::Write)
            }
            error => Self::of_kind(error.kind(), message),
        }
    }

    /// The only table from kinds of errors to error codes of jobs.
    fn of_kind(kind: ErrorKind, message: String) -> Self {
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

    fn of_output(error: &StorageError, message: String, operation: Operation) -> Self {
        let suspect = Suspect::Results(operation);
        match error {
            StorageError::AlreadyExists(_) => Self::permanent(ErrorCode::OutputExists, message),
            StorageError::Invalid { .. } => Self::permanent(ErrorCode::InvalidRequest, message),
            StorageError::NoSpace { .. } => Self::retryable(ErrorCode::NoSpace, message).suspecting(suspect),
            StorageError::Refused { .. } => Self::retryable(ErrorCode::OutputUnavailable, message),
            _ => Self::retryable(ErrorCode::OutputUnavailable, message).suspecting(suspect),
        }
    }

    /// Of a source that cannot be looked at.
    pub(super) fn of_source(error: &StorageError) -> Self {
        let message = kept_chain(error);
        match error {
            StorageError::NotFound(_) => Self::permanent(ErrorCode::SourceNotFound, message),
            StorageError::Changed(_) => Self::permanent(ErrorCode::InputChanged, message),
            StorageError::Invalid { .. } => Self::permanent(ErrorCode::InvalidRequest, message),
            // Rights take some time to spread.
            StorageError::Refused { .. } => Self::retryable(ErrorCode::SourceRefused, message),
            _ => Self::retryable(ErrorCode::SourceUnavailable, message).suspecting(Suspect::SourceRead),
        }
    }

    /// Of an operation of the store of the results that failed.
    pub(super) fn of_results(error: &StorageError, operation: Operation) -> Self {
        Self::of_output(error, kept_chain(error), operation)
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
    #[test]
    fn only_what_may_fail_for_every_job_is_suspected() {
        let refused = || StorageError::Refused {
            action: "look at",
            name: String::new(),
            source: std::io::ErrorKind::PermissionDenied.into(),
        };
        let silent = || StorageError::from_io("look at", "v.mp4", std::io::ErrorKind::TimedOut.into());
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
            (silent(), "SOURCE_UNAVAILABLE", true, source),
        ] {
            let verdict = Verdict::of_source(&error);
            assert_eq!(
                (verdict.error.code.as_str(), verdict.retryable, verdict.suspect),
                (code, retryable, suspect)
            );
        }
        let write = Some(Suspect::Results(Operation::Write));
        for (error, code, suspect) in [
            (refused(), "OUTPUT_UNAVAILABLE", None),
            (StorageError::AlreadyExists(String::new()), "OUTPUT_EXISTS", None),
            (silent(), "OUTPUT_UNAVAILABLE", write),
        ] {
            let verdict = Verdict::of(&Error::Archive(ArchiveError::Storage(error)));
            assert_eq!((verdict.error.code.as_str(), verdict.suspect), (code, suspect));
        }
    }
}
