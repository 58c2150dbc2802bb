//! Errors of an archive.

use crate::error::ErrorKind;
use crate::storage::StorageError;

/// Errors of an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The storage of the archive failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The folder exists and contains other files than an archive of this crate.
    #[error("'{0}' is not empty and has no manifest of this tool")]
    ForeignDirectory(String),
    /// The path cannot be replaced by a folder.
    #[error("'{path}' {reason}")]
    NotReplaceable {
        /// Path of the folder.
        path: String,
        /// Reason, as a predicate of the path.
        reason: &'static str,
    },
    /// A destination for exactly one picture received another number of pictures.
    #[error("{0} pictures were made for a file of one picture")]
    NotOnePicture(&'static str),
    /// The format cannot represent the entry.
    #[error("failed to add '{name}' to the archive")]
    Format {
        /// Name of the entry.
        name: String,
        /// Error of the writer of the format.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ArchiveError {
    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::ForeignDirectory(_) | Self::NotReplaceable { .. } => ErrorKind::OutputExists,
            Self::NotOnePicture(_) | Self::Format { .. } => ErrorKind::ArchiveFailed,
        }
    }
}
