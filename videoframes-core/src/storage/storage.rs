//! The trait of all stores.

use std::path::Path;

use async_trait::async_trait;

use super::{ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Sink, StorageError};

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
    /// has changed. A caller that reopens [`Source::local_path`](crate::source::Source::local_path) may find another version there, and has to
    /// compare ETags afterwards.
    ///
    /// # Errors
    /// Returns the same errors as [`Storage::head`].
    async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Opened, StorageError>;

    /// Starts to write an object.
    ///
    /// With [`IfExists::Refuse`](super::IfExists::Refuse), an existing object fails with [`StorageError::AlreadyExists`] and its key
    /// here if the check is free, else in [`Sink::finish`]. Call [`Storage::head`] before expensive work.
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
