//! Folders below a root, opened one at a time, so that no symbolic link leads out of the root, even one
//! created concurrently.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, open, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::storage::file::sync_folder;
use crate::storage::{ObjectKey, StorageError};

/// Folder of unfinished objects, below the root. No key may start with this name.
pub(super) const PARTIAL_FOLDER: &str = ".vf-partial";
/// Reason why no object can be below another object.
pub(super) const NO_FOLDER: &str = "is below something that is not a folder";

/// Permissions of new folders: for the owner only.
const PRIVATE_FOLDER: u32 = 0o700;
/// Permissions of new objects: for the owner only.
pub(super) const PRIVATE_FILE: u32 = 0o600;

/// Maximum size of a component in bytes, on all Unix file systems.
const COMPONENT_BYTES: usize = 255;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Returns a function that converts an error of an action on `key`.
pub(super) fn failed(action: &'static str, key: &ObjectKey) -> impl Fn(Errno) -> StorageError {
    move |error| StorageError::from_io(action, key.as_str(), error.into())
}

/// Fails for keys that cannot be file names here.
pub(super) fn check(key: &ObjectKey) -> Result<(), StorageError> {
    let invalid = |reason| Err(StorageError::invalid(key.as_str(), reason));
    if key.as_str().split('/').any(|part| part.len() > COMPONENT_BYTES) {
        return invalid("has a component of more than 255 bytes");
    }
    let first = key.as_str().split('/').next().unwrap_or_default();
    // Some file systems ignore case.
    if first.eq_ignore_ascii_case(PARTIAL_FOLDER) {
        return invalid("has the name of the folder of unfinished objects");
    }
    Ok(())
}

/// Opens the root, which may be a symbolic link of the operator.
pub(super) fn open_root(root: &Path) -> rustix::io::Result<OwnedFd> {
    openat(CWD, root, FOLDER, Mode::empty())
}

/// Opens the root, and creates it if missing. New folders are accessible to this user only, whatever the
/// umask.
pub(super) fn make_root(root: &Path) -> io::Result<OwnedFd> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_FOLDER)
        .create(root)?;
    Ok(open_root(root)?)
}

/// Opens a folder in another, if it is not a symbolic link.
pub(super) fn open_folder(parent: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
    openat(parent, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())
}

/// Opens a folder in another, and creates it if missing.
pub(super) fn make_folder(parent: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
    match open_folder(&parent, name) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    match mkdirat(&parent, name, Mode::from_raw_mode(PRIVATE_FOLDER)) {
        Ok(()) => sync_folder(&parent).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    open_folder(parent, name)
}

/// Opens the folder that contains `key`, with `open` for each step.
pub(super) fn folder_of(
    root: OwnedFd,
    key: &ObjectKey,
    open: impl Fn(&OwnedFd, &str) -> rustix::io::Result<OwnedFd>,
) -> Result<OwnedFd, StorageError> {
    let mut folder = root;
    let mut parts = key.as_str().split('/').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            break;
        }
        folder = match open(&folder, part) {
            Ok(inner) => inner,
            // A symbolic link causes either error, depending on the system.
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let reason = match kind(&folder, part) {
                    Some(FileType::Symlink) => "leads through a symbolic link",
                    _ => NO_FOLDER,
                };
                return Err(StorageError::invalid(key.as_str(), reason));
            }
            Err(error) => return Err(failed("open the folder of", key)(error)),
        };
    }
    Ok(folder)
}

/// Returns the type of a directory entry, if it exists.
pub(super) fn kind(folder: impl AsFd, name: &str) -> Option<FileType> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}

/// Opens a regular file, without blocking on a FIFO.
pub(super) fn open_file(folder: impl AsFd, key: &ObjectKey) -> Result<File, StorageError> {
    match kind(&folder, key.name()) {
        None | Some(FileType::RegularFile) => {}
        // A folder of other objects.
        Some(FileType::Directory) => return Err(StorageError::NotFound(key.to_string())),
        Some(FileType::Symlink) => return Err(StorageError::invalid(key.as_str(), "is a symbolic link")),
        Some(_) => return Err(StorageError::invalid(key.as_str(), "is not a regular file")),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, key.name(), flags, Mode::empty()).map_err(failed("open", key))?);
    let regular = file.metadata().is_ok_and(|meta| meta.is_file());
    regular
        .then_some(file)
        .ok_or_else(|| StorageError::invalid(key.as_str(), "is not a regular file"))
}

/// Opens a regular file by its path, without blocking on a FIFO.
pub(in crate::storage) fn open_regular(path: &Path) -> io::Result<File> {
    let irregular = || io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file");
    // Checked before the open, since opening a device can have side effects.
    if !std::fs::metadata(path)?.is_file() {
        return Err(irregular());
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(irregular())
    }
}

/// Deletes the folders of `key` that are now empty, innermost first.
pub(super) fn prune(root: &OwnedFd, key: &ObjectKey) {
    let mut rest = key.as_str();
    while let Some((folders, _)) = rest.rsplit_once('/') {
        let Ok(parent) = folders.rsplit_once('/').map_or_else(
            || root.try_clone(),
            |(above, _)| open_below(root, above).map_err(io::Error::from),
        ) else {
            return;
        };
        let name = folders.rsplit('/').next().unwrap_or_default();
        if unlinkat(parent, name, AtFlags::REMOVEDIR).is_err() {
            return;
        }
        rest = folders;
    }
}

fn open_below(root: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    let mut parts = path.split('/');
    let first = open_folder(root, parts.next().unwrap_or_default())?;
    parts.try_fold(first, open_folder)
}
