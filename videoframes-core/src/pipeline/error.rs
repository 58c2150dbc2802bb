//! Errors of the pipeline.

use std::io;
use std::path::PathBuf;

use crate::archive::ArchiveError;
use crate::compress::CompressError;
use crate::error::ErrorKind;
use crate::extract::{Crop, ExtractError, Surprise};
use crate::plan::NotPlannable;
use crate::select::SelectError;
use crate::storage::StorageError;

/// Error of a [`Pipeline`](crate::Pipeline). No partial result remains.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source cannot be read.
    #[error("failed to read the source")]
    Source(#[source] io::Error),
    /// A decoder needs the source as a file, and no copy of the source can be written.
    #[error("failed to copy the source to {}", folder.display())]
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
    /// The rectangle to keep does not lie inside the picture.
    #[error("the rectangle {crop} does not lie inside the picture, which has {width}×{height} pixels")]
    OutsidePicture {
        /// The requested rectangle.
        crop: Crop,
        /// Width of the displayed picture in pixels.
        width: u32,
        /// Height of the displayed picture in pixels.
        height: u32,
    },
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
    #[error("the video cannot be planned: {0}")]
    NotPlannable(NotPlannable),
    /// The decoder contradicts the container, and another decode is not possible or did not help.
    #[error("{0}")]
    Inconsistent(Surprise),
    /// The pipeline has no compressor.
    #[error("no compressor is configured")]
    NoCompressor,
    /// The pipeline has no encoder of composed pictures.
    #[error("no encoder of pictures is configured")]
    NoEncoder,
}

impl Error {
    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Source(_) => ErrorKind::SourceUnavailable,
            Self::Copy { .. } => ErrorKind::NoSpace,
            Self::Empty => ErrorKind::EmptySource,
            Self::Select(error) => error.kind(),
            Self::OutsidePicture { .. } => ErrorKind::SelectionOutOfRange,
            Self::Extract(error) => error.kind(),
            Self::Archive(error) => error.kind(),
            Self::Video(error) => error.kind(),
            Self::Compress(error) => error.kind(),
            Self::Damaged(_) => ErrorKind::Damaged,
            Self::LimitExceeded(_) => ErrorKind::LimitExceeded,
            Self::NotPlannable(_) => ErrorKind::NotPlannable,
            Self::Inconsistent(_) => ErrorKind::DecoderFailed,
            Self::NoCompressor | Self::NoEncoder => ErrorKind::NotConfigured,
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
