//! Objects in memory, for tests and small embedded uses.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::{IfExists, ObjectKey, Sink, Storage, StorageError};
use crate::source::{MemorySource, Source};

type Objects = Arc<Mutex<HashMap<ObjectKey, Bytes>>>;

/// A map as a [`Storage`]; clones share their objects.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    objects: Objects,
}

fn lock(objects: &Objects) -> MutexGuard<'_, HashMap<ObjectKey, Bytes>> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn open(&self, key: &ObjectKey) -> Result<Arc<dyn Source>, StorageError> {
        let bytes = lock(&self.objects).get(key).cloned();
        let bytes = bytes.ok_or_else(|| StorageError::NotFound(key.to_string()))?;
        let name = key.as_str().rsplit('/').next().unwrap_or_default();
        Ok(Arc::new(MemorySource::new(name, bytes)))
    }

    async fn create(&self, key: &ObjectKey, if_exists: IfExists) -> Result<Box<dyn Sink>, StorageError> {
        if if_exists == IfExists::Refuse && lock(&self.objects).contains_key(key) {
            return Err(StorageError::AlreadyExists(key.to_string()));
        }
        Ok(Box::new(MemorySink {
            objects: Arc::clone(&self.objects),
            key: key.clone(),
            if_exists,
            bytes: BytesMut::new(),
        }))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        lock(&self.objects).remove(key);
        Ok(())
    }
}

struct MemorySink {
    objects: Objects,
    key: ObjectKey,
    if_exists: IfExists,
    bytes: BytesMut,
}

#[async_trait]
impl Sink for MemorySink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(), StorageError> {
        let mut objects = lock(&self.objects);
        if self.if_exists == IfExists::Refuse && objects.contains_key(&self.key) {
            return Err(StorageError::AlreadyExists(self.key.to_string()));
        }
        objects.insert(self.key, self.bytes.freeze());
        Ok(())
    }

    async fn abort(self: Box<Self>) {}
}
