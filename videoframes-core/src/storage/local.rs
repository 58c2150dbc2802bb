//! Objects as files below a folder of this machine.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::NamedTempFile;

use super::{IfExists, ObjectKey, Sink, Storage, StorageError};
use crate::source::{FileSource, Source};

/// A folder as a [`Storage`].
#[derive(Debug, Clone)]
pub struct LocalStorage {
    root: PathBuf,
}

impl LocalStorage {
    /// Objects below `root`, which is created when the first object is.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

#[async_trait]
impl Storage for LocalStorage {
    async fn open(&self, key: &ObjectKey) -> Result<Arc<dyn Source>, StorageError> {
        let path = self.root.join(key.as_str());
        let source = blocking(move || FileSource::open(path)).await;
        Ok(Arc::new(
            source.map_err(|e| StorageError::from_io("open", key.as_str(), e))?,
        ))
    }

    async fn create(&self, key: &ObjectKey, if_exists: IfExists) -> Result<Box<dyn Sink>, StorageError> {
        let path = self.root.join(key.as_str());
        let folder = path.parent().map(Path::to_owned);
        blocking(move || folder.map_or(Ok(()), std::fs::create_dir_all))
            .await
            .map_err(|e| StorageError::from_io("create the folder of", key.as_str(), e))?;
        Ok(Box::new(FileSink::create(path, if_exists)?))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let path = self.root.join(key.as_str());
        match blocking(move || std::fs::remove_file(path)).await {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(StorageError::from_io("delete", key.as_str(), e))
            }
            _ => Ok(()),
        }
    }
}

/// A file that appears under its name only when it is complete; until then it is a temporary file
/// in the same folder.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    if_exists: IfExists,
    file: Option<NamedTempFile>,
}

impl FileSink {
    /// Starts a temporary file beside `path`, whose folder must exist.
    ///
    /// # Errors
    /// [`StorageError::AlreadyExists`] at once where `path` is there and must not be replaced.
    pub fn create(path: impl Into<PathBuf>, if_exists: IfExists) -> Result<Self, StorageError> {
        let path = path.into();
        let name = path.to_string_lossy().into_owned();
        if if_exists == IfExists::Refuse && path.symlink_metadata().is_ok() {
            return Err(StorageError::AlreadyExists(name));
        }
        let folder = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".vf-")
            .suffix(".partial")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => StorageError::NotFound(folder.to_string_lossy().into_owned()),
                _ => StorageError::from_io("write", &name, e),
            })?;
        Ok(Self {
            path,
            if_exists,
            file: Some(file),
        })
    }

    fn error(&self, source: io::Error) -> StorageError {
        StorageError::from_io("write", &self.path.to_string_lossy(), source)
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let Some(mut file) = self.file.take() else {
            return Err(self.error(io::Error::other("an earlier write failed")));
        };
        let written = blocking(move || file.write_all(&bytes).map(|()| file)).await;
        self.file = Some(written.map_err(|e| self.error(e))?);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), StorageError> {
        let Some(file) = self.file.take() else {
            return Err(self.error(io::Error::other("an earlier write failed")));
        };
        let (path, if_exists) = (self.path.clone(), self.if_exists);
        blocking(move || {
            file.as_file().sync_all()?;
            match if_exists {
                IfExists::Refuse => file.persist_noclobber(path).map(drop),
                IfExists::Replace => file.persist(path).map(drop),
            }
            .map_err(|e| e.error)
        })
        .await
        .map_err(|e| self.error(e))
    }

    async fn abort(self: Box<Self>) {}
}
