//! Where results go and sources come from: named objects, written whole or not at all.

mod error;
mod file;
mod key;
mod local;
mod memory;
mod options;
#[cfg(feature = "s3")]
mod s3;
mod stores;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::StorageError;
pub use file::FileSink;
pub use key::{InvalidKey, ObjectKey};
pub use local::LocalStorage;
pub use memory::MemoryStorage;
pub use options::{IfExists, METADATA_BYTES, PutOptions};
#[cfg(feature = "s3")]
pub use s3::{S3Checksum, S3Encryption, S3Options, S3Storage};
pub use stores::{Stores, UnknownBucket};

use crate::source::Source;

/// Which version of an object is meant: the current one, unless this says more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ObjectVersion {
    /// The store's name for a version that it keeps beside the current one.
    pub id: Option<String>,
    /// The [`ObjectInfo::etag`] that it has to have.
    pub etag: Option<String>,
}

impl ObjectVersion {
    /// Whatever is there now.
    pub const CURRENT: Self = Self { id: None, etag: None };

    /// The version with this etag, as long as it is the current one.
    pub fn with_etag(etag: impl Into<String>) -> Self {
        Self {
            id: None,
            etag: Some(etag.into()),
        }
    }
}

/// What a store knows of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Length in bytes.
    pub size: u64,
    /// The store's name for this version, where it keeps versions.
    pub version: Option<String>,
    /// Stands for this version of the object: another content under the same key has another one.
    pub etag: String,
    /// When it was written.
    pub modified: SystemTime,
    /// What its writer wanted kept beside it.
    pub metadata: BTreeMap<String, String>,
}

/// An object that was opened.
#[derive(Clone)]
pub struct Opened {
    /// What is known of it.
    pub info: ObjectInfo,
    /// Its bytes.
    pub source: Arc<dyn Source>,
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// The object.
    pub key: ObjectKey,
    /// Length in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// The place where one object is being written.
///
/// Callers may rely on nothing being visible under the object's name before [`Sink::finish`] was
/// called, on it being visible whole and for good once that has returned `Ok`, and on a dropped sink
/// leaving nothing behind. Only a process that is killed leaves something, which is no object.
///
/// Implementers must make `finish` atomic and durable, and must remove what was written on `abort` and
/// on drop.
#[async_trait]
pub trait Sink: Send {
    /// Appends bytes. Not idempotent; after an error or a cancelled call only `abort` is allowed.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError>;

    /// Makes the object visible, whole. With [`IfExists::Refuse`] an object that has appeared
    /// meanwhile stays, and this fails with [`StorageError::AlreadyExists`]: of several writers exactly
    /// one succeeds. After any other error, and when the call was dropped, the object is there whole
    /// or not at all.
    async fn finish(self: Box<Self>) -> Result<(), StorageError>;

    /// Forgets everything that was written. Idempotent with a drop.
    async fn abort(self: Box<Self>);
}

/// A store of objects.
///
/// Callers may rely on reading what a finished [`Sink`] wrote, byte by byte, and on every call seeing
/// all that was finished or deleted before it began.
///
/// Implementers keep every key inside their root, whatever is in there, and check [`PutOptions`] before
/// they write. A key that they can never hold is [`StorageError::Invalid`] where it would be written
/// and [`StorageError::NotFound`] or `Invalid` where it would be read.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// What is known of an object. A missing one is [`StorageError::NotFound`], and so is a version that
    /// the store does not keep; one of another etag is [`StorageError::Changed`]. Idempotent.
    async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<ObjectInfo, StorageError>;

    /// Opens an object for reading, with the same errors as [`Storage::head`], and reads nothing of it yet.
    /// Idempotent.
    ///
    /// Reads give bytes of the version that was opened or fail; [`StorageError::of_read`] tells when
    /// they do because it has changed. Whoever opens [`Source::local_path`] again may find another
    /// version there, and compares etags afterwards.
    async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Opened, StorageError>;

    /// Starts to write an object. With [`IfExists::Refuse`] an existing one is
    /// [`StorageError::AlreadyExists`] here where that costs nothing, else with [`Sink::finish`]: whoever
    /// has much to do before that asks [`Storage::head`].
    async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError>;

    /// Removes an object. Idempotent: a missing one is no error.
    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError>;

    /// The objects whose keys begin with `prefix`, in order of their keys, from the first one behind
    /// `after` on: `most` of them, and fewer only where there are no more. A prefix is a text and not
    /// a folder; an empty one means all. What is not finished does not appear. What is written or
    /// deleted meanwhile may appear or not. Idempotent.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        most: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError>;

    /// Makes an object of a regular file of this machine, which stays; without copying it, where the
    /// store can do that. Appears as [`Sink::finish`] says, with the same errors; a file that is missing
    /// is [`StorageError::NotFound`] with its path.
    ///
    /// The caller leaves the file as it is. If it is altered all the same, the object is either not
    /// touched by that or gets another etag.
    async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError>;
}
