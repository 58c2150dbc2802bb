//! Objects in memory, for tests and small embedded uses.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::local::open_regular;
use super::{
    IfExists, ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Sink, Storage,
    StorageError,
};
use crate::source::MemorySource;

#[derive(Debug)]
struct Object {
    bytes: Bytes,
    info: ObjectInfo,
}

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<ObjectKey, Object>,
    /// Number of versions written so far, over all objects.
    versions: u64,
}

impl Objects {
    fn get(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<&Object, StorageError> {
        let found = self.by_key.get(key).filter(|_| version.id.is_none());
        let object = found.ok_or_else(|| StorageError::NotFound(key.to_string()))?;
        match &version.etag {
            Some(etag) if *etag != object.info.etag => Err(StorageError::Changed(key.to_string())),
            _ => Ok(object),
        }
    }

    fn may_put(&self, key: &ObjectKey, options: &PutOptions) -> Result<(), StorageError> {
        if options.if_exists == IfExists::Refuse && self.by_key.contains_key(key) {
            return Err(StorageError::AlreadyExists(key.to_string()));
        }
        Ok(())
    }

    fn put(&mut self, key: ObjectKey, bytes: Bytes, options: PutOptions) -> Result<(), StorageError> {
        self.may_put(&key, &options)?;
        self.versions += 1;
        let info = ObjectInfo {
            size: bytes.len() as u64,
            version: None,
            etag: format!("version-{}", self.versions),
            modified: SystemTime::now(),
            metadata: options.metadata,
        };
        self.by_key.insert(key, Object { bytes, info });
        Ok(())
    }
}

/// A [`Storage`] in memory; clones share their objects.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    objects: Arc<Mutex<Objects>>,
}

fn lock(objects: &Mutex<Objects>) -> MutexGuard<'_, Objects> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<ObjectInfo, StorageError> {
        Ok(lock(&self.objects).get(key, version)?.info.clone())
    }

    async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Opened, StorageError> {
        let objects = lock(&self.objects);
        let object = objects.get(key, version)?;
        Ok(Opened {
            info: object.info.clone(),
            source: Arc::new(MemorySource::new(key.name(), object.bytes.clone())),
        })
    }

    async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError> {
        options.check(key)?;
        lock(&self.objects).may_put(key, options)?;
        Ok(Box::new(MemorySink {
            objects: Arc::clone(&self.objects),
            key: key.clone(),
            options: options.clone(),
            bytes: BytesMut::new(),
        }))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        lock(&self.objects).by_key.remove(key);
        Ok(())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError> {
        let objects = lock(&self.objects);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = objects
            .by_key
            .range((from, Bound::Unbounded))
            .filter(|(key, _)| key.as_str().starts_with(prefix));
        let entry = |(key, object): (&ObjectKey, &Object)| ObjectEntry {
            key: key.clone(),
            size: object.info.size,
            modified: object.info.modified,
        };
        Ok(found.take(limit).map(entry).collect())
    }

    async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError> {
        options.check(key)?;
        lock(&self.objects).may_put(key, options)?;
        let file = path.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            open_regular(&file)?.read_to_end(&mut bytes)?;
            io::Result::Ok(bytes)
        });
        let bytes = read.await.map_err(io::Error::other).flatten();
        let bytes = bytes.map_err(|e| StorageError::from_io("read", &path.to_string_lossy(), e))?;
        lock(&self.objects).put(key.clone(), bytes.into(), options.clone())
    }
}

struct MemorySink {
    objects: Arc<Mutex<Objects>>,
    key: ObjectKey,
    options: PutOptions,
    bytes: BytesMut,
}

#[async_trait]
impl Sink for MemorySink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(), StorageError> {
        lock(&self.objects).put(self.key, self.bytes.freeze(), self.options)
    }

    async fn abort(self: Box<Self>) {}
}
