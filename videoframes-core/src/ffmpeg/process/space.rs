//! Check whether a file can grow. The check does not rely on the log, which a source can forge.

use std::io::{self, Write};
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// Free bytes below which a disk counts as full after a writer has reported so.
const MIN_FREE: u64 = 16 << 20;
/// Number of bytes written to test a quota.
const TRIAL: usize = 256 << 10;

/// Returns whether `file` can hardly grow: its disk is full, its quota is exhausted, or it has reached the
/// maximum file size of this process.
pub(crate) fn is_exhausted(file: &Path) -> bool {
    let length = file.metadata().map_or(0, |file| file.len());
    let limit = getrlimit(Resource::Fsize).current;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    limit.is_some_and(|limit| length.saturating_add(MIN_FREE) >= limit)
        || rustix::fs::statvfs(folder)
            .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < MIN_FREE)
        || trial(folder).is_err()
}

/// Writes and syncs a temporary file.
fn trial(folder: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&vec![0; TRIAL])?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_on_a_disk_with_free_space_can_grow() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_exhausted(&folder.path().join("new.mp4")));
    }

    #[test]
    fn a_file_in_a_missing_folder_cannot_grow() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gone/new.mp4");
        assert!(is_exhausted(&file));
    }
}
