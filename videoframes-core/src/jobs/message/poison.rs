//! Messages that cannot become a job.

use serde_json::Value;

use crate::limits::MESSAGE_BYTES;

/// Version of the message format; increases with incompatible changes.
pub const MESSAGE_VERSION: u64 = 1;

/// The reason why a message cannot even become a failed job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Poison {
    /// The message exceeds the maximum size.
    #[error("the message has {bytes} bytes, more than the limit of {MESSAGE_BYTES}")]
    TooLarge {
        /// Size of the message in bytes.
        bytes: usize,
    },
    /// The message is not a JSON object, or contains a duplicate field.
    #[error("the message is not a JSON object: {0}")]
    NotJson(String),
    /// The version of the message is not supported.
    #[error("message version {0} is not supported, expected {MESSAGE_VERSION}")]
    UnknownVersion(String),
    /// The message names neither a job nor a source.
    #[error("the message names neither a job nor a source")]
    NoSource,
    /// The message is about something else, or lacks a required field.
    #[error("cannot create a job from this event: {0}")]
    Event(String),
}

/// Returns the value as text for an error message, truncated.
pub(super) fn shown(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}
