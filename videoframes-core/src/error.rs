//! Errors in words.

use std::error::Error;

/// Most characters of an error that is kept in a row or a message.
const KEPT: usize = 1000;

/// An error and its causes in one line, each cause unless the line ends in it already.
pub fn chain(error: &dyn Error) -> String {
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

/// The same, as much of it as is kept.
pub(crate) fn kept_chain(error: &dyn Error) -> String {
    chain(error).chars().take(KEPT).collect()
}
