//! Errors that a child process prints when a video exceeds a limit enforced by the process itself.

use crate::extract::ExtractError;

/// Returns whether a message says that memory is exhausted: a message of a C library, C++ or the loader.
pub(crate) fn is_no_memory(message: &str) -> bool {
    let known = [
        "Cannot allocate memory",
        "cannot allocate memory",
        "bad_alloc",
        "failed to map segment",
    ];
    known.iter().any(|known| message.contains(known))
}

/// Returns whether a message says that the decoder refused a frame for its size (`-max_pixels`).
pub(crate) fn is_too_many_pixels(message: &str) -> bool {
    message.contains("exceeds specified max pixel count")
}

/// Returns whether a message says that a file cannot grow.
pub(crate) fn is_no_space(message: &str) -> bool {
    let known = [
        "No space left on device",
        "Disk quota exceeded",
        "File too large",
        "SIGXFSZ",
    ];
    known.iter().any(|known| message.contains(known))
}

/// Returns the error for the limit that a message of ffmpeg is about, if any.
pub(crate) fn exceeded(message: &str) -> Option<ExtractError> {
    if is_no_memory(message) {
        return Some(no_memory());
    }
    is_too_many_pixels(message).then(|| {
        ExtractError::LimitExceeded(
            "the frames of the video grow beyond the maximum number of pixels".to_owned(),
        )
    })
}

pub(crate) fn no_memory() -> ExtractError {
    ExtractError::LimitExceeded("the video needs more memory than the limit allows".to_owned())
}

pub(crate) fn too_many_pixels() -> ExtractError {
    ExtractError::LimitExceeded("the frames have more than the maximum number of pixels".to_owned())
}
