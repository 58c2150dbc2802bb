//! Frames as a folder of files, swapped into place when it is complete.

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

/// Writes into a temporary folder beside `path` and renames it at the end.
#[derive(Debug)]
pub struct DirectoryArchive {
    /// Where it goes, without a link or `..` in it: it has to be found again when folders are moved.
    path: PathBuf,
    /// The path as it was given.
    shown: PathBuf,
    if_exists: IfExists,
    staging: TempDir,
    /// Locked, so that no sweep takes the folder for a dead process's.
    _lock: Option<File>,
    size: u64,
}

impl DirectoryArchive {
    /// Starts a folder that will be `path`: absent, empty, or, with [`IfExists::Replace`], one that
    /// holds a manifest of ours. Anything else is refused and never deleted.
    ///
    /// # Errors
    /// [`StorageError::AlreadyExists`], [`ArchiveError::ForeignDirectory`] or what the system says.
    pub fn create(path: impl Into<PathBuf>, if_exists: IfExists) -> Result<Self, ArchiveError> {
        let shown = path.into();
        let path = real_target(&shown)?;
        check_target(&path, &shown, if_exists)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        stale::sweep(parent, stale::PARTIAL);
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
}

fn failed(action: &'static str, path: &Path, error: io::Error) -> StorageError {
    StorageError::from_io(action, &path.to_string_lossy(), error)
}

/// The folder's own path: that of its parent without links, and its name in there.
fn real_target(path: &Path) -> Result<PathBuf, ArchiveError> {
    let Some(name) = path.file_name() else {
        return Err(ArchiveError::NotReplaceable {
            path: path.to_string_lossy().into_owned(),
            reason: "has no name of its own",
        });
    };
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let real = parent.canonicalize().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => StorageError::NotFound(parent.to_string_lossy().into_owned()),
        _ => failed("look at", parent, e),
    })?;
    Ok(real.join(name))
}

fn check_target(path: &Path, shown: &Path, if_exists: IfExists) -> Result<(), ArchiveError> {
    let name = || shown.to_string_lossy().into_owned();
    let not_replaceable = |reason| ArchiveError::NotReplaceable { path: name(), reason };
    let meta = match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed("look at", shown, e).into()),
        Ok(meta) if meta.is_symlink() => return Err(not_replaceable("is a link")),
        Ok(meta) if !meta.is_dir() => return Err(not_replaceable("is no folder")),
        Ok(meta) => meta,
    };
    let parent = path.parent().map(Path::metadata);
    if parent.is_some_and(|parent| parent.is_ok_and(|parent| parent.dev() != meta.dev())) {
        return Err(not_replaceable("is where something is mounted"));
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

/// Whether everything in the folder is listed in a manifest that this tool wrote.
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
        .map(|frame| PathBuf::from(&frame.file))
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
                // Put back what was there; the first error is the one to report.
                let _ = std::fs::rename(&old, &self.path);
            }
            return Err(failed("write", &self.shown, e).into());
        }
        if replaced && let Err(e) = std::fs::remove_dir_all(&old) {
            // Files of somebody else: the old result has to stay, and so it stays where it was.
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
