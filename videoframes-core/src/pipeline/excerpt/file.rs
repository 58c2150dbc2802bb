//! The file with an excerpt, and the source whose parts it contains.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tempfile::TempPath;

use crate::limits::{EXCERPT_BYTES, EXCERPT_SHARE};
use crate::pipeline::error::Error;
use crate::pipeline::input::Counted;
use crate::pipeline::scratch::{Reserved, Scratch};
use crate::pipeline::session::Session;
use crate::source::{FileSource, Source, Verifier};
use crate::video::NoIndex;
use crate::video::excerpt::{Layout, Part, Piece};

/// Reason why there is no excerpt.
pub(super) enum NoExcerpt {
    /// The source is unusual, or most of the source is needed.
    Unusual(NoIndex),
    /// The extraction fails.
    Failed(Error),
}

impl From<NoIndex> for NoExcerpt {
    fn from(why: NoIndex) -> Self {
        Self::Unusual(why)
    }
}

impl From<Error> for NoExcerpt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Returns the maximum size of an excerpt in bytes.
pub(super) fn budget(source: &Counted) -> u64 {
    (source.len() / EXCERPT_SHARE).min(EXCERPT_BYTES)
}

/// An excerpt in the scratch folder, written part by part.
pub(super) struct ExcerptFile {
    file: File,
    path: TempPath,
    layout: Layout,
    /// Bytes so far.
    length: u64,
    max_length: u64,
    /// Number of the window of the next part.
    window: usize,
    /// Number of frames in the windows.
    pub(super) frames: usize,
    scratch: Scratch,
    space: Reserved,
}

impl ExcerptFile {
    /// Creates a file that begins with `head`.
    pub(super) async fn new(session: &Session<'_>, head: Vec<u8>) -> Result<Self, NoExcerpt> {
        let scratch = &session.context.scratch;
        let max_length = budget(&session.source);
        if !scratch.can_hold(max_length) {
            return Err(NoIndex::new("the scratch folder is too small for an excerpt").into());
        }
        let space = scratch.reserve(max_length, session.cancel()).await?;
        let (file, path) = scratch.file().map_err(|e| scratch.failed(e))?.into_parts();
        let mut excerpt = Self {
            file,
            path,
            layout: Layout::default(),
            length: 0,
            max_length,
            window: 0,
            frames: 0,
            scratch: scratch.clone(),
            space,
        };
        excerpt.write(vec![head]).await?;
        Ok(excerpt)
    }

    /// Adds a window with `frames` frames. The next window follows without a missing packet if `joined`.
    pub(super) async fn add(
        &mut self,
        parts: Vec<Part>,
        joined: bool,
        frames: usize,
    ) -> Result<(), NoExcerpt> {
        let mut content = Vec::new();
        let mut position = self.length;
        for mut part in parts {
            let prefix = std::mem::take(&mut part.prefix);
            position += prefix.len() as u64;
            let bytes = self.layout.push(position, part, self.window);
            position += bytes.len() as u64;
            content.extend([prefix, bytes]);
        }
        self.window += usize::from(!joined);
        self.frames += frames;
        self.write(content).await
    }

    async fn write(&mut self, content: Vec<Vec<u8>>) -> Result<(), NoExcerpt> {
        self.length += content.iter().map(|part| part.len() as u64).sum::<u64>();
        if self.length > self.max_length {
            return Err(NoIndex::new("most of the source is needed").into());
        }
        let failed = |error| self.scratch.failed(error);
        let mut file = self.file.try_clone().map_err(failed)?;
        let write = move || content.iter().try_for_each(|part| file.write_all(part));
        let written = tokio::task::spawn_blocking(write).await;
        written.map_err(io::Error::other).flatten().map_err(failed)?;
        Ok(())
    }

    /// Returns the source with these parts.
    pub(super) fn finish(self, inner: &Arc<Counted>) -> Result<Copied, Error> {
        let source = FileSource::open(self.path.to_path_buf()).map_err(|e| self.scratch.failed(e))?;
        Ok(Copied {
            inner: Arc::clone(inner),
            file: Arc::new(source),
            layout: self.layout,
            path: self.path,
            _lock: self.file,
            _space: self.space,
        })
    }
}

/// A source with a local copy of some of its parts.
pub(super) struct Copied {
    inner: Arc<Counted>,
    /// The excerpt with the parts.
    pub(super) file: Arc<FileSource>,
    pub(super) layout: Layout,
    pub(super) path: TempPath,
    /// Open while the excerpt is in use; the lock of the file protects it from a sweep.
    _lock: File,
    // The field is last, so that the file is removed before its space is released.
    _space: Reserved,
}

#[async_trait]
impl Source for Copied {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn local_path(&self) -> Option<&Path> {
        None
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        self.inner.verifier()
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let Some(pieces) = self.layout.pieces(offset..offset.saturating_add(length as u64)) else {
            return self.inner.read_at(offset, length).await;
        };
        let mut bytes = BytesMut::new();
        for piece in pieces {
            match piece {
                Piece::Excerpt { position, length } => {
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    bytes.extend_from_slice(&self.file.read_at(position, length).await?);
                }
                Piece::Skipped(skipped) => bytes.extend_from_slice(skipped),
            }
        }
        Ok(bytes.freeze())
    }
}
