//! Errors of decoders.

use std::io;

use crate::error::ErrorKind;
use crate::video::StreamChoice;

/// Error of a decoder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The decoder is not installed or cannot be started.
    #[error("failed to run '{program}'")]
    DecoderMissing {
        /// The program that was started.
        program: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The decoder lacks a component that the request needs.
    #[error("not supported by this ffmpeg: {0}")]
    Unsupported(String),
    /// The input is not a video in a supported format.
    #[error("not a video in a supported format: {0}")]
    NotAVideo(String),
    /// The input is a media file without a video stream. Cover art does not count.
    #[error("no video stream")]
    NoVideoStream,
    /// The input has no video stream of the requested number or identifier.
    #[error("no video stream {0}")]
    NoSuchStream(StreamChoice),
    /// The video is so damaged that no frame can be decoded.
    #[error("the video is too damaged to be decoded: {0}")]
    Damaged(String),
    /// The source of planned samples cannot be read.
    #[error("failed to read the source")]
    SourceFailed(#[source] io::Error),
    /// A limit was exceeded.
    #[error("{0}")]
    LimitExceeded(String),
    /// The decoder made no progress for this number of seconds and was killed.
    #[error("ffmpeg made no progress for {0} s and was stopped")]
    Stalled(u64),
    /// The decoder failed.
    #[error("ffmpeg failed: {0}")]
    DecoderFailed(String),
    /// The caller cancelled the call.
    #[error("cancelled")]
    Cancelled,
}

impl ExtractError {
    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::DecoderMissing { .. } => ErrorKind::DecoderMissing,
            Self::Unsupported(_) => ErrorKind::DecoderUnsupported,
            Self::NotAVideo(_) => ErrorKind::NotAVideo,
            Self::NoVideoStream | Self::NoSuchStream(_) => ErrorKind::NoVideoStream,
            Self::Damaged(_) => ErrorKind::Damaged,
            Self::SourceFailed(_) => ErrorKind::SourceUnavailable,
            Self::LimitExceeded(_) => ErrorKind::LimitExceeded,
            Self::Stalled(_) => ErrorKind::DecoderStalled,
            Self::DecoderFailed(_) => ErrorKind::DecoderFailed,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }

    /// Returns whether the same call may succeed later with the same input, options and machine.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Stalled(_) | Self::DecoderFailed(_) | Self::SourceFailed(_)
        )
    }
}
