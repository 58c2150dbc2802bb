//! Lists objects in key order, reading only folders that may contain matching objects.

use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FileType, statat};
use rustix::io::Errno;

use super::tree::{self, PARTIAL_FOLDER};
use crate::storage::{ObjectEntry, ObjectKey};

/// A page of a list.
pub(super) struct Page<'a> {
    pub(super) prefix: &'a str,
    pub(super) after: Option<&'a str>,
    pub(super) limit: usize,
    pub(super) found: Vec<ObjectEntry>,
}

impl Page<'_> {
    /// Adds the objects below `folder`. `path` is the key of the folder with a trailing slash, or empty for
    /// the root.
    pub(super) fn fill(&mut self, folder: &OwnedFd, path: &str) -> rustix::io::Result<()> {
        if self.found.len() >= self.limit {
            return Ok(());
        }
        for (key, is_folder) in self.names(folder, path)? {
            if self.found.len() >= self.limit {
                return Ok(());
            }
            let name = key[path.len()..].trim_end_matches('/');
            // Skips entries that were deleted in the meantime.
            if is_folder {
                match tree::open_folder(folder, name) {
                    Ok(inner) => self.fill(&inner, &key)?,
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    Err(error) => return Err(error),
                }
            } else if let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
                && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && let Ok(key) = key.parse::<ObjectKey>()
            {
                let since = Duration::new(
                    u64::try_from(stat.st_mtime).unwrap_or(0),
                    u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
                );
                self.found.push(ObjectEntry {
                    key,
                    size: u64::try_from(stat.st_size).unwrap_or(0),
                    modified: UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH),
                });
            }
        }
        Ok(())
    }

    /// Returns the keys of relevant files and folders. Folders have a trailing slash, which sorts them like
    /// the keys below them.
    fn names(&self, folder: &OwnedFd, path: &str) -> rustix::io::Result<Vec<(String, bool)>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if matches!(name, "." | "..") || path.is_empty() && name.eq_ignore_ascii_case(PARTIAL_FOLDER) {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => tree::kind(folder, name),
                kind => Some(kind),
            };
            match kind {
                Some(FileType::RegularFile) => names.push((format!("{path}{name}"), false)),
                Some(FileType::Directory) => names.push((format!("{path}{name}/"), true)),
                _ => {}
            }
        }
        names.retain(|(key, is_folder)| self.may_match(key, *is_folder));
        names.sort_unstable();
        Ok(names)
    }

    fn may_match(&self, key: &str, is_folder: bool) -> bool {
        let within = key.starts_with(self.prefix) || is_folder && self.prefix.starts_with(key);
        let after_start = self
            .after
            .is_none_or(|after| key > after || is_folder && after.starts_with(key));
        within && after_start
    }
}
