//! Sources in local files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Source, Verifier};

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
