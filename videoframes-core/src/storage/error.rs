//! Why a store did not do as asked.

use std::io;

use crate::error::ErrorKind;

/// Why a store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// No object, or no folder to put it in.
    #[error("'{0}' does not exist")]
    NotFound(String),
    /// The object is there and was not to be replaced.
    #[error("'{0}' exists already")]
    AlreadyExists(String),
    /// The object is not the one that was meant: it was replaced or altered.
    #[error("'{0}' has changed")]
    Changed(String),
    /// What was asked for is never possible in this store.
    #[error("'{name}' {reason}")]
    Invalid {
        /// The object.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The store answers, and refuses this object: access is denied, or it cannot make sense of the request.
    /// Other objects may be fine.
    #[error("cannot {action} '{name}'")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// The object.
        name: String,
        /// What the store said.
        source: io::Error,
    },
    /// No space is left.
    #[error("no space is left for '{name}'")]
    NoSpace {
        /// The object.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else that the store reports.
    #[error("cannot {action} '{name}'")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The object.
        name: String,
        /// What the system said.
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

    /// What a failed read of an object that a store has opened says about it, if it says more than
    /// that the read failed: [`StorageError::Changed`] above all.
    pub fn of_read(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::Io { .. })
    }
}
