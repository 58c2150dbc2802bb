//! Reads entries of a ZIP archive from a source, without the rest of the archive.

use std::fmt;
use std::io::{self, Read, Seek};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{MANIFEST_NAME, Manifest};
use crate::limits::MANIFEST_BYTES;
use crate::source::Source;

/// Number of bytes per read of the source.
const BUFFER: usize = 64 << 10;

/// Error of an [`ArchiveReader`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadArchiveError {
    /// The archive is not a ZIP archive of this crate, is damaged, or an entry exceeds its maximum size.
    #[error("failed to read the archive: {0}")]
    Damaged(#[source] io::Error),
    /// The source failed.
    #[error("failed to read the source of the archive: {0}")]
    Source(#[source] io::Error),
}

/// A reader of single entries of a ZIP archive. Clones share the directory of the archive.
///
/// Memory is proportional to the number of entries.
#[derive(Clone)]
pub struct ArchiveReader {
    archive: zip::ZipArchive<BufferedSource>,
    /// Whether the whole archive is in memory, so that a read cannot block.
    is_whole: bool,
}

impl fmt::Debug for ArchiveReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.archive.len();
        f.debug_struct("ArchiveReader")
            .field("entries", &entries)
            .finish_non_exhaustive()
    }
}

impl ArchiveReader {
    /// Reads the directory of the archive in `source`.
    ///
    /// # Errors
    /// Returns [`ReadArchiveError`] for a damaged archive or a source that fails.
    pub async fn open(source: Arc<dyn Source>) -> Result<Self, ReadArchiveError> {
        let mut source = BufferedSource::new(source);
        source.buffer_small().await.map_err(ReadArchiveError::Source)?;
        let (is_whole, failed) = (source.is_whole(), Arc::clone(&source.failed));
        let open = move || zip::ZipArchive::new(source).map_err(io::Error::from);
        let opened = match is_whole {
            true => open(),
            false => tokio::task::spawn_blocking(open)
                .await
                .map_err(io::Error::other)
                .flatten(),
        };
        let archive = result(opened, &failed)?;
        Ok(Self { archive, is_whole })
    }

    /// Returns the manifest.
    ///
    /// # Errors
    /// Returns [`ReadArchiveError`] for a damaged archive or a source that fails.
    pub async fn manifest(&self) -> Result<Manifest, ReadArchiveError> {
        let parse = |entry: &mut dyn Read| serde_json::from_reader(entry).map_err(io::Error::from);
        let manifest = self.read(MANIFEST_NAME, MANIFEST_BYTES, parse).await?;
        manifest.ok_or_else(|| {
            let text = format!("it has no {MANIFEST_NAME}");
            ReadArchiveError::Damaged(io::Error::new(io::ErrorKind::InvalidData, text))
        })
    }

    /// Returns the content of an entry of at most `max` bytes; `None` if there is no such entry.
    ///
    /// # Errors
    /// Returns [`ReadArchiveError`] for a damaged archive, a larger entry or a source that fails.
    pub async fn entry(&self, name: &str, max: u64) -> Result<Option<Bytes>, ReadArchiveError> {
        let content = |entry: &mut dyn Read| {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            Ok(Bytes::from(content))
        };
        self.read(name, max, content).await
    }

    /// Reads an entry of at most `max` bytes, on a thread that may block unless archive and entry are small.
    async fn read<T: Send + 'static>(
        &self,
        name: &str,
        max: u64,
        content: impl FnOnce(&mut dyn Read) -> io::Result<T> + Send + 'static,
    ) -> Result<Option<T>, ReadArchiveError> {
        let (mut archive, name) = (self.archive.clone(), name.to_owned());
        let is_small = self.is_whole && {
            let size = archive.by_name(&name).map(|entry| entry.size());
            size.is_ok_and(|size| size <= BUFFER as u64)
        };
        let max = if is_small { max.min(BUFFER as u64) } else { max };
        let read = move || {
            let read = read_entry(&mut archive, &name, max, content);
            result(read, &archive.into_inner().failed)
        };
        if is_small {
            return read();
        }
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|panic| ReadArchiveError::Damaged(io::Error::other(panic)))?
    }
}

fn read_entry<T>(
    archive: &mut zip::ZipArchive<BufferedSource>,
    name: &str,
    max: u64,
    content: impl FnOnce(&mut dyn Read) -> io::Result<T>,
) -> io::Result<Option<T>> {
    let entry = match archive.by_name(name) {
        Ok(entry) => entry,
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Sizes in an archive are untrusted.
    if entry.size() > max {
        let text = format!("'{name}' has more than {max} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    content(&mut io::BufReader::new(entry.take(max))).map(Some)
}

/// Adds the reason to the result of a read: parsers hide errors of the source in their own errors.
fn result<T>(read: io::Result<T>, failed: &Mutex<Option<io::Error>>) -> Result<T, ReadArchiveError> {
    let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (read, failed) {
        (Ok(value), _) => Ok(value),
        (Err(_), Some(error)) => Err(ReadArchiveError::Source(error)),
        (Err(error), None) => Err(ReadArchiveError::Damaged(error)),
    }
}

/// A [`Source`] for blocking readers, on a thread that may block.
struct BufferedSource {
    source: Arc<dyn Source>,
    runtime: Handle,
    offset: u64,
    buffer: Bytes,
    /// Offset of the buffer in the source.
    buffered_from: u64,
    /// The error of the source, if a read failed.
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl BufferedSource {
    fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            runtime: Handle::current(),
            offset: 0,
            buffer: Bytes::new(),
            buffered_from: 0,
            failed: Arc::default(),
        }
    }

    /// Reads the whole source into the buffer if it is small: a thread would cost more than its parsing.
    async fn buffer_small(&mut self) -> io::Result<()> {
        if self.source.len() <= BUFFER as u64 {
            self.buffer = self.source.read_at(0, BUFFER).await?;
        }
        Ok(())
    }

    /// Returns whether the buffer has the whole source.
    fn is_whole(&self) -> bool {
        self.buffer.len() as u64 == self.source.len()
    }

    /// Returns the buffered bytes at the current offset.
    fn buffered(&self) -> &[u8] {
        let skipped = self.offset.checked_sub(self.buffered_from);
        let skipped = skipped.and_then(|bytes| usize::try_from(bytes).ok());
        skipped
            .and_then(|bytes| self.buffer.get(bytes..))
            .unwrap_or_default()
    }
}

/// Clones have separate errors.
impl Clone for BufferedSource {
    fn clone(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
            runtime: self.runtime.clone(),
            offset: self.offset,
            buffer: self.buffer.clone(),
            buffered_from: self.buffered_from,
            failed: Arc::default(),
        }
    }
}

impl Read for BufferedSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffered().is_empty() && self.offset < self.source.len() {
            let read = self.source.read_at(self.offset, into.len().max(BUFFER));
            self.buffer = self.runtime.block_on(read).map_err(|error| {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                io::Error::other("the source failed")
            })?;
            self.buffered_from = self.offset;
        }
        let read = self.buffered().read(into)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Seek for BufferedSource {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let target = match to {
            io::SeekFrom::Start(offset) => Some(offset),
            io::SeekFrom::End(change) => self.source.len().checked_add_signed(change),
            io::SeekFrom::Current(change) => self.offset.checked_add_signed(change),
        };
        self.offset = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use async_trait::async_trait;

    use super::*;
    use crate::archive::{Archive, ZipArchive};
    use crate::source::{MemorySource, Verifier};
    use crate::storage::{Sink, StorageError};

    /// Collects the written bytes.
    #[derive(Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    #[async_trait]
    impl Sink for Written {
        async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
            self.0.lock().unwrap().extend_from_slice(&bytes);
            Ok(())
        }
        async fn finish(self: Box<Self>) -> Result<(), StorageError> {
            Ok(())
        }
        async fn abort(self: Box<Self>) {}
    }

    async fn archive() -> Vec<u8> {
        let written = Arc::default();
        let mut archive = ZipArchive::new(Box::new(Written(Arc::clone(&written))));
        for (name, size) in [("a.jpg", 10), ("b.jpg", 3 * BUFFER)] {
            archive.add(name, vec![7; size].into()).await.unwrap();
        }
        Box::new(archive).finish().await.unwrap();
        written.lock().unwrap().clone()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn entries_are_read_by_name() {
        let reader = ArchiveReader::open(Arc::new(MemorySource::new("a.zip", archive().await)))
            .await
            .unwrap();
        let size = async |name: &str, max: usize| {
            let entry = reader.entry(name, max as u64).await;
            entry.map(|entry| entry.map(|content| content.len()))
        };
        assert_eq!(size("a.jpg", 10).await.unwrap(), Some(10));
        assert_eq!(size("b.jpg", 4 * BUFFER).await.unwrap(), Some(3 * BUFFER));
        assert_eq!(size("../a.jpg", 10).await.unwrap(), None);
        let refused = size("b.jpg", BUFFER).await.unwrap_err().to_string();
        assert!(refused.contains("more than 65536 bytes"), "{refused}");
        let refused = reader.manifest().await.unwrap_err().to_string();
        assert!(refused.contains("no manifest.json"), "{refused}");
    }

    /// A source that fails behind an offset.
    struct Failing(MemorySource, u64);

    #[async_trait]
    impl Source for Failing {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn local_path(&self) -> Option<&Path> {
            None
        }
        fn verifier(&self) -> Option<Box<dyn Verifier>> {
            None
        }
        fn len(&self) -> u64 {
            self.0.len()
        }
        async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
            match offset < self.1 {
                true => Err(io::Error::other("the store is down")),
                false => self.0.read_at(offset, len).await,
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn errors_of_the_source_differ_from_damage() {
        let bytes = archive().await;
        let failing = |end: u64| Arc::new(Failing(MemorySource::new("a.zip", bytes.clone()), end));
        let error = ArchiveReader::open(failing(u64::MAX)).await.unwrap_err();
        assert!(matches!(error, ReadArchiveError::Source(_)), "{error}");
        let reader = ArchiveReader::open(failing(BUFFER as u64)).await.unwrap();
        let error = reader.entry("a.jpg", 10).await.unwrap_err();
        assert!(matches!(error, ReadArchiveError::Source(_)), "{error}");
        let cut = MemorySource::new("a.zip", bytes[..bytes.len() / 2].to_vec());
        let error = ArchiveReader::open(Arc::new(cut)).await.unwrap_err();
        assert!(matches!(error, ReadArchiveError::Damaged(_)), "{error}");
    }
}
