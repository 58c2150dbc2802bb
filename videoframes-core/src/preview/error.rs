//! Errors of animated pictures.

/// Error of an animated picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnimationError {
    /// The decoder delivered something else than a frame.
    #[error("a frame is {0}")]
    InvalidFrame(&'static str),
    /// The file exceeds the maximum of its format.
    #[error("the animated picture is too large for its format")]
    TooLarge,
}
