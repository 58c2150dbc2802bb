//! Errors of compressors.

use std::io;

use crate::error::ErrorKind;
use crate::extract::ExtractError;

/// Error of a compressor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompressError {
    /// Error of the decoder or of the encoder in the same process.
    #[error(transparent)]
    Decoder(#[from] ExtractError),
    /// The output cannot be written.
    #[error("failed to write the compressed video")]
    Output(#[source] io::Error),
    /// The output is larger than [`CompressRequest::ceiling`](super::CompressRequest::ceiling).
    #[error("the compressed video is larger than {0} bytes")]
    TooLarge(u64),
    /// The two-pass statistics are larger than
    /// [`CompressRequest::statistics_ceiling`](super::CompressRequest::statistics_ceiling).
    #[error("the two-pass statistics of the encoder are larger than {0} bytes")]
    StatisticsTooLarge(u64),
    /// No video of the requested size is possible.
    #[error("the video cannot be made as small as {limit} bytes: {why}")]
    SizeOutOfReach {
        /// The requested size in bytes.
        limit: u64,
        /// The part that needs more space.
        why: String,
    },
    /// The container does not support a stream, or an encoder does not support the request.
    #[error("{0}")]
    NotHeld(String),
    /// The output does not present exactly the frames of the source.
    #[error("the compressed video differs from its source: {0}")]
    Differs(String),
}

impl CompressError {
    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Decoder(error) => error.kind(),
            Self::Output(_) => ErrorKind::NoSpace,
            Self::TooLarge(_) => ErrorKind::LimitExceeded,
            Self::StatisticsTooLarge(_) => ErrorKind::StatisticsTooLarge,
            Self::SizeOutOfReach { .. } | Self::NotHeld(_) => ErrorKind::NotCompressible,
            Self::Differs(_) => ErrorKind::VerificationFailed,
        }
    }

    /// Returns whether the same call may succeed later with the same input, options and machine.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Decoder(error) => error.is_retryable(),
            Self::Output(_) => true,
            _ => false,
        }
    }
}
