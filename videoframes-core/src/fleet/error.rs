//! Errors of the fleet.

use super::Revision;

/// Errors of a registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// A canary of the active revision was requested. Nothing was changed.
    #[error("the revision '{0}' is active")]
    AlreadyActive(Revision),
    /// A canary was requested before the first activation. Nothing was changed.
    #[error("no revision is active")]
    NoActive,
    /// A rollback was requested, but no other revision was active before. Nothing was changed.
    #[error("no other revision was active before")]
    NoPrevious,
    /// The registry has an entry that this version cannot read.
    #[error("the registry of the fleet cannot be read: {0}")]
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
