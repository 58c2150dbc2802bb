//! A ZIP on standard output.

use std::io::{self, Write};

use async_trait::async_trait;
use bytes::Bytes;
use videoframes_core::archive::{Archive, ArchiveError, Destination, ZipArchive};
use videoframes_core::storage::{Sink, StorageError};

use crate::exit::{self, Failure};

/// Prints `text`. A reader that has gone away did so of its own wish.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let text = format!("cannot write to stdout: {error}");
            Err(Failure::new(exit::OUTPUT, text))
        }
        _ => Ok(()),
    }
}

/// Standard output as a place for one result. What was written cannot be taken back; a failed
/// archive lacks its directory, so that no reader takes it for a whole one.
#[derive(Debug)]
pub(crate) struct StdoutZip;

#[async_trait]
impl Destination for StdoutZip {
    fn check(&self) -> Result<(), ArchiveError> {
        Ok(())
    }

    fn can_restart(&self) -> bool {
        false
    }

    async fn start(&self) -> Result<Box<dyn Archive>, ArchiveError> {
        Ok(Box::new(ZipArchive::new(Box::new(StdoutSink))))
    }
}

struct StdoutSink;

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
