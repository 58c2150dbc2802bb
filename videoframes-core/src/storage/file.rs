//! A sink that writes a file at any path.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::NamedTempFile;

use super::{IfExists, Sink, StorageError};
use crate::stale;

/// A file that appears under its name only when it is complete.
///
/// Until then it is a temporary file in the same folder. Creating a sink also deletes temporary files of
/// killed processes in that folder.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    if_exists: IfExists,
    file: Option<NamedTempFile>,
}

impl FileSink {
    /// Creates a temporary file next to `path`, whose folder must exist.
    ///
    /// # Errors
    /// Returns [`StorageError::AlreadyExists`] at once if `path` exists and must not be replaced. Returns
    /// [`StorageError::Invalid`] for a device, a pipe or a symbolic link, which another user may have
    /// planted.
    pub fn create(path: impl Into<PathBuf>, if_exists: IfExists) -> Result<Self, StorageError> {
        let path = path.into();
        let name = path.to_string_lossy().into_owned();
        match path.symlink_metadata() {
            Ok(_) if if_exists == IfExists::Refuse => return Err(StorageError::AlreadyExists(name)),
            // The temporary file has a shorter name, so its creation would not fail.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                return Err(StorageError::from_io("write", &name, error));
            }
            Ok(meta) if meta.is_symlink() => {
                return Err(StorageError::invalid(
                    &name,
                    "is a symbolic link, which cannot be replaced",
                ));
            }
            Ok(meta) if !meta.is_file() && !meta.is_dir() => {
                return Err(StorageError::invalid(&name, "is not a regular file"));
            }
            Ok(_) | Err(_) => {}
        }
        let folder = folder_of(&path);
        stale::sweep_outputs(folder);
        let file = stale::PARTIAL
            .builder()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => StorageError::NotFound(folder.to_string_lossy().into_owned()),
                _ => StorageError::from_io("write", &name, e),
            })?;
        // A file system without locks has no sweeps either.
        let _ = stale::lock(file.as_file());
        Ok(Self {
            path,
            if_exists,
            file: Some(file),
        })
    }

    /// Returns the path of the temporary file, for writers that bypass this sink.
    pub(crate) fn partial_path(&self) -> &Path {
        self.file.as_ref().map_or(Path::new(""), NamedTempFile::path)
    }

    fn error(&self, source: io::Error) -> StorageError {
        StorageError::from_io("write", &self.path.to_string_lossy(), source)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

#[async_trait]
impl Sink for FileSink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let Some(mut file) = self.file.take() else {
            return Err(self.error(io::Error::other("an earlier write failed")));
        };
        let written = blocking(move || file.write_all(&bytes).map(|()| file)).await;
        self.file = Some(written.map_err(|e| self.error(e))?);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), StorageError> {
        let Some(file) = self.file.take() else {
            return Err(self.error(io::Error::other("an earlier write failed")));
        };
        let (path, if_exists) = (self.path.clone(), self.if_exists);
        blocking(move || {
            file.as_file().sync_all()?;
            match if_exists {
                IfExists::Refuse => file.persist_noclobber(&path).map(drop),
                IfExists::Replace => file.persist(&path).map(drop),
            }
            .map_err(|e| e.error)?;
            // A folder may be writable but not readable; then the new name is not synced.
            match File::open(folder_of(&path)) {
                Ok(folder) => sync_folder(&folder),
                Err(_) => Ok(()),
            }
        })
        .await
        .map_err(|e| self.error(e))
    }

    async fn abort(self: Box<Self>) {}
}

/// Syncs the names in a folder, if the file system supports that.
pub(super) fn sync_folder(folder: impl std::os::fd::AsFd) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::fsync(folder) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::BADF) => Ok(()),
        other => other.map_err(io::Error::from),
    }
}
