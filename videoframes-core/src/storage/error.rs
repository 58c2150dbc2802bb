//! Errors of a store.

use std::io;

use crate::error::ErrorKind;

/// Errors of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The object, or the folder for the object, does not exist.
    #[error("'{0}' does not exist")]
    NotFound(String),
    /// The object exists and was not to be replaced.
    #[error("'{0}' already exists")]
    AlreadyExists(String),
    /// The object is not the expected version: it was replaced or modified.
    #[error("'{0}' has changed")]
    Changed(String),
    /// The store can never perform the request.
    #[error("'{name}' {reason}")]
    Invalid {
        /// Name of the object.
        name: String,
        /// Reason, as a predicate of the object.
        reason: &'static str,
    },
    /// The store denies access to this object or rejects the request. Other objects may be accessible.
    #[error("failed to {action} '{name}'")]
    Refused {
        /// The action that failed.
        action: &'static str,
        /// Name of the object.
        name: String,
        /// Error of the store.
        source: io::Error,
    },
    /// No space is left.
    #[error("no space is left for '{name}'")]
    NoSpace {
        /// Name of the object.
        name: String,
        /// Error of the system.
        source: io::Error,
    },
    /// Any other error of the store.
    #[error("failed to {action} '{name}'")]
    Io {
        /// The action that failed.
        action: &'static str,
        /// Name of the object.
        name: String,
        /// Error of the system.
        source: io::Error,
    },
}

impl StorageError {
    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::AlreadyExists(_) => ErrorKind::OutputExists,
            Self::Invalid { .. } => ErrorKind::InvalidName,
            Self::NoSpace { .. } => ErrorKind::NoSpace,
            Self::NotFound(_) | Self::Changed(_) | Self::Refused { .. } | Self::Io { .. } => {
                ErrorKind::StoreUnavailable
            }
        }
    }

    pub(crate) fn from_io(action: &'static str, name: &str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound(name.to_owned()),
            io::ErrorKind::AlreadyExists => Self::AlreadyExists(name.to_owned()),
            io::ErrorKind::InvalidFilename => Self::invalid(name, "has a name that is too long"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace {
                name: name.to_owned(),
                source,
            },
            _ => Self::Io {
                action,
                name: name.to_owned(),
                source,
            },
        }
    }

    pub(crate) fn invalid(name: &str, reason: &'static str) -> Self {
        Self::Invalid {
            name: name.to_owned(),
            reason,
        }
    }

    /// Returns the storage error inside an error of a [`Source`](crate::source::Source) that a store opened,
    /// if there is one: above all [`StorageError::Changed`].
    pub fn of_read(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Returns whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::Io { .. })
    }
}
