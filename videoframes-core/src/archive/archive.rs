//! The trait of all archives.

use async_trait::async_trait;
use bytes::Bytes;

use super::ArchiveError;

/// A writer for complete files in order, which become visible together.
///
/// Callers may rely on nothing being visible before `finish`, and on nothing remaining after `abort` or a
/// drop. Names are unique and relative, and may contain `/`.
#[async_trait]
pub trait Archive: Send {
    /// Appends a complete file, and returns the number of bytes that it adds to the result.
    async fn add(&mut self, name: &str, content: Bytes) -> Result<u64, ArchiveError>;

    /// Returns the name of the shard that holds the last added file; `None` if the file is in no shard.
    fn shard(&self) -> Option<&str>;

    /// Completes the result, makes it visible, and returns its total size in bytes.
    async fn finish(self: Box<Self>) -> Result<u64, ArchiveError>;

    /// Deletes the written files.
    async fn abort(self: Box<Self>);
}
