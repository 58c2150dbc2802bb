//! Standard output as a destination.

use std::io::{self, Write};

use async_trait::async_trait;
use bytes::Bytes;
use videoframes_core::archive::{Archive, ArchiveError, Destination, PictureArchive, TarArchive, ZipArchive};
use videoframes_core::storage::{Sink, StorageError};

use crate::args::ArchiveType;

/// Standard output. Written bytes cannot be undone. A failed ZIP file lacks its central directory, and a failed tar
/// archive its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdout {
    /// An archive.
    Archive(ArchiveType),
    /// One picture, written after the frame is verified.
    Picture,
}

#[async_trait]
impl Destination for Stdout {
    fn check(&self) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn can_restart(&self) -> bool {
        // A picture is buffered until the end.
        *self == Self::Picture
    }

    async fn start(&self) -> Result<Box<dyn Archive>, ArchiveError> {
        Ok(match self {
            Self::Archive(ArchiveType::Zip) => Box::new(ZipArchive::new(Box::new(StdoutSink))),
            Self::Archive(ArchiveType::Tar) => Box::new(TarArchive::new(Box::new(StdoutSink))),
            Self::Picture => Box::new(PictureArchive::new(Box::new(Buffered::default()))),
        })
    }
}

/// Standard output as a sink.
pub(crate) struct StdoutSink;

fn failed(source: io::Error) -> StorageError {
    StorageError::Io {
        action: "write to",
        name: "stdout".to_owned(),
        source,
    }
}

#[async_trait]
impl Sink for StdoutSink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let written = tokio::task::spawn_blocking(move || io::stdout().lock().write_all(&bytes)).await;
        written.map_err(io::Error::other).flatten().map_err(failed)
    }

    async fn finish(self: Box<Self>) -> Result<(), StorageError> {
        let flushed = tokio::task::spawn_blocking(|| io::stdout().lock().flush()).await;
        flushed.map_err(io::Error::other).flatten().map_err(failed)
    }

    async fn abort(self: Box<Self>) {}
}

/// Buffers the bytes of one picture until `finish`.
#[derive(Default)]
struct Buffered(Vec<Bytes>);

#[async_trait]
impl Sink for Buffered {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.0.push(bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(), StorageError> {
        let mut stdout = Box::new(StdoutSink);
        for bytes in self.0 {
            stdout.write(bytes).await?;
        }
        stdout.finish().await
    }

    async fn abort(self: Box<Self>) {}
}
