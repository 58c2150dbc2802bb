//! An archive as a folder of files, renamed to its path when it is complete.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;

use super::{Archive, ArchiveError, MANIFEST_NAME};
use crate::stale;
use crate::storage::{IfExists, StorageError};

/// Writes to a temporary folder next to `path`, and renames the folder at the end.
#[derive(Debug)]
pub struct DirectoryArchive {
    /// Target path without symbolic links or `..`, which stays valid when folders are moved.
    path: PathBuf,
    /// Path as given by the caller.
    shown: PathBuf,
    if_exists: IfExists,
    staging: TempDir,
    /// Lock that protects the folder from sweeps.
    _lock: Option<File>,
    size: u64,
}

impl DirectoryArchive {
    /// Creates a temporary folder that will be renamed to `path`.
    ///
    /// `path` must be missing, empty, or, with [`IfExists::Replace`], a folder with a manifest of this crate.
    /// Any other folder is rejected and never deleted.
    ///
    /// # Errors
    /// Returns [`StorageError::AlreadyExists`], [`ArchiveError::ForeignDirectory`] or the error of the
    /// system.
    pub fn create(path: impl Into<PathBuf>, if_exists: IfExists) -> Result<Self, ArchiveError> {
        let shown = path.into();
        let path = real_target(&shown)?;
        check_target(&path, &shown, if_exists)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        stale::sweep_outputs(parent);
        let staging = stale::PARTIAL
            .builder()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .tempdir_in(parent)
            .map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => StorageError::NotFound(parent.to_string_lossy().into_owned()),
                _ => failed("write", &shown, e),
            })?;
        let lock = stale::open_untouched(staging.path()).ok();
        if let Some(lock) = &lock {
            let _ = stale::lock(lock);
        }
        Ok(Self {
            path,
            shown,
            if_exists,
            staging,
            _lock: lock,
            size: 0,
        })
    }

    /// Returns the temporary folder.
    pub(super) fn staging(&self) -> &Path {
        self.staging.path()
    }

    /// Adds the size of a file that was written to the temporary folder.
    pub(super) fn count(&mut self, size: u64) {
        self.size += size;
    }
}

fn failed(action: &'static str, path: &Path, error: io::Error) -> StorageError {
    StorageError::from_io(action, &path.to_string_lossy(), error)
}

/// Returns the target path: the parent without symbolic links, and the name of the folder.
fn real_target(path: &Path) -> Result<PathBuf, ArchiveError> {
    let Some(name) = path.file_name() else {
        return Err(ArchiveError::NotReplaceable {
            path: path.to_string_lossy().into_owned(),
            reason: "has no file name",
        });
    };
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let real = parent.canonicalize().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => StorageError::NotFound(parent.to_string_lossy().into_owned()),
        _ => failed("read the metadata of", parent, e),
    })?;
    Ok(real.join(name))
}

fn check_target(path: &Path, shown: &Path, if_exists: IfExists) -> Result<(), ArchiveError> {
    let name = || shown.to_string_lossy().into_owned();
    let not_replaceable = |reason| ArchiveError::NotReplaceable { path: name(), reason };
    let meta = match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed("read the metadata of", shown, e).into()),
        Ok(meta) if meta.is_symlink() => return Err(not_replaceable("is a symbolic link")),
        Ok(meta) if !meta.is_dir() => return Err(not_replaceable("is not a folder")),
        Ok(meta) => meta,
    };
    let parent = path.parent().map(Path::metadata);
    if parent.is_some_and(|parent| parent.is_ok_and(|parent| parent.dev() != meta.dev())) {
        return Err(not_replaceable("is a mount point"));
    }
    let mut entries = std::fs::read_dir(path).map_err(|e| failed("list", shown, e))?;
    if entries.next().is_none() {
        return Ok(());
    }
    if !holds_our_manifest(path) {
        return Err(ArchiveError::ForeignDirectory(name()));
    }
    match if_exists {
        IfExists::Refuse => Err(StorageError::AlreadyExists(name()).into()),
        IfExists::Replace => Ok(()),
    }
}

/// Returns whether a manifest of this crate lists everything in the folder.
fn holds_our_manifest(path: &Path) -> bool {
    let Ok(text) = std::fs::read(path.join(MANIFEST_NAME)) else {
        return false;
    };
    let Ok(manifest) = serde_json::from_slice::<super::Manifest>(&text) else {
        return false;
    };
    let mut known: std::collections::HashSet<PathBuf> = manifest
        .frames
        .iter()
        .map(|frame| &frame.file)
        .chain(&manifest.files)
        .map(PathBuf::from)
        .collect();
    known.insert(PathBuf::from(MANIFEST_NAME));
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(path.join(&folder)) else {
            return false;
        };
        for entry in entries {
            let Ok(entry) = entry else { return false };
            let name = folder.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(name),
                Ok(_) if known.contains(&name) => {}
                _ => return false,
            }
        }
    }
    true
}

#[async_trait]
impl Archive for DirectoryArchive {
    async fn add(&mut self, name: &str, content: Bytes) -> Result<u64, ArchiveError> {
        let path = self.staging.path().join(name);
        let size = content.len() as u64;
        let written = tokio::task::spawn_blocking(move || {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, content)
        })
        .await
        .map_err(io::Error::other)
        .flatten();
        written.map_err(|e| failed("write", &self.shown.join(name), e))?;
        self.size += size;
        Ok(size)
    }

    fn shard(&self) -> Option<&str> {
        None
    }

    async fn finish(self: Box<Self>) -> Result<u64, ArchiveError> {
        check_target(&self.path, &self.shown, self.if_exists)?;
        let old = self.staging.path().with_extension("old");
        let replaced = match std::fs::rename(&self.path, &old) {
            Ok(()) => true,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => return Err(failed("replace", &self.shown, e).into()),
        };
        if let Err(e) = std::fs::rename(self.staging.path(), &self.path) {
            if replaced {
                // Restores the old folder; the first error is the one to report.
                let _ = std::fs::rename(&old, &self.path);
            }
            return Err(failed("write", &self.shown, e).into());
        }
        if replaced && let Err(e) = std::fs::remove_dir_all(&old) {
            // The old result contains files of another user and cannot be deleted, so it is restored.
            let swapped = std::fs::rename(&self.path, self.staging.path());
            if swapped.and_then(|()| std::fs::rename(&old, &self.path)).is_err() {
                let _ = self.staging.keep();
            }
            return Err(failed("remove the old version of", &self.shown, e).into());
        }
        let _ = self.staging.keep();
        Ok(self.size)
    }

    async fn abort(self: Box<Self>) {}
}
