//! The videos in a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Extensions of the files that are taken from folders, as listed in `docs/cli.md`.
pub(super) const EXTENSIONS: [&str; 24] = [
    "3g2", "3gp", "asf", "avi", "dv", "f4v", "flv", "ivf", "m2ts", "m2v", "m4v", "mkv", "mov", "mp4", "mpeg",
    "mpg", "mts", "mxf", "nut", "ogv", "ts", "vob", "webm", "wmv",
];

/// A folder that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) folder: PathBuf,
    pub(super) error: io::Error,
}

/// The videos found in a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Paths relative to the folder, sorted by name.
    pub(super) videos: Vec<PathBuf>,
    pub(super) unreadable: Vec<Unreadable>,
    /// Whether subfolders were skipped.
    pub(super) has_subfolders: bool,
}

/// Returns the videos in `root`, chosen by extension. Skips hidden files and folders.
///
/// Follows symbolic links to files, and no links to folders, so that a link cannot lead in a circle.
pub(super) fn videos(root: &Path, recursive: bool, limit: usize) -> Found {
    let mut found = Found::default();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder)).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                let folder = root.join(folder);
                found.unreadable.push(Unreadable { folder, error });
                continue;
            }
        };
        for entry in entries {
            let name = entry.file_name();
            let path = folder.join(&name);
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // The type of the entry itself, without following a link.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && recursive {
                folders.push(path);
            } else if is_folder {
                found.has_subfolders = true;
            } else if is_video(&path) && root.join(&path).is_file() {
                found.videos.push(path);
            }
        }
        // One more than the limit is sufficient for its error.
        if found.videos.len() > limit {
            break;
        }
    }
    found.videos.sort();
    found
}

/// Returns whether the extension is that of a video.
fn is_video(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    extension
        .to_str()
        .is_some_and(|extension| EXTENSIONS.contains(&extension))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_visible_videos_in_order_without_loops() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/.git")).unwrap();
        for name in [
            "b/2.mkv",
            "b/10.MP4",
            "b/.git/x.mp4",
            "c.mp4",
            "a.mp4",
            ".x.mp4",
            "a.txt",
            "mp4",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        fs::create_dir(root.join("folder.mp4")).unwrap();
        std::os::unix::fs::symlink(root, root.join("b/loop")).unwrap();
        std::os::unix::fs::symlink("c.mp4", root.join("link.mp4")).unwrap();
        std::os::unix::fs::symlink("nothing", root.join("broken.mp4")).unwrap();
        let names = |recursive| {
            let found = videos(root, recursive, 100);
            assert!(found.unreadable.is_empty() && found.has_subfolders != recursive);
            found
                .videos
                .iter()
                .map(|path| path.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["a.mp4", "c.mp4", "link.mp4"]);
        assert_eq!(names(true), ["a.mp4", "b/10.MP4", "b/2.mkv", "c.mp4", "link.mp4"]);
        assert_eq!(videos(&root.join("none"), true, 100).unreadable.len(), 1);
    }
}
