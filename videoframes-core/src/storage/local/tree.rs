//! Folders below a root, opened one by one: no link leads out of it, whoever makes one and whenever.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, open, openat, statat, unlinkat};
use rustix::io::Errno;

use super::PARTIAL_FOLDER;
use crate::storage::file::sync_folder;
use crate::storage::{ObjectKey, StorageError};

/// Why there can be no object below another.
pub(super) const NO_FOLDER: &str = "is below something that is no folder";

/// Permissions of folders that are made here: the owner's alone.
const PRIVATE_FOLDER: u32 = 0o700;
/// Permissions of objects, likewise.
pub(super) const PRIVATE_FILE: u32 = 0o600;

/// Bytes of a component at most, on every file system that Unixes have.
const COMPONENT_BYTES: usize = 255;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What went wrong with `key`.
pub(super) fn failed(action: &'static str, key: &ObjectKey) -> impl Fn(Errno) -> StorageError {
    move |error| StorageError::from_io(action, key.as_str(), error.into())
}

/// Refuses keys that no file here can have.
pub(super) fn check(key: &ObjectKey) -> Result<(), StorageError> {
    let invalid = |reason| Err(StorageError::invalid(key.as_str(), reason));
    if key.as_str().split('/').any(|part| part.len() > COMPONENT_BYTES) {
        return invalid("has a part of more than 255 bytes");
    }
    let first = key.as_str().split('/').next().unwrap_or_default();
    // Not every file system tells large letters from small ones.
    if first.eq_ignore_ascii_case(PARTIAL_FOLDER) {
        return invalid("has the name of the folder of unfinished objects");
    }
    Ok(())
}

/// Opens the root, which an operator may have made a link.
pub(super) fn open_root(root: &Path) -> rustix::io::Result<OwnedFd> {
    openat(CWD, root, FOLDER, Mode::empty())
}

/// Opens the root, making it where it is missing. What is made here is for this user alone, whatever the umask.
pub(super) fn make_root(root: &Path) -> io::Result<OwnedFd> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_FOLDER)
        .create(root)?;
    Ok(open_root(root)?)
}

/// Opens a folder in another, if it is one and no link.
pub(super) fn open_folder(parent: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
    openat(parent, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())
}

/// Opens a folder in another, making it where it is missing.
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

/// Opens the folder that holds `key`, through whatever opens one folder in another.
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
            // A link is one or the other, depending on the system.
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let reason = match kind(&folder, part) {
                    Some(FileType::Symlink) => "leads through a link",
                    _ => NO_FOLDER,
                };
                return Err(StorageError::invalid(key.as_str(), reason));
            }
            Err(error) => return Err(failed("open the folder of", key)(error)),
        };
    }
    Ok(folder)
}

/// What a name in a folder stands for, if anything.
pub(super) fn kind(folder: impl AsFd, name: &str) -> Option<FileType> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}

/// Opens a regular file, never waiting for the other end of a FIFO.
pub(super) fn open_file(folder: impl AsFd, key: &ObjectKey) -> Result<File, StorageError> {
    match kind(&folder, key.name()) {
        None | Some(FileType::RegularFile) => {}
        // A folder of other objects.
        Some(FileType::Directory) => return Err(StorageError::NotFound(key.to_string())),
        Some(FileType::Symlink) => return Err(StorageError::invalid(key.as_str(), "is a link")),
        Some(_) => return Err(StorageError::invalid(key.as_str(), "is no regular file")),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, key.name(), flags, Mode::empty()).map_err(failed("open", key))?);
    let regular = file.metadata().is_ok_and(|meta| meta.is_file());
    regular
        .then_some(file)
        .ok_or_else(|| StorageError::invalid(key.as_str(), "is no regular file"))
}

/// Opens a regular file by its path, never waiting for the other end of a FIFO.
pub(in crate::storage) fn open_regular(path: &Path) -> io::Result<File> {
    let irregular = || io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file");
    // Looked at first, since to open a device can have effects.
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

/// Removes the folders of `key` that are empty now, from the inside out.
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
