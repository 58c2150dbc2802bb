//! Errors of the pipeline, their kinds, and errors in one line.

use std::io;
use std::path::PathBuf;

use crate::archive::ArchiveError;
use crate::compress::CompressError;
use crate::extract::{ExtractError, Surprise};
use crate::plan::NotPlannable;
use crate::select::SelectError;
use crate::storage::StorageError;

/// Maximum length in characters of an error in a row or a message.
const MAX_KEPT: usize = 1000;

/// Error of a [`Pipeline`](crate::Pipeline). Nothing was left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source cannot be read.
    #[error("cannot read the source")]
    Source(#[source] io::Error),
    /// A decoder needs the source as a file, and no copy of the source can be written.
    #[error("no copy of the source can be kept in {}", folder.display())]
    Copy {
        /// The folder of the [`Scratch`](crate::pipeline::Scratch).
        folder: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The source has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The selection does not fit the video.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Error of the decoder.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// The result cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A compressed video cannot be made. Errors of the decoder are [`Error::Extract`].
    #[error(transparent)]
    Compress(CompressError),
    /// A compressed video cannot be stored.
    #[error(transparent)]
    Video(StorageError),
    /// The source is damaged, and no partial result was requested.
    #[error("the video is damaged: {0}")]
    Damaged(String),
    /// A limit of [`Limits`](crate::limits::Limits) or [`Scratch`](crate::pipeline::Scratch) was exceeded.
    #[error("{0}")]
    LimitExceeded(String),
    /// [`Strategy::Planned`](crate::plan::Strategy::Planned) was requested and is not possible.
    #[error("it cannot be planned: {0}")]
    NotPlannable(NotPlannable),
    /// The decoder contradicts the container, and another decode is not possible or was of no use.
    #[error("{0}")]
    Inconsistent(Surprise),
    /// The pipeline has no compressor.
    #[error("no compressor is configured")]
    NoCompressor,
}

impl Error {
    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Source(_) => ErrorKind::SourceUnavailable,
            Self::Copy { .. } => ErrorKind::NoSpace,
            Self::Empty => ErrorKind::EmptySource,
            Self::Select(error) => error.kind(),
            Self::Extract(error) => error.kind(),
            Self::Archive(error) => error.kind(),
            Self::Video(error) => error.kind(),
            Self::Compress(error) => error.kind(),
            Self::Damaged(_) => ErrorKind::Damaged,
            Self::LimitExceeded(_) => ErrorKind::LimitExceeded,
            Self::NotPlannable(_) => ErrorKind::NotPlannable,
            Self::Inconsistent(_) => ErrorKind::DecoderFailed,
            Self::NoCompressor => ErrorKind::NotConfigured,
        }
    }
}

impl From<CompressError> for Error {
    fn from(error: CompressError) -> Self {
        match error {
            CompressError::Decoder(error) => Self::Extract(error),
            error => Self::Compress(error),
        }
    }
}

/// Kind of an [`Error`]: what a caller decides on. Exit codes and error codes of jobs are derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The source cannot be read.
    SourceUnavailable,
    /// The source has no bytes.
    EmptySource,
    /// The source is not a video in a supported format.
    NotAVideo,
    /// The source has no video stream, or not the requested one.
    NoVideoStream,
    /// The video is damaged.
    Damaged,
    /// The selection lies outside of the video.
    SelectionOutOfRange,
    /// A limit was exceeded.
    LimitExceeded,
    /// The two-pass statistics of an encoder are too large.
    StatisticsTooLarge,
    /// A temporary file or an output cannot be written.
    NoSpace,
    /// The decoder is not installed.
    DecoderMissing,
    /// The decoder lacks a component.
    DecoderUnsupported,
    /// The decoder failed.
    DecoderFailed,
    /// The decoder made no progress.
    DecoderStalled,
    /// The requested strategy is not possible.
    NotPlannable,
    /// No compressed video of the requested kind is possible.
    NotCompressible,
    /// A compressed video differs from its source.
    VerificationFailed,
    /// The output exists and must not be replaced.
    OutputExists,
    /// The name of an object is not valid.
    InvalidName,
    /// The store does not answer, or refuses.
    StoreUnavailable,
    /// The result cannot be built.
    ArchiveFailed,
    /// A component of the pipeline is not configured.
    NotConfigured,
    /// The caller cancelled the call.
    Cancelled,
}

/// Returns an error and its causes in one line. A cause that ends the line already is not repeated.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

/// Returns the first characters of [`chain`], for a row or a message.
pub(crate) fn kept_chain(error: &dyn std::error::Error) -> String {
    chain(error).chars().take(MAX_KEPT).collect()
}
