//! A folder of objects: each file is an object below a common key.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Archive, ArchiveError, Destination};
use crate::storage::{IfExists, ObjectKey, ObjectVersion, PutOptions, Storage, StorageError};

/// A folder of objects in a [`Storage`], one object per file.
///
/// Unlike other destinations, each object is visible once it is complete. The manifest is the last object: a folder
/// with a manifest is complete.
#[derive(Clone)]
pub struct ObjectFolder {
    storage: Arc<dyn Storage>,
    folder: ObjectKey,
    options: PutOptions,
    is_shared: bool,
}

impl fmt::Debug for ObjectFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectFolder")
            .field("folder", &self.folder)
            .field("options", &self.options)
            .field("is_shared", &self.is_shared)
            .finish_non_exhaustive()
    }
}

impl ObjectFolder {
    /// Returns a destination for objects with keys of the form `folder/NAME`. The options apply to each object. With
    /// [`IfExists::Refuse`], an existing object is an error.
    pub fn new(storage: Arc<dyn Storage>, folder: ObjectKey, options: impl Into<PutOptions>) -> Self {
        Self {
            storage,
            folder,
            options: options.into(),
            is_shared: false,
        }
    }

    /// Shares the folder with other attempts at the same result, whose objects have the metadata of the options.
    ///
    /// Their objects are replaced, and an aborted archive deletes nothing, since another attempt may have written the
    /// objects again.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.is_shared = true;
        self
    }

    /// Creates or replaces an object.
    async fn put(&self, key: &ObjectKey, content: Bytes, options: &PutOptions) -> Result<(), StorageError> {
        let mut sink = self.storage.create(key, options).await?;
        match sink.write(content).await {
            Ok(()) => sink.finish().await,
            Err(error) => {
                sink.abort().await;
                Err(error)
            }
        }
    }

    /// Returns whether another attempt at the same result wrote the object.
    async fn is_of_attempt(&self, key: &ObjectKey) -> Result<bool, StorageError> {
        let found = match self.storage.head(key, &ObjectVersion::CURRENT).await {
            Ok(found) => found,
            Err(StorageError::NotFound(_)) => return Ok(true),
            Err(error) => return Err(error),
        };
        let mut metadata = self.options.metadata.iter();
        Ok(metadata.all(|(name, value)| found.metadata.get(name) == Some(value)))
    }
}

#[async_trait]
impl Destination for ObjectFolder {
    fn check(&self) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn can_restart(&self) -> bool {
        true
    }

    async fn start(&self) -> Result<Box<dyn Archive>, ArchiveError> {
        Ok(Box::new(FolderArchive {
            folder: self.clone(),
            written: Vec::new(),
            size: 0,
        }))
    }
}

/// Writes the objects of a folder.
struct FolderArchive {
    folder: ObjectFolder,
    written: Vec<ObjectKey>,
    size: u64,
}

#[async_trait]
impl Archive for FolderArchive {
    async fn add(&mut self, name: &str, content: Bytes) -> Result<u64, ArchiveError> {
        let folder = &self.folder;
        let key = format!("{}/{name}", folder.folder);
        let key: ObjectKey = key
            .parse()
            .map_err(|_| StorageError::invalid(&key, "is not a valid object key"))?;
        let size = content.len() as u64;
        let put = folder.put(&key, content.clone(), &folder.options).await;
        match put {
            Err(StorageError::AlreadyExists(_)) if folder.is_shared && folder.is_of_attempt(&key).await? => {
                let replace = folder.options.clone().if_exists(IfExists::Replace);
                folder.put(&key, content, &replace).await?;
            }
            put => put?,
        }
        self.written.push(key);
        self.size += size;
        Ok(size)
    }

    fn shard(&self) -> Option<&str> {
        None
    }

    async fn finish(self: Box<Self>) -> Result<u64, ArchiveError> {
        Ok(self.size)
    }

    async fn abort(self: Box<Self>) {
        if self.folder.is_shared {
            return;
        }
        // The manifest is deleted first.
        for key in self.written.iter().rev() {
            if let Err(error) = self.folder.storage.delete(key).await {
                tracing::warn!(error = %error, %key, "failed to delete an object of an aborted folder");
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::storage::MemoryStorage;

    fn options(attempt: &str) -> PutOptions {
        PutOptions::default().metadata(BTreeMap::from([("job".to_owned(), attempt.to_owned())]))
    }

    async fn keys(storage: &MemoryStorage) -> Vec<String> {
        let entries = storage.list("", None, 10).await.unwrap();
        entries.into_iter().map(|entry| entry.key.to_string()).collect()
    }

    #[tokio::test]
    async fn an_aborted_folder_leaves_nothing() {
        let storage = MemoryStorage::default();
        let folder = ObjectFolder::new(Arc::new(storage.clone()), "a/b".parse().unwrap(), options("1"));
        let mut archive = folder.start().await.unwrap();
        archive.add("x.jpg", Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(keys(&storage).await, ["a/b/x.jpg"]);
        archive.abort().await;
        assert!(keys(&storage).await.is_empty());
    }

    #[tokio::test]
    async fn only_objects_of_other_attempts_are_replaced() {
        let storage = MemoryStorage::default();
        let folder = |job| {
            let storage = Arc::new(storage.clone());
            ObjectFolder::new(storage, "a".parse().unwrap(), options(job))
        };
        let mut first = folder("1").shared().start().await.unwrap();
        first.add("x", Bytes::from_static(b"old")).await.unwrap();
        first.abort().await;
        assert_eq!(
            keys(&storage).await,
            ["a/x"],
            "another attempt may use the object"
        );

        let mut second = folder("1").shared().start().await.unwrap();
        second.add("x", Bytes::from_static(b"new")).await.unwrap();
        second.finish().await.unwrap();
        let opened = storage
            .open(&"a/x".parse().unwrap(), &ObjectVersion::CURRENT)
            .await;
        assert_eq!(&opened.unwrap().source.read_at(0, 9).await.unwrap()[..], b"new");

        for foreign in [folder("2").shared(), folder("1")] {
            let mut archive = foreign.start().await.unwrap();
            let error = archive.add("x", Bytes::from_static(b"mine")).await.unwrap_err();
            let exists = matches!(error, ArchiveError::Storage(StorageError::AlreadyExists(_)));
            assert!(exists, "{error}");
        }
    }
}
