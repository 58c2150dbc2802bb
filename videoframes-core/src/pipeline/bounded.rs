//! Archives with a maximum size.

use bytes::Bytes;

use super::error::Error;
use crate::archive::{Archive, Destination};

/// An archive that fails before it exceeds its maximum size.
pub(super) struct BoundedArchive {
    archive: Box<dyn Archive>,
    /// Size so far in bytes.
    bytes: u64,
    limit: u64,
}

impl BoundedArchive {
    /// Starts an archive of at most `limit` bytes.
    pub(super) async fn start(destination: &dyn Destination, limit: u64) -> Result<Self, Error> {
        Ok(Self {
            archive: destination.start().await?,
            bytes: 0,
            limit,
        })
    }

    /// Returns the size so far in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the name of the shard that holds the last added file, if any.
    pub(super) fn shard(&self) -> Option<&str> {
        self.archive.shard()
    }

    /// Appends a complete file.
    pub(super) async fn add(&mut self, name: &str, content: Bytes) -> Result<(), Error> {
        check_bytes(self.bytes.saturating_add(content.len() as u64), self.limit)?;
        self.bytes += self.archive.add(name, content).await?;
        Ok(())
    }

    /// Completes the archive, and returns its size in bytes.
    pub(super) async fn finish(self) -> Result<u64, Error> {
        Ok(self.archive.finish().await?)
    }

    /// Deletes the written files.
    pub(super) async fn abort(self) {
        self.archive.abort().await;
    }
}

/// Fails if a result of this size exceeds the limit.
pub(super) fn check_bytes(bytes: u64, limit: u64) -> Result<(), Error> {
    match bytes > limit {
        true => Err(Error::LimitExceeded(format!(
            "the result is larger than {limit} bytes"
        ))),
        false => Ok(()),
    }
}
