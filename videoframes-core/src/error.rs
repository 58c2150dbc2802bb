//! Kinds of errors, and errors in one line.

/// Maximum length in characters of an error in a row or a message.
const MAX_KEPT: usize = 1000;

/// Kind of an [`Error`](crate::Error): the basis of decisions by callers. Exit codes and error codes of jobs are derived
/// from the kind.
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
    /// The selection lies outside of the video, or the rectangle to keep outside of its pictures.
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
    /// The store does not respond, or refuses.
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
