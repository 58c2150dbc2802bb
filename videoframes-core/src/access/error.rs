//! Errors of the registry of tokens.

use super::TokenName;

/// Errors of a registry of tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Another token has the name. Nothing was changed.
    #[error("a token with the name '{0}' exists")]
    AlreadyExists(TokenName),
    /// The registry has an entry that this version cannot read.
    #[error("the registry of tokens cannot be read: {0}")]
    Unreadable(String),
    /// The registry is unreachable or returned an unexpected answer. The change may or may not have happened.
    #[error("failed to {action}")]
    Unavailable {
        /// The action that failed.
        action: &'static str,
        /// Error of the client.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
