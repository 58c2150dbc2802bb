//! Whether a file can grow, by our own check: a log can say anything.

use std::io::{self, Write};
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// Free bytes below which a disk counts as full, once a writer has said so.
const LITTLE: u64 = 16 << 20;
/// Bytes that are written to see whether a quota allows them.
const TRIAL: usize = 256 << 10;

/// Whether `file` can hardly grow: its disk is full, a quota is used up, or it is as long as files of this
/// process may be.
pub(crate) fn is_exhausted(file: &Path) -> bool {
    let length = file.metadata().map_or(0, |file| file.len());
    let limit = getrlimit(Resource::Fsize).current;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    limit.is_some_and(|limit| length.saturating_add(LITTLE) >= limit)
        || rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < LITTLE)
        || trial(folder).is_err()
}

/// Writes a file that is gone again at once.
fn trial(folder: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&vec![0; TRIAL])?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_on_a_disk_with_room_can_grow() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_exhausted(&folder.path().join("new.mp4")));
    }

    #[test]
    fn a_file_in_a_folder_that_is_gone_cannot_grow() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gone/new.mp4");
        assert!(is_exhausted(&file));
    }
}
