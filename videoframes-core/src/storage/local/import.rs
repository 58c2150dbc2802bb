//! Creates objects from local files.

use std::fs::File;
use std::io;
use std::path::Path;

use super::partial::Partial;
use super::{tree, version};
use crate::storage::{ObjectKey, PutOptions, StorageError};

/// Creates an object from the file at `path`.
///
/// Clones the file's blocks if the file system supports that. Otherwise creates a hard link if neither the
/// file nor the object has metadata. Otherwise copies the file.
pub(super) fn import(
    root: &Path,
    key: &ObjectKey,
    path: &Path,
    options: &PutOptions,
) -> Result<(), StorageError> {
    let read = |e| StorageError::from_io("read", &path.to_string_lossy(), e);
    let write = |e| StorageError::from_io("write", key.as_str(), e);
    let file = tree::open_regular(path).map_err(read)?;
    let mut partial = Partial::create(root).map_err(write)?;
    if !share_blocks(&partial.file, &file) {
        partial = match link(root, path, &file, options) {
            Some(linked) => linked,
            None => copy(file, partial, key)?,
        };
    }
    if !options.metadata.is_empty() {
        version::write_metadata(&partial.file, &options.metadata).map_err(write)?;
    }
    partial.persist(root, key, options.if_exists)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn share_blocks(to: &File, from: &File) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn share_blocks(_: &File, _: &File) -> bool {
    false
}

/// Creates a hard link to the file, if possible. Attributes belong to the file rather than to a name: with
/// metadata on either side, one would overwrite the other.
fn link(root: &Path, path: &Path, file: &File, options: &PutOptions) -> Option<Partial> {
    let plain = options.metadata.is_empty() && version::info(file).ok()?.metadata.is_empty();
    if !plain {
        return None;
    }
    Partial::link(root, path, file.try_clone().ok()?).ok()
}

fn copy(mut from: File, mut partial: Partial, key: &ObjectKey) -> Result<Partial, StorageError> {
    io::copy(&mut from, &mut partial.file).map_err(|e| StorageError::from_io("write", key.as_str(), e))?;
    Ok(partial)
}
