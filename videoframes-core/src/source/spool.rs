//! Local copies of byte streams.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempPath;
use tokio::sync::mpsc;

use super::{FileSource, Source, Verifier};
use crate::limits::Limits;
use crate::stale;

/// Bytes per read of a stream.
const CHUNK: usize = 1 << 20;

/// Reason why a stream was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The stream cannot be read.
    #[error("failed to read the stream")]
    Read(#[source] io::Error),
    /// The copy cannot be written.
    #[error("failed to write a copy to {}", std::env::temp_dir().display())]
    Write(#[source] io::Error),
    /// The stream has more bytes than the limit.
    #[error("the source has more than {0} bytes")]
    TooLarge(u64),
    /// The stream did not end within the time limit.
    #[error("the source did not end within {} s", .0.as_secs())]
    TimeLimit(Duration),
}

/// A copy in the system's folder for temporary files (`TMPDIR`), deleted on drop.
#[derive(Debug)]
pub(crate) struct LocalCopy {
    source: FileSource,
    /// Deletes the file on drop.
    _path: TempPath,
    /// Lock that shows sweeps that the file is in use.
    _locked: File,
}

impl LocalCopy {
    #[cfg(feature = "http")]
    pub(crate) fn source(&self) -> &FileSource {
        &self.source
    }
}

/// A copy that is being written. Dropping deletes the file, even while a thread still writes to it.
pub(crate) struct Spool {
    path: TempPath,
    /// `None` after a failed write.
    file: Option<File>,
}

impl Spool {
    pub(crate) fn new() -> io::Result<Self> {
        let (file, path) = stale::SCRATCH.builder().tempfile()?.into_parts();
        let _ = stale::lock(&file);
        Ok(Self {
            path,
            file: Some(file),
        })
    }

    /// Appends bytes.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        let mut file = self.file.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let write = tokio::task::spawn_blocking(move || file.write_all(&bytes).map(|()| file));
        self.file = Some(write.await.map_err(io::Error::other).flatten()?);
        Ok(())
    }

    /// Completes the copy.
    pub(crate) fn finish(self) -> io::Result<LocalCopy> {
        let file = self.file.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(LocalCopy {
            source: FileSource::open(&*self.path)?,
            _path: self.path,
            _locked: file,
        })
    }
}

/// A stream of bytes such as standard input, copied to a temporary file.
#[derive(Debug)]
pub struct SpooledSource {
    name: String,
    copy: LocalCopy,
}

impl SpooledSource {
    /// Copies all bytes of `reader` to a file in the system's folder for temporary files (`TMPDIR`), which is deleted on drop.
    /// `name` is the name of the source.
    ///
    /// A thread reads from `reader`. The thread may outlive the call while a read blocks.
    ///
    /// # Errors
    /// Fails if `reader` cannot be read, if the copy cannot be written, or if size or time exceed `limits`.
    pub async fn copy(
        name: impl Into<String>,
        reader: impl Read + Send + 'static,
        limits: &Limits,
    ) -> Result<Self, SpoolError> {
        let copying = copy(reader, limits.input_bytes);
        let copied = tokio::time::timeout(limits.wall_time, copying).await;
        Ok(Self {
            name: name.into(),
            copy: copied.unwrap_or(Err(SpoolError::TimeLimit(limits.wall_time)))?,
        })
    }
}

async fn copy(mut reader: impl Read + Send + 'static, limit: u64) -> Result<LocalCopy, SpoolError> {
    let mut spool = Spool::new().map_err(SpoolError::Write)?;
    let (sender, mut chunks) = mpsc::channel(1);
    // A thread of the runtime would keep the process alive while a read blocks.
    let read = move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match reader.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) => break,
                read => read.map(|length| {
                    chunk.truncate(length);
                    Bytes::from(chunk)
                }),
            };
            let failed = read.is_err();
            if sender.blocking_send(read).is_err() || failed {
                break;
            }
        }
    };
    let thread = std::thread::Builder::new().name("spool".to_owned());
    thread.spawn(read).map_err(SpoolError::Read)?;
    let mut length = 0;
    while let Some(chunk) = chunks.recv().await {
        let chunk = chunk.map_err(SpoolError::Read)?;
        length += chunk.len() as u64;
        if length > limit {
            return Err(SpoolError::TooLarge(limit));
        }
        spool.write(chunk).await.map_err(SpoolError::Write)?;
    }
    spool.finish().map_err(SpoolError::Write)
}

#[async_trait]
impl Source for SpooledSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.copy.source.len()
    }

    fn local_path(&self) -> Option<&Path> {
        self.copy.source.local_path()
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        None
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.copy.source.read_at(offset, length).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_becomes_a_file_that_disappears() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|byte| byte as u8).collect();
        let reader = io::Cursor::new(bytes.clone());
        let source = SpooledSource::copy("stdin", reader, &Limits::default())
            .await
            .unwrap();
        assert_eq!((source.name(), source.len()), ("stdin", bytes.len() as u64));
        assert_eq!(
            source.read_at(2_000_000, 10).await.unwrap(),
            bytes[2_000_000..2_000_010]
        );
        let path = source.local_path().unwrap().to_owned();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        drop(source);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn limits_and_errors_of_a_stream() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        struct Silent;
        impl Read for Silent {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                std::thread::sleep(Duration::from_secs(600));
                Ok(0)
            }
        }
        let limits = Limits::default();
        let endless = SpooledSource::copy("x", io::repeat(7), &limits.input_bytes(3 << 20)).await;
        assert!(matches!(endless, Err(SpoolError::TooLarge(_))), "{endless:?}");
        let failing = SpooledSource::copy("x", Failing, &limits).await;
        assert!(matches!(failing, Err(SpoolError::Read(_))), "{failing:?}");
        let silent = SpooledSource::copy("x", Silent, &limits.wall_time(Duration::from_millis(50))).await;
        assert!(matches!(silent, Err(SpoolError::TimeLimit(_))), "{silent:?}");
    }
}
