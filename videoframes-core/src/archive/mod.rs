//! Pictures and their manifest as one deterministic result.

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

/// Name of the manifest, always the last entry.
pub const MANIFEST_NAME: &str = "manifest.json";

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The place where it goes failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A folder is there that holds something else than frames of ours.
    #[error("'{0}' is not empty and holds no manifest of this tool")]
    ForeignDirectory(String),
    /// A place that no folder can be swapped into.
    #[error("'{path}' {reason}")]
    NotReplaceable {
        /// The path.
        path: String,
        /// What it is.
        reason: &'static str,
    },
    /// A result that holds exactly one picture was given another number of them.
    #[error("{0} pictures were made for a file that holds one")]
    NotOnePicture(&'static str),
    /// The format cannot hold it.
    #[error("cannot add '{name}' to the archive")]
    Format {
        /// The entry.
        name: String,
        /// What the ZIP writer said.
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

/// Bytes in hexadecimal, as digests are shown.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Something that takes complete files in order and becomes visible as a whole.
///
/// Callers may rely on nothing being visible before `finish` and nothing remaining after `abort`
/// or a drop. Names are unique and relative, and may contain `/`.
#[async_trait]
pub trait Archive: Send {
    /// Appends a complete file. Returns the bytes that this added to the result.
    async fn add(&mut self, name: &str, content: Bytes) -> Result<u64, ArchiveError>;

    /// Completes the result and makes it visible. Returns its whole size in bytes.
    async fn finish(self: Box<Self>) -> Result<u64, ArchiveError>;

    /// Removes what was written.
    async fn abort(self: Box<Self>);
}
