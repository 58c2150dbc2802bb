//! Metadata of a file: size, ETag, time and attributes.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use crate::storage::ObjectInfo;

/// Changes when another file takes the name, and when the file is modified.
pub(super) fn etag(meta: &Metadata) -> String {
    let (size, inode) = (meta.size(), meta.ino());
    format!("{size:x}-{:x}.{:x}-{inode:x}", meta.mtime(), meta.mtime_nsec())
}

pub(super) fn info(file: &File) -> io::Result<ObjectInfo> {
    let meta = file.metadata()?;
    Ok(ObjectInfo {
        size: meta.size(),
        version: None,
        etag: etag(&meta),
        modified: meta.modified()?,
        metadata: read_metadata(file)?,
    })
}

/// One extended attribute with `name:value` lines: a single call sets all metadata, and a limit on the number
/// of attributes counts one.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
const ATTRIBUTE: &str = "user.videoframes.metadata";

/// Writes metadata to a file, and returns whether the file system supports that.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn write_metadata(file: &File, metadata: &BTreeMap<String, String>) -> io::Result<bool> {
    use rustix::fs::{XattrFlags, fsetxattr};
    use rustix::io::Errno;
    let lines: String = metadata
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    match fsetxattr(file, ATTRIBUTE, lines.as_bytes(), XattrFlags::empty()) {
        Ok(()) => Ok(true),
        // Some file systems without user attributes return EPERM.
        Err(Errno::NOTSUP | Errno::NOSYS | Errno::PERM | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn read_metadata(file: &File) -> io::Result<BTreeMap<String, String>> {
    use rustix::fs::fgetxattr;
    use rustix::io::Errno;
    // Four times the limit, which leaves space for separators.
    let mut buffer = vec![0; 4 * crate::storage::METADATA_BYTES];
    let length = match fgetxattr(file, ATTRIBUTE, &mut buffer[..]) {
        Ok(length) => length,
        #[cfg(target_vendor = "apple")]
        Err(Errno::NOATTR) => return Ok(BTreeMap::new()),
        // An attribute of that size was not written by this store.
        Err(Errno::NOTSUP | Errno::NOSYS | Errno::PERM | Errno::ACCESS | Errno::RANGE) => {
            return Ok(BTreeMap::new());
        }
        #[cfg(not(target_vendor = "apple"))]
        Err(Errno::NODATA) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&buffer[..length]);
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    Ok(pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn write_metadata(_: &File, _: &BTreeMap<String, String>) -> io::Result<bool> {
    Ok(false)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn read_metadata(_: &File) -> io::Result<BTreeMap<String, String>> {
    Ok(BTreeMap::new())
}
