//! Errors in words.

use std::error::Error;

/// Most characters of an error in one line.
const LENGTH: usize = 1000;

/// An error and its causes in one line, of bounded length.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text.chars().take(LENGTH).collect()
}
