//! A single picture instead of an archive.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use super::layout::is_metadata;
use super::{Archive, ArchiveError};
use crate::storage::Sink;

/// Writes a single picture without a manifest.
///
/// Fails for no picture or several. The pipeline's limit of one picture rejects such a selection before
/// anything is decoded.
pub struct PictureArchive {
    sink: Box<dyn Sink>,
    size: Option<u64>,
}

impl fmt::Debug for PictureArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PictureArchive")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl PictureArchive {
    /// Returns an archive that writes to `sink`.
    #[must_use]
    pub fn new(sink: Box<dyn Sink>) -> Self {
        Self { sink, size: None }
    }
}

#[async_trait]
impl Archive for PictureArchive {
    async fn add(&mut self, name: &str, content: Bytes) -> Result<u64, ArchiveError> {
        if is_metadata(name) {
            return Ok(0);
        }
        if self.size.is_some() {
            return Err(ArchiveError::NotOnePicture("several"));
        }
        let size = content.len() as u64;
        self.sink.write(content).await?;
        self.size = Some(size);
        Ok(size)
    }

    fn shard(&self) -> Option<&str> {
        None
    }

    async fn finish(self: Box<Self>) -> Result<u64, ArchiveError> {
        let Some(size) = self.size else {
            self.sink.abort().await;
            return Err(ArchiveError::NotOnePicture("no"));
        };
        self.sink.finish().await?;
        Ok(size)
    }

    async fn abort(self: Box<Self>) {
        self.sink.abort().await;
    }
}
