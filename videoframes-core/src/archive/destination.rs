//! Where an archive goes: something that can start one, and start it again.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Archive, ArchiveError, DirectoryArchive, ZipArchive};
use crate::storage::{FileSink, IfExists, ObjectKey, PutOptions, Storage};

/// A place for one result.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Fails at once where nothing can be written: a result exists, a folder is missing.
    fn check(&self) -> Result<(), ArchiveError>;

    /// Whether an aborted archive leaves no trace, so that another may be started.
    fn can_restart(&self) -> bool;

    /// Starts the archive.
    async fn start(&self) -> Result<Box<dyn Archive>, ArchiveError>;
}

/// A ZIP file on this machine.
#[derive(Debug, Clone)]
pub struct ZipFile {
    /// Its path.
    pub path: PathBuf,
    /// Whether it may replace another.
    pub if_exists: IfExists,
}

#[async_trait]
impl Destination for ZipFile {
    fn check(&self) -> Result<(), ArchiveError> {
        // A temporary file is made and removed: the folder exists and can be written to.
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

/// A folder on this machine.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Its path.
    pub path: PathBuf,
    /// Whether it may replace an earlier result.
    pub if_exists: IfExists,
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

/// A ZIP as an object of a [`Storage`].
pub struct ZipObject {
    storage: Arc<dyn Storage>,
    key: ObjectKey,
    options: PutOptions,
}

impl ZipObject {
    /// The object `key` of `storage`.
    pub fn new(storage: Arc<dyn Storage>, key: ObjectKey, options: impl Into<PutOptions>) -> Self {
        Self {
            storage,
            key,
            options: options.into(),
        }
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
        Ok(Box::new(ZipArchive::new(
            self.storage.create(&self.key, &self.options).await?,
        )))
    }
}
