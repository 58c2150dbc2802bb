//! Sources of video bytes.

#[cfg(any(feature = "http", feature = "s3"))]
pub(crate) mod content_range;
#[cfg(feature = "http")]
pub mod http;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

/// Random access to the bytes of one video: a file, an object or a buffer.
///
/// Callers may rely on a constant length, and on reads that are independent of each other and cancel-safe.
///
/// Implementers return exactly the requested bytes or an error. A read beyond the end is truncated, and a
/// read that starts at or after the end is empty.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Returns the last path component, for display and for manifests.
    fn name(&self) -> &str;

    /// Returns the length in bytes.
    fn len(&self) -> u64;

    /// Returns whether the source has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the path of a local file with these bytes, if there is one.
    fn local_path(&self) -> Option<&Path>;

    /// Returns a verifier for a copy of all bytes, if the store has a checksum of them. A wrapper that does
    /// not change the bytes forwards this call.
    fn verifier(&self) -> Option<Box<dyn Verifier>>;

    /// Returns up to `length` bytes from `offset`, or an error.
    ///
    /// Implementers limit the time of a read: callers have no timeout.
    ///
    /// # Errors
    /// Returns the error of the underlying store.
    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes>;
}

#[async_trait]
impl<S: Source + ?Sized> Source for Arc<S> {
    fn name(&self) -> &str {
        self.as_ref().name()
    }

    fn len(&self) -> u64 {
        self.as_ref().len()
    }

    fn local_path(&self) -> Option<&Path> {
        self.as_ref().local_path()
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        self.as_ref().verifier()
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.as_ref().read_at(offset, length).await
    }
}

/// Verifies a copy against the checksum of its source.
pub trait Verifier: Send {
    /// Adds the next bytes of the copy: all bytes in order, each once.
    fn update(&mut self, bytes: &[u8]);

    /// Compares the checksums.
    ///
    /// # Errors
    /// Returns [`io::ErrorKind::InvalidData`] if they differ.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// A regular local file.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    name: String,
    file: Arc<File>,
    length: u64,
}

impl FileSource {
    /// Opens `path`, which must be a regular file; never blocks on a FIFO or device.
    ///
    /// # Errors
    /// Returns the error of the system, or `InvalidInput` for anything but a regular file.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let given: PathBuf = path.into();
        let kind = std::fs::metadata(&given)?.file_type();
        if kind.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
        }
        if !kind.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "is not a regular file",
            ));
        }
        // A path such as /dev/stdin means a different file in another process.
        let path = given.canonicalize()?;
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        let name = std::path::absolute(&given)?
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            path,
            name,
            file: Arc::new(file),
            length,
        })
    }
}

#[async_trait]
impl Source for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn local_path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        None
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let length = usize::try_from(self.length.saturating_sub(offset).min(length as u64)).unwrap_or(length);
        let file = Arc::clone(&self.file);
        tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; length];
            file.read_exact_at(&mut buffer, offset)?;
            Ok(Bytes::from(buffer))
        })
        .await
        .map_err(io::Error::other)?
    }
}

/// Bytes in memory.
#[derive(Debug, Clone)]
pub struct MemorySource {
    name: String,
    bytes: Bytes,
}

impl MemorySource {
    /// Returns a source with a name and its bytes.
    pub fn new(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            bytes: bytes.into(),
        }
    }
}

#[async_trait]
impl Source for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn local_path(&self) -> Option<&Path> {
        None
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        None
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let end = start.saturating_add(length).min(self.bytes.len());
        Ok(self.bytes.slice(start..end))
    }
}
