//! Access to a source for decoders and probes: counted reads of ranges, or a local file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::{TempDir, TempPath};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::coverage::Coverage;
use super::error::Error;
use super::scratch::{Reserved, Scratch};
use crate::source::{FileSource, Source, Verifier};

/// Bytes per read when a source is copied.
const CHUNK: usize = 4 << 20;

/// A source that counts the bytes read and stops reading on cancellation.
pub(super) struct Counted {
    inner: Arc<dyn Source>,
    cancel: CancellationToken,
    read: Mutex<Coverage>,
}

impl Counted {
    pub(super) fn new(inner: Arc<dyn Source>, cancel: &CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            inner,
            cancel: cancel.clone(),
            read: Mutex::default(),
        })
    }

    /// Returns the number of distinct bytes read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).bytes()
    }
}

#[async_trait]
impl Source for Counted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn local_path(&self) -> Option<&Path> {
        self.inner.local_path()
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        self.inner.verifier()
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let bytes = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(io::ErrorKind::Interrupted.into()),
            bytes = self.inner.read_at(offset, length) => bytes?,
        };
        let end = offset.saturating_add(bytes.len() as u64);
        self.read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(offset, end);
        Ok(bytes)
    }
}

/// The source as a file that a decoder process can open. A source that is not a file is copied on first use. A
/// file whose name would garble the output of the decoder is opened by a symbolic link.
pub(super) struct LocalFile {
    source: Arc<Counted>,
    scratch: Scratch,
    cancel: CancellationToken,
    copy: OnceCell<Copied>,
    alias: OnceCell<(TempDir, File)>,
    /// Bytes needed in addition to a copy.
    additional: u64,
    /// All reserved space, acquired at once: two requests that each hold a part and wait for more would block
    /// each other. The field is last, so that files are removed before their space is released.
    space: OnceCell<Reserved>,
}

/// A copy of a source.
struct Copied {
    path: TempPath,
    /// Open while the copy is in use; the lock of the file protects the copy from a sweep.
    _file: File,
}

/// Name of the symbolic link in its folder.
const ALIAS: &str = "source";

impl LocalFile {
    pub(super) fn new(source: Arc<Counted>, scratch: &Scratch, cancel: &CancellationToken) -> Self {
        Self {
            source,
            scratch: scratch.clone(),
            cancel: cancel.clone(),
            copy: OnceCell::new(),
            alias: OnceCell::new(),
            additional: 0,
            space: OnceCell::new(),
        }
    }

    /// Reserves additional space in the scratch folder.
    pub(super) fn with_additional_space(mut self, bytes: u64) -> Self {
        self.additional = bytes;
        self
    }

    /// Reserves the space for all files in the scratch folder on first use.
    pub(super) async fn reserve_space(&self) -> Result<(), Error> {
        let copy = match self.source.local_path() {
            Some(_) => 0,
            None => self.source.len(),
        };
        let bytes = copy.saturating_add(self.additional);
        let taken = self
            .space
            .get_or_try_init(|| self.scratch.reserve(bytes, &self.cancel));
        taken.await.map(drop)
    }

    pub(super) async fn path(&self) -> Result<PathBuf, Error> {
        if let Some(path) = self.source.local_path() {
            // ffmpeg prints the name between the log lines that are parsed.
            if path
                .as_os_str()
                .as_encoded_bytes()
                .iter()
                .any(u8::is_ascii_control)
            {
                let alias = self.alias.get_or_try_init(|| async { self.alias(path) });
                let (folder, _) = alias.await.map_err(|e| self.scratch.failed(e))?;
                return Ok(folder.path().join(ALIAS));
            }
            return Ok(path.to_owned());
        }
        let copy = self.copy.get_or_try_init(|| self.copy()).await?;
        Ok(copy.path.to_path_buf())
    }

    /// Returns whether the source is a local file or has been copied to one.
    pub(super) fn is_local(&self) -> bool {
        self.source.local_path().is_some() || self.copy.initialized()
    }

    /// Returns whether to copy a source that supports ranges: if most of the source is needed, since only a
    /// complete copy can be verified against corruption in transit.
    pub(super) fn is_worth_copying(&self, wanted: u64) -> bool {
        let length = self.source.len();
        self.source.local_path().is_none()
            && self.source.verifier().is_some()
            && wanted >= length / 5 * 4
            && self.scratch.can_hold(length)
    }

    /// Opens the file as a source.
    pub(super) async fn open(&self) -> Result<FileSource, Error> {
        let path = self.path().await?;
        FileSource::open(path).map_err(|e| self.scratch.failed(e))
    }

    fn alias(&self, path: &Path) -> io::Result<(TempDir, File)> {
        let (folder, file) = self.scratch.subfolder()?;
        std::os::unix::fs::symlink(path, folder.path().join(ALIAS))?;
        Ok((folder, file))
    }

    async fn copy(&self) -> Result<Copied, Error> {
        let source = &self.source;
        self.reserve_space().await?;
        // The path stays in this future, so that dropping the future removes the file even while a thread still
        // writes.
        let (mut file, path) = self
            .scratch
            .file()
            .map_err(|e| self.scratch.failed(e))?
            .into_parts();
        let mut verifier = source.verifier();
        let mut offset = 0;
        while offset < source.len() {
            let bytes = source.read_at(offset, CHUNK).await.map_err(Error::Source)?;
            if bytes.is_empty() {
                return Err(Error::Source(io::ErrorKind::UnexpectedEof.into()));
            }
            offset += bytes.len() as u64;
            let write = move || {
                if let Some(verifier) = &mut verifier {
                    verifier.update(&bytes);
                }
                io::Write::write_all(&mut file, &bytes).map(|()| (file, verifier))
            };
            (file, verifier) = tokio::task::spawn_blocking(write)
                .await
                .map_err(io::Error::other)
                .flatten()
                .map_err(|e| self.scratch.failed(e))?;
        }
        // Corruption in transit must not count as damage of the video.
        if let Some(verifier) = verifier {
            verifier.finish().map_err(Error::Source)?;
        }
        Ok(Copied { path, _file: file })
    }
}
