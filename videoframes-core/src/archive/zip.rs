//! A ZIP archive with sizes in every local header, written sequentially.

use std::fmt;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use zip::write::{PreparedZipFile, SimpleFileOptions};
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::{Archive, ArchiveError};
use crate::storage::Sink;

/// A ZIP archive with stored entries, fixed timestamps, and ZIP64 where needed: the same files give the same
/// bytes.
///
/// Each file is complete when it is added, so entries need no data descriptor. Streaming readers (Java's
/// `ZipInputStream`, `unzip` on a pipe) can read the result.
pub struct ZipArchive {
    sink: Box<dyn Sink>,
    writer: ZipWriter<Tail>,
    tail: Tail,
}

impl fmt::Debug for ZipArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZipArchive").finish_non_exhaustive()
    }
}

impl ZipArchive {
    /// Returns an archive that writes to `sink`.
    #[must_use]
    pub fn new(sink: Box<dyn Sink>) -> Self {
        let tail = Tail::default();
        Self {
            sink,
            writer: ZipWriter::new(tail.clone()),
            tail,
        }
    }
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(0o644)
}

#[async_trait]
impl Archive for ZipArchive {
    async fn add(&mut self, name: &str, content: Bytes) -> Result<u64, ArchiveError> {
        self.tail.expect(content.len());
        PreparedZipFile::from_data(name, options(), &content)
            .and_then(|file| self.writer.add_prepared_file(file))
            .map_err(|source| ArchiveError::Format {
                name: name.to_owned(),
                source: source.into(),
            })?;
        let mut added = 0;
        for part in self.tail.take(content) {
            added += part.len() as u64;
            self.sink.write(part).await?;
        }
        Ok(added)
    }

    fn shard(&self) -> Option<&str> {
        None
    }

    async fn finish(self: Box<Self>) -> Result<u64, ArchiveError> {
        let Self {
            mut sink,
            writer,
            tail,
        } = *self;
        let mut end = match writer.finish() {
            Ok(writer) => writer,
            Err(source) => {
                sink.abort().await;
                return Err(ArchiveError::Format {
                    name: "the central directory".to_owned(),
                    source: source.into(),
                });
            }
        };
        let size = end.stream_position().unwrap_or_default();
        for part in tail.take(Bytes::new()) {
            if let Err(error) = sink.write(part).await {
                sink.abort().await;
                return Err(error.into());
            }
        }
        sink.finish().await?;
        Ok(size)
    }

    async fn abort(self: Box<Self>) {
        self.sink.abort().await;
    }
}

/// Minimum size of contents that are not copied through the ZIP writer. Headers are smaller.
const LARGE: usize = 128 << 10;

/// Buffers the output of the ZIP writer until it is fetched. Reports its position, which the writer queries,
/// but does not seek back, which the writer never does for prepared entries.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<TailState>>);

#[derive(Default)]
struct TailState {
    position: u64,
    bytes: Vec<u8>,
    /// Size of the next content, if it is large.
    expected: Option<usize>,
    /// Position of that content in `bytes`, once it was written.
    content_at: Option<usize>,
}

impl Tail {
    fn lock(&self) -> MutexGuard<'_, TailState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the size of the next content, which arrives in one write.
    fn expect(&self, size: usize) {
        self.lock().expected = (size >= LARGE).then_some(size);
    }

    /// Returns the written bytes in order, with `content` in place of its copy.
    fn take(&self, content: Bytes) -> Vec<Bytes> {
        let mut state = self.lock();
        let mut head = Bytes::from(std::mem::take(&mut state.bytes));
        let parts = match state.content_at.take() {
            Some(at) => {
                let rest = head.split_off(at);
                vec![head, content, rest]
            }
            None => vec![head],
        };
        parts.into_iter().filter(|part| !part.is_empty()).collect()
    }
}

impl Write for Tail {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        if state.expected == Some(data.len()) {
            state.expected = None;
            state.content_at = Some(state.bytes.len());
        } else {
            state.bytes.extend_from_slice(data);
        }
        state.position += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Tail {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = self.lock().position;
        match to {
            SeekFrom::Current(0) | SeekFrom::End(0) => Ok(position),
            SeekFrom::Start(start) if start == position => Ok(position),
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the archive is written sequentially",
            )),
        }
    }
}
