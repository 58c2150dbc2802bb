//! A source as decoders and probes take it: by ranges, counted, or as a file.

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

/// Bytes per read of a source that has to be copied.
const CHUNK: usize = 4 << 20;

/// A source that notes which bytes are read of it, and reads no more once it is not wanted any more.
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

    /// Bytes read so far, each counted once.
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

/// The source as a file that a decoder process can open: a copy, made when it is first needed, where
/// the source is none, and another name where its own would garble what the process says of it.
pub(super) struct LocalFile {
    source: Arc<Counted>,
    scratch: Scratch,
    cancel: CancellationToken,
    copy: OnceCell<Copied>,
    alias: OnceCell<(TempDir, File)>,
    /// Bytes that are needed beside a copy.
    beside: u64,
    /// All room that is needed, taken at once: whoever held some and waited for more could wait for
    /// another who does the same. The files go first, and then their room.
    room: OnceCell<Reserved>,
}

/// A copy of a source.
struct Copied {
    path: TempPath,
    /// Open as long as the copy is in use, which is what tells a sweep.
    _file: File,
}

/// Name of the link in the folder of an alias.
const ALIAS: &str = "source";

impl LocalFile {
    pub(super) fn new(source: Arc<Counted>, scratch: &Scratch, cancel: &CancellationToken) -> Self {
        Self {
            source,
            scratch: scratch.clone(),
            cancel: cancel.clone(),
            copy: OnceCell::new(),
            alias: OnceCell::new(),
            beside: 0,
            room: OnceCell::new(),
        }
    }

    /// The same, with room for so many bytes more in the scratch folder.
    pub(super) fn with_room_beside(mut self, bytes: u64) -> Self {
        self.beside = bytes;
        self
    }

    /// Takes the room for all that will be in the scratch folder, where that is not done yet.
    pub(super) async fn take_room(&self) -> Result<(), Error> {
        let copy = match self.source.local_path() {
            Some(_) => 0,
            None => self.source.len(),
        };
        let bytes = copy.saturating_add(self.beside);
        let taken = self
            .room
            .get_or_try_init(|| self.scratch.reserve(bytes, &self.cancel));
        taken.await.map(drop)
    }

    pub(super) async fn path(&self) -> Result<PathBuf, Error> {
        if let Some(path) = self.source.local_path() {
            // ffmpeg prints the name between the lines that are read back from it.
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

    /// Returns whether the source is a local file.
    pub(super) fn is_local(&self) -> bool {
        self.source.local_path().is_some()
    }

    /// Whether to copy the source though it could be read in ranges: where most of it is wanted, and only
    /// a copy can be checked for what happened to it on its way.
    pub(super) fn is_worth_copying(&self, wanted: u64) -> bool {
        let length = self.source.len();
        self.source.local_path().is_none()
            && self.source.verifier().is_some()
            && wanted >= length / 5 * 4
            && self.scratch.can_hold(length)
    }

    /// The file as a source.
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
        self.take_room().await?;
        // The path stays here, so that the file goes with this future, whatever thread still writes it.
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
        // What came to harm on its way is for no decoder to judge.
        if let Some(verifier) = verifier {
            verifier.finish().map_err(Error::Source)?;
        }
        Ok(Copied { path, _file: file })
    }
}
