//! Stores of sources and results: named objects, written atomically.

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

/// The version of an object that a request is about: by default the current version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ObjectVersion {
    /// Identifier of a version in a versioned store.
    pub id: Option<String>,
    /// Required [`ObjectInfo::etag`].
    pub etag: Option<String>,
}

impl ObjectVersion {
    /// The current version.
    pub const CURRENT: Self = Self { id: None, etag: None };

    /// Returns the version with this ETag, which has to be the current version.
    pub fn with_etag(etag: impl Into<String>) -> Self {
        Self {
            id: None,
            etag: Some(etag.into()),
        }
    }
}

/// The metadata of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Size in bytes.
    pub size: u64,
    /// Identifier of this version, if the store is versioned.
    pub version: Option<String>,
    /// ETag of this version; different content under the same key has a different ETag.
    pub etag: String,
    /// Time of the last modification.
    pub modified: SystemTime,
    /// Metadata set by the writer.
    pub metadata: BTreeMap<String, String>,
}

/// An open object.
#[derive(Clone)]
pub struct Opened {
    /// Metadata of the object.
    pub info: ObjectInfo,
    /// Content of the object.
    pub source: Arc<dyn Source>,
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Key of the object.
    pub key: ObjectKey,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last modification.
    pub modified: SystemTime,
}

/// A writer for one object.
///
/// Callers may rely on the following:
/// - no object is visible under the key before [`Sink::finish`] is called;
/// - the object is complete and durable once [`Sink::finish`] has returned `Ok`;
/// - a dropped sink leaves nothing behind. Only a killed process may leave temporary data, which is not an
///   object.
///
/// Implementers make `finish` atomic and durable, and delete the written data on `abort` and on drop.
#[async_trait]
pub trait Sink: Send {
    /// Appends bytes. Not idempotent; after an error or a cancelled call only `abort` is allowed.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError>;

    /// Makes the complete object visible.
    ///
    /// With [`IfExists::Refuse`], an object that was created in the meantime stays, and this call fails with
    /// [`StorageError::AlreadyExists`]: exactly one of several writers succeeds. After any other error or a
    /// cancelled call, the object is either complete or does not exist.
    async fn finish(self: Box<Self>) -> Result<(), StorageError>;

    /// Deletes the written data, like a drop, but waits for the deletion.
    async fn abort(self: Box<Self>);
}

/// A store of objects.
///
/// Callers may rely on reading exactly the bytes that a finished [`Sink`] wrote. Every call sees all objects
/// that were finished or deleted before the call.
///
/// Implementers keep every key inside their root, whatever the root contains, and check [`PutOptions`] before
/// they write. A key that the store can never hold fails with [`StorageError::Invalid`] on write, and with
/// `Invalid` or [`StorageError::NotFound`] on read.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// Returns the metadata of an object. Idempotent.
    ///
    /// # Errors
    /// Returns [`StorageError::NotFound`] for a missing object or version, and [`StorageError::Changed`] if
    /// the ETag differs.
    async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<ObjectInfo, StorageError>;

    /// Opens an object for reading, without reading its content yet. Idempotent.
    ///
    /// Reads return bytes of the opened version or fail; [`StorageError::of_read`] shows whether the object
    /// has changed. A caller that reopens [`Source::local_path`] may find another version there, and has to
    /// compare ETags afterwards.
    ///
    /// # Errors
    /// Returns the same errors as [`Storage::head`].
    async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Opened, StorageError>;

    /// Starts to write an object.
    ///
    /// With [`IfExists::Refuse`], an existing object fails with [`StorageError::AlreadyExists`] here if the
    /// check is free, else in [`Sink::finish`]. Call [`Storage::head`] before expensive work.
    async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError>;

    /// Deletes an object. Idempotent: a missing object is not an error.
    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError>;

    /// Returns the objects whose keys start with `prefix`, in key order, from the first key after `after`.
    /// Idempotent.
    ///
    /// Returns `limit` objects, or fewer only if there are no more. A prefix is a string rather than a
    /// folder; an empty prefix matches all objects. Unfinished objects do not appear. Objects that are
    /// written or deleted concurrently may appear or not.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError>;

    /// Creates an object from a regular local file, without a copy if the store supports that. The file
    /// stays.
    ///
    /// The object appears as in [`Sink::finish`], with the same errors; a missing file is
    /// [`StorageError::NotFound`] with its path.
    ///
    /// The caller must not modify the file afterwards. If the file is modified anyway, the object is either
    /// unaffected or gets another ETag.
    async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError>;
}
