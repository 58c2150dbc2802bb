//! Implements a storage that keeps objects in memory and counts the bytes read:
//! `cargo run --example custom_storage -- video.mp4`

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use videoframes_core::archive::ZipObject;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::{Pipeline, Request};
use videoframes_core::source::{Source, Verifier};
use videoframes_core::storage::{
    MemoryStorage, ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Sink, Storage,
    StorageError,
};

/// Wraps another storage and counts the bytes read.
struct Counting<S> {
    inner: S,
    read: Arc<AtomicU64>,
}

#[async_trait]
impl<S: Storage> Storage for Counting<S> {
    async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<ObjectInfo, StorageError> {
        self.inner.head(key, version).await
    }

    async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Opened, StorageError> {
        let opened = self.inner.open(key, version).await?;
        let (source, read) = (opened.source, Arc::clone(&self.read));
        Ok(Opened::new(opened.info, Arc::new(CountedSource { source, read })))
    }

    async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError> {
        self.inner.create(key, options).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        self.inner.delete(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        max: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError> {
        self.inner.list(prefix, after, max).await
    }

    async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError> {
        self.inner.import(key, path, options).await
    }
}

struct CountedSource {
    source: Arc<dyn Source>,
    read: Arc<AtomicU64>,
}

#[async_trait]
impl Source for CountedSource {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn len(&self) -> u64 {
        self.source.len()
    }

    fn local_path(&self) -> Option<&Path> {
        self.source.local_path()
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        self.source.verifier()
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let bytes = self.source.read_at(offset, length).await?;
        self.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: custom_storage VIDEO")?;
    let read = Arc::new(AtomicU64::new(0));
    let storage: Arc<dyn Storage> = Arc::new(Counting {
        inner: MemoryStorage::default(),
        read: Arc::clone(&read),
    });
    let key = "uploads/video".parse()?;
    storage
        .import(&key, path.as_ref(), &PutOptions::default())
        .await?;

    let source = storage.open(&key, &ObjectVersion::CURRENT).await?.source;
    let target = ZipObject::new(Arc::clone(&storage), "frames.zip".parse()?, PutOptions::default());
    let pipeline = Pipeline::new(FfmpegExtractor::default());
    let summary = pipeline.extract(source, &Request::default(), &target).await?;
    println!(
        "{} pictures, {} bytes of the video read, {:?}",
        summary.manifest.frames.len(),
        read.load(Ordering::Relaxed),
        storage
            .head(&"frames.zip".parse()?, &ObjectVersion::CURRENT)
            .await?
    );
    Ok(())
}
