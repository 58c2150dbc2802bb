//! What a child says when a video exceeds a limit that the child itself enforces.

use crate::extract::ExtractError;

/// Whether words are those of a program that may use no more memory: of a C library, C++ or the loader.
pub(crate) fn is_of_no_memory(words: &str) -> bool {
    let known = [
        "Cannot allocate memory",
        "cannot allocate memory",
        "bad_alloc",
        "failed to map segment",
    ];
    known.iter().any(|known| words.contains(known))
}

/// Whether words are those of a decoder that refuses a frame for its size (`-max_pixels`).
pub(crate) fn is_of_pixels(words: &str) -> bool {
    words.contains("exceeds specified max pixel count")
}

/// Whether words are a system's for a file that cannot grow.
pub(crate) fn is_of_no_space(words: &str) -> bool {
    let known = [
        "No space left on device",
        "Disk quota exceeded",
        "File too large",
        "SIGXFSZ",
    ];
    known.iter().any(|known| words.contains(known))
}

/// The limit that words of ffmpeg's are about.
pub(crate) fn exceeded(words: &str) -> Option<ExtractError> {
    if is_of_no_memory(words) {
        return Some(no_memory());
    }
    is_of_pixels(words).then(|| {
        ExtractError::LimitExceeded("the video grows beyond the limit of pixels in mid-stream".to_owned())
    })
}

pub(crate) fn no_memory() -> ExtractError {
    ExtractError::LimitExceeded("the video needs more memory than the limit allows".to_owned())
}

pub(crate) fn too_many_pixels() -> ExtractError {
    ExtractError::LimitExceeded("pictures are larger than the limit of pixels".to_owned())
}
