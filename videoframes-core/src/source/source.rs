//! The trait of all sources.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

/// Random access to the bytes of one video: a file, an object or a buffer.
///
/// Callers may rely on a constant length, and on reads that are independent of each other and cancel-safe.
///
/// Implementers return exactly the requested bytes or an error. A read beyond the end is truncated, and a
/// read that starts at or after the end is empty.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Returns the last path component, for display and for manifests.
    fn name(&self) -> &str;

    /// Returns the length in bytes.
    fn len(&self) -> u64;

    /// Returns whether the source has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the path of a local file with these bytes, if there is one.
    fn local_path(&self) -> Option<&Path>;

    /// Returns a verifier for a copy of all bytes, if the store has a checksum of them. A wrapper that does
    /// not change the bytes forwards this call.
    fn verifier(&self) -> Option<Box<dyn Verifier>>;

    /// Returns up to `length` bytes from `offset`, or an error.
    ///
    /// Implementers limit the time of a read: callers have no timeout.
    ///
    /// # Errors
    /// Returns the error of the underlying store.
    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes>;
}

#[async_trait]
impl<S: Source + ?Sized> Source for Arc<S> {
    fn name(&self) -> &str {
        self.as_ref().name()
    }

    fn len(&self) -> u64 {
        self.as_ref().len()
    }

    fn local_path(&self) -> Option<&Path> {
        self.as_ref().local_path()
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        self.as_ref().verifier()
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.as_ref().read_at(offset, length).await
    }
}

/// Verifies a copy against the checksum of its source.
pub trait Verifier: Send {
    /// Adds the next bytes of the copy: all bytes in order, each once.
    fn update(&mut self, bytes: &[u8]);

    /// Compares the checksums.
    ///
    /// # Errors
    /// Returns [`io::ErrorKind::InvalidData`] if they differ.
    fn finish(self: Box<Self>) -> io::Result<()>;
}
