//! A store with faults.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use videoframes_core::clock::Clock;
use videoframes_core::source::{Source, Verifier};
use videoframes_core::storage::{
    IfExists, ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Sink, Storage,
    StorageError,
};

use crate::faults::Op;
use crate::life::Life;
use crate::plan::{BROKEN, SOURCES};
use crate::world::{World, now};

/// The connection of a worker to the store.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedStorage {
    pub(crate) life: Life,
}

fn unavailable() -> StorageError {
    StorageError::Io {
        action: "reach",
        name: "store".to_owned(),
        source: io::ErrorKind::TimedOut.into(),
    }
}

fn ready<T>(call: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
    now(call).unwrap_or_else(|| Err(unavailable()))
}

impl World {
    /// Writes an object, and remembers the virtual time of the change.
    fn put(&self, key: &ObjectKey, options: &PutOptions, bytes: &Bytes) -> Result<(), StorageError> {
        let mut sink = ready(self.store.create(key, options))?;
        ready(sink.write(bytes.clone()))?;
        ready(sink.finish())?;
        let at = self.clock.elapsed();
        self.state().modified.insert(key.clone(), at);
        self.object_changed(key);
        Ok(())
    }

    /// Writes the sources of all jobs.
    pub(crate) fn put_sources(&self) {
        (0..SOURCES.len()).for_each(|source| self.put_source(source, false));
        self.put_bytes(BROKEN, "broken");
    }

    /// Writes a source: its first version or another.
    pub(crate) fn put_source(&self, source: usize, again: bool) {
        if let Some(key) = SOURCES.get(source) {
            self.put_bytes(
                key,
                if again {
                    "simulated video, again"
                } else {
                    "simulated video"
                },
            );
        }
    }

    fn put_bytes(&self, key: &str, bytes: &'static str) {
        if let Ok(key) = key.parse() {
            let options = PutOptions::from(IfExists::Replace);
            let _ = self.put(&key, &options, &Bytes::from_static(bytes.as_bytes()));
        }
    }

    /// Returns the virtual time of the last change of an object.
    fn modified(&self, key: &ObjectKey) -> SystemTime {
        let at = self.state().modified.get(key).copied().unwrap_or(0);
        let start = self
            .clock
            .now()
            .before(Duration::from_millis(self.clock.elapsed()));
        let millis = u64::try_from(start.get()).unwrap_or(0) + at;
        UNIX_EPOCH + Duration::from_millis(millis)
    }
}

#[async_trait]
impl Storage for SimulatedStorage {
    async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<ObjectInfo, StorageError> {
        let (world, subject) = (Arc::clone(&self.life.world), key.to_string());
        let (key, version) = (key.clone(), version.clone());
        let effect = move || {
            let mut info = ready(world.store.head(&key, &version))?;
            info.modified = world.modified(&key);
            Ok(info)
        };
        self.life.call(Op::Head, subject, unavailable, effect).await
    }

    async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Opened, StorageError> {
        let (own, subject) = (self.clone(), key.to_string());
        let (key, version) = (key.clone(), version.clone());
        let effect = move || {
            let world = &own.life.world;
            let opened = ready(world.store.open(&key, &version))?;
            let mut info = opened.info;
            info.modified = world.modified(&key);
            let source = SimulatedSource {
                life: own.life.clone(),
                inner: opened.source,
                // The decoder of the simulation reads no file. Its "file" is the key.
                path: (!key.as_str().ends_with(".zip")).then(|| PathBuf::from(key.as_str())),
            };
            Ok(Opened::new(info, Arc::new(source)))
        };
        self.life.call(Op::Open, subject, unavailable, effect).await
    }

    async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError> {
        let (own, subject) = (self.clone(), key.to_string());
        let (key, options) = (key.clone(), options.clone());
        let effect = move || {
            ready(own.life.world.store.create(&key, &options))?;
            let sink = SimulatedSink {
                life: own.life.clone(),
                key: key.clone(),
                options: options.clone(),
                bytes: Arc::default(),
            };
            Ok(Box::new(sink) as Box<dyn Sink>)
        };
        self.life.call(Op::Create, subject, unavailable, effect).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let (world, subject) = (Arc::clone(&self.life.world), key.to_string());
        let key = key.clone();
        let effect = move || {
            ready(world.store.delete(&key))?;
            if key.as_str().ends_with(".zip") {
                world.count("event: deleted orphan");
            }
            world.object_changed(&key);
            Ok(())
        };
        self.life.call(Op::Remove, subject, unavailable, effect).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError> {
        let (world, subject) = (Arc::clone(&self.life.world), prefix.to_owned());
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        let effect = move || {
            let mut entries = ready(world.store.list(&prefix, after.as_ref(), limit))?;
            for entry in &mut entries {
                entry.modified = world.modified(&entry.key);
            }
            Ok(entries)
        };
        self.life.call(Op::List, subject, unavailable, effect).await
    }

    async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError> {
        // No job of the simulation writes files.
        self.life.world.store.import(key, path, options).await
    }
}

/// An open object.
struct SimulatedSource {
    life: Life,
    inner: Arc<dyn Source>,
    path: Option<PathBuf>,
}

#[async_trait]
impl Source for SimulatedSource {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn local_path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        self.inner.verifier()
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let inner = Arc::clone(&self.inner);
        let failure = || io::Error::from(io::ErrorKind::TimedOut);
        let effect =
            move || now(inner.read_at(offset, length)).unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
        self.life.call(Op::Read, self.inner.name(), failure, effect).await
    }
}

/// An unfinished object.
struct SimulatedSink {
    life: Life,
    key: ObjectKey,
    options: PutOptions,
    bytes: Arc<Mutex<Vec<u8>>>,
}

#[async_trait]
impl Sink for SimulatedSink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        // A part that is sent twice counts once.
        let (parts, offset) = (Arc::clone(&self.bytes), self.written());
        let effect = move || {
            let mut written = parts.lock().unwrap_or_else(PoisonError::into_inner);
            written.truncate(offset);
            written.extend_from_slice(&bytes);
            Ok(())
        };
        self.life
            .call(Op::Write, self.key.as_str(), unavailable, effect)
            .await
    }

    async fn finish(self: Box<Self>) -> Result<(), StorageError> {
        let (world, key, options) = (
            Arc::clone(&self.life.world),
            self.key.clone(),
            self.options.clone(),
        );
        let (parts, done) = (Arc::clone(&self.bytes), AtomicBool::new(false));
        let effect = move || {
            // A store recognizes its own object when a request is repeated.
            if done.load(Ordering::Relaxed) {
                return Ok(());
            }
            let bytes = parts.lock().unwrap_or_else(PoisonError::into_inner).clone();
            world.put(&key, &options, &bytes.into())?;
            done.store(true, Ordering::Relaxed);
            Ok(())
        };
        self.life
            .call(Op::Complete, self.key.as_str(), unavailable, effect)
            .await
    }

    async fn abort(self: Box<Self>) {
        let effect = || Ok::<(), StorageError>(());
        let _ = self
            .life
            .call(Op::Abort, self.key.as_str(), unavailable, effect)
            .await;
    }
}

impl SimulatedSink {
    fn written(&self) -> usize {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
