//! Reads local files.

use std::io::{self, Read};
use std::path::Path;

use bytes::{Bytes, BytesMut};

use crate::storage::StorageError;
use crate::storage::local::open_regular;

/// Size of one read in bytes.
const READ: usize = 1 << 20;

/// Reads a local file in chunks.
pub(super) struct FileReader {
    path: String,
    file: Option<std::fs::File>,
}

impl FileReader {
    pub(super) async fn open(path: &Path) -> Result<Self, StorageError> {
        let name = path.to_string_lossy().into_owned();
        let path = path.to_owned();
        let file = tokio::task::spawn_blocking(move || open_regular(&path)).await;
        let file = file.map_err(io::Error::other).flatten();
        let file = file.map_err(|e| StorageError::from_io("read", &name, e))?;
        Ok(Self {
            path: name,
            file: Some(file),
        })
    }

    /// Returns the next chunk, which is empty at the end.
    pub(super) async fn next(&mut self) -> Result<Bytes, StorageError> {
        let Some(mut file) = self.file.take() else {
            return Ok(Bytes::new());
        };
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = BytesMut::zeroed(READ);
            let length = file.read(&mut bytes)?;
            bytes.truncate(length);
            io::Result::Ok((bytes.freeze(), file))
        });
        let read = read.await.map_err(io::Error::other).flatten();
        let (bytes, file) = read.map_err(|e| StorageError::from_io("read", &self.path, e))?;
        self.file = Some(file);
        Ok(bytes)
    }
}
