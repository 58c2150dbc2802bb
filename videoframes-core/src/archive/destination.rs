//! Destinations of archives, which start an archive and can restart it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Archive, ArchiveError, DirectoryArchive, PictureArchive, TarArchive, ZipArchive};
use crate::digest::{Checksum, Written};
use crate::storage::{FileSink, IfExists, ObjectKey, PutOptions, Sink, Storage, StorageError};

/// The destination of one result.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Fails early if nothing can be written: a result exists, or a folder is missing.
    fn check(&self) -> Result<(), ArchiveError>;

    /// Returns whether an aborted archive leaves nothing behind, so that another can be started.
    fn can_restart(&self) -> bool;

    /// Starts the archive.
    async fn start(&self) -> Result<Box<dyn Archive>, ArchiveError>;
}

/// A local ZIP file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ZipFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Whether to replace an existing file.
    pub if_exists: IfExists,
}

impl ZipFile {
    /// Returns a destination for the ZIP file `path`. An existing file is an error.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            if_exists: IfExists::Refuse,
        }
    }

    /// Sets whether to replace an existing file.
    #[must_use]
    pub fn if_exists(mut self, if_exists: IfExists) -> Self {
        self.if_exists = if_exists;
        self
    }
}

#[async_trait]
impl Destination for ZipFile {
    fn check(&self) -> Result<(), ArchiveError> {
        // Creates and deletes a temporary file: the folder exists and is writable.
        FileSink::create(&self.path, self.if_exists)?;
        Ok(())
    }

    fn can_restart(&self) -> bool {
        true
    }

    async fn start(&self) -> Result<Box<dyn Archive>, ArchiveError> {
        Ok(Box::new(ZipArchive::new(Box::new(FileSink::create(
            &self.path,
            self.if_exists,
        )?))))
    }
}

/// A local tar file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TarFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Whether to replace an existing file.
    pub if_exists: IfExists,
}

impl TarFile {
    /// Returns a destination for the tar file `path`. An existing file is an error.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            if_exists: IfExists::Refuse,
        }
    }

    /// Sets whether to replace an existing file.
    #[must_use]
    pub fn if_exists(mut self, if_exists: IfExists) -> Self {
        self.if_exists = if_exists;
        self
    }
}

#[async_trait]
impl Destination for TarFile {
    fn check(&self) -> Result<(), ArchiveError> {
        // Creates and deletes a temporary file: the folder exists and is writable.
        FileSink::create(&self.path, self.if_exists)?;
        Ok(())
    }

    fn can_restart(&self) -> bool {
        true
    }

    async fn start(&self) -> Result<Box<dyn Archive>, ArchiveError> {
        Ok(Box::new(TarArchive::new(Box::new(FileSink::create(
            &self.path,
            self.if_exists,
        )?))))
    }
}

/// A single picture as a local file, without a manifest.
///
/// Set [`crate::limits::Limits::frames`] to 1, so that a selection of several pictures fails before anything
/// is decoded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PictureFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Whether to replace an existing file.
    pub if_exists: IfExists,
}

impl PictureFile {
    /// Returns a destination for the file `path`. An existing file is an error.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            if_exists: IfExists::Refuse,
        }
    }

    /// Sets whether to replace an existing file.
    #[must_use]
    pub fn if_exists(mut self, if_exists: IfExists) -> Self {
        self.if_exists = if_exists;
        self
    }
}

#[async_trait]
impl Destination for PictureFile {
    fn check(&self) -> Result<(), ArchiveError> {
        FileSink::create(&self.path, self.if_exists)?;
        Ok(())
    }

    fn can_restart(&self) -> bool {
        true
    }

    async fn start(&self) -> Result<Box<dyn Archive>, ArchiveError> {
        let sink = FileSink::create(&self.path, self.if_exists)?;
        Ok(Box::new(PictureArchive::new(Box::new(sink))))
    }
}

/// A local folder.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Directory {
    /// Path of the folder.
    pub path: PathBuf,
    /// Whether to replace an earlier result.
    pub if_exists: IfExists,
}

impl Directory {
    /// Returns a destination for the folder `path`. An existing result is an error.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            if_exists: IfExists::Refuse,
        }
    }

    /// Sets whether to replace an existing result.
    #[must_use]
    pub fn if_exists(mut self, if_exists: IfExists) -> Self {
        self.if_exists = if_exists;
        self
    }
}

#[async_trait]
impl Destination for Directory {
    fn check(&self) -> Result<(), ArchiveError> {
        DirectoryArchive::create(&self.path, self.if_exists)?;
        Ok(())
    }

    fn can_restart(&self) -> bool {
        true
    }

    async fn start(&self) -> Result<Box<dyn Archive>, ArchiveError> {
        Ok(Box::new(DirectoryArchive::create(&self.path, self.if_exists)?))
    }
}

/// A ZIP archive as an object of a [`Storage`].
pub struct ZipObject {
    storage: Arc<dyn Storage>,
    key: ObjectKey,
    options: PutOptions,
    written: Arc<Mutex<Option<Written>>>,
}

impl fmt::Debug for ZipObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZipObject")
            .field("key", &self.key)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl ZipObject {
    /// Returns a destination for the object `key` in `storage`.
    pub fn new(storage: Arc<dyn Storage>, key: ObjectKey, options: impl Into<PutOptions>) -> Self {
        Self {
            storage,
            key,
            options: options.into(),
            written: Arc::default(),
        }
    }

    /// Returns the written object, without reading it, once its archive is finished. Returns `None` before
    /// that, and after another archive is started.
    pub fn written(&self) -> Option<Written> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.clone()
    }
}

#[async_trait]
impl Destination for ZipObject {
    fn check(&self) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn can_restart(&self) -> bool {
        true
    }

    async fn start(&self) -> Result<Box<dyn Archive>, ArchiveError> {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let sink = HashingSink {
            inner: self.storage.create(&self.key, &self.options).await?,
            checksum: Checksum::default(),
            written: Arc::clone(&self.written),
        };
        Ok(Box::new(ZipArchive::new(Box::new(sink))))
    }
}

/// A sink that computes size and checksum.
struct HashingSink {
    inner: Box<dyn Sink>,
    checksum: Checksum,
    written: Arc<Mutex<Option<Written>>>,
}

#[async_trait]
impl Sink for HashingSink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.checksum.update(&bytes);
        self.inner.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<(), StorageError> {
        self.inner.finish().await?;
        let written = self.checksum.finish();
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
        Ok(())
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}
