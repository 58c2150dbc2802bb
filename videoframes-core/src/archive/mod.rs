//! Archives of pictures with a manifest, written deterministically.

mod destination;
mod directory;
pub mod manifest;
mod name;
mod picture;
mod zip;

use async_trait::async_trait;
use bytes::Bytes;

pub use destination::{Destination, Directory, PictureFile, Written, ZipFile, ZipObject};
pub use directory::DirectoryArchive;
pub use manifest::Manifest;
pub use name::{InvalidTemplate, NameTemplate};
pub use picture::PictureArchive;
pub use zip::ZipArchive;

use crate::error::ErrorKind;
use crate::storage::StorageError;

/// Name of the manifest, which is always the last entry.
pub const MANIFEST_NAME: &str = "manifest.json";

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
        /// Error of the ZIP writer.
        source: ::zip::result::ZipError,
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

/// Formats bytes in hexadecimal, as for digests.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A writer for complete files in order, which become visible together.
///
/// Callers may rely on nothing being visible before `finish`, and on nothing remaining after `abort` or a
/// drop. Names are unique and relative, and may contain `/`.
#[async_trait]
pub trait Archive: Send {
    /// Appends a complete file, and returns the number of bytes that it adds to the result.
    async fn add(&mut self, name: &str, content: Bytes) -> Result<u64, ArchiveError>;

    /// Completes the result, makes it visible, and returns its total size in bytes.
    async fn finish(self: Box<Self>) -> Result<u64, ArchiveError>;

    /// Deletes the written files.
    async fn abort(self: Box<Self>);
}
