//! Temporary files and folders of dead processes. A running process holds a lock on its files, so an unlocked
//! file belongs to a dead process.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, OFlags, flock};

/// Maximum time between the creation of a file and its lock.
const UNLOCKED: Duration = Duration::from_secs(10);
/// Number of random characters in the name of a temporary file.
const RANDOM: usize = 6;

/// The naming scheme of one kind of temporary files: `prefix`, six random letters and digits, `suffix`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    pub(crate) prefix: &'static str,
    pub(crate) suffix: &'static str,
}

/// Unfinished outputs, next to their targets.
pub(crate) const PARTIAL: Names = Names {
    prefix: ".vf-",
    suffix: ".partial",
};
/// Copies of sources and other scratch files.
pub(crate) const SCRATCH: Names = Names {
    prefix: "vf-scratch-",
    suffix: "",
};

impl Names {
    pub(crate) fn builder(self) -> tempfile::Builder<'static, 'static> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(self.prefix).suffix(self.suffix).rand_bytes(RANDOM);
        builder
    }

    fn fits(self, name: &str) -> bool {
        let random = name.strip_prefix(self.prefix);
        let random = random.and_then(|rest| rest.strip_suffix(self.suffix));
        random.is_some_and(|random| {
            random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    }
}

/// Locks an open file or folder until it is closed.
pub(crate) fn lock(file: &File) -> rustix::io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// Opens a file or folder without following a symbolic link and without blocking.
pub(crate) fn open_untouched(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    File::options().read(true).custom_flags(flags).open(path)
}

/// Deletes temporary files of dead processes of this user in a possibly shared folder, and returns the number of
/// deleted files.
///
/// Keeps files that are locked, new, owned by another user, or not temporary by their name. Ignores files
/// that cannot be deleted.
pub(crate) fn sweep(folder: &Path, names: Names) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let fitting = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| names.fits(name)));
    fitting
        .filter(|entry| remove(&entry.path()).unwrap_or(false))
        .count()
}

/// Sweeps the folder of an output, unless the last call was for the same folder and less than ten seconds ago. Otherwise, each
/// of many outputs in one folder would list all of them.
pub(crate) fn sweep_outputs(folder: &Path) {
    static LAST: Mutex<Option<(PathBuf, Instant)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let is_recent = |(swept, at): &(PathBuf, Instant)| swept == folder && at.elapsed() < UNLOCKED;
    if !last.as_ref().is_some_and(is_recent) {
        sweep(folder, PARTIAL);
        *last = Some((folder.to_owned(), Instant::now()));
    }
}

fn remove(path: &Path) -> io::Result<bool> {
    let found = path.symlink_metadata()?;
    if !is_stale(&found) {
        return Ok(false);
    }
    let file = open_untouched(path)?;
    let opened = file.metadata()?;
    if (opened.dev(), opened.ino()) != (found.dev(), found.ino()) || lock(&file).is_err() {
        return Ok(false);
    }
    tracing::debug!(path = %path.display(), "deleting temporary file of a dead process");
    match found.is_dir() {
        true => fs::remove_dir_all(path)?,
        false => fs::remove_file(path)?,
    }
    Ok(true)
}

fn is_stale(found: &Metadata) -> bool {
    let is_own = found.uid() == rustix::process::geteuid().as_raw();
    let age = found
        .modified()
        .map(|time| SystemTime::now().duration_since(time));
    let old = age.is_ok_and(|age| age.is_ok_and(|age| age >= UNLOCKED));
    is_own && old && (found.is_dir() || found.is_file() && found.nlink() == 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_temporary_files_match() {
        for (name, partial, scratch) in [
            (".vf-a1B2c3.partial", true, false),
            ("vf-scratch-a1B2c3", false, true),
            (".vf-a1B2c3.old", false, false),
            (".vf-a1B2c.partial", false, false),
            (".vf-a1B2/c.partial", false, false),
            (".vf-notes-of-mine.partial", false, false),
            ("vf-scratch-", false, false),
            ("vf-scratch-paper", false, false),
        ] {
            assert_eq!(
                (PARTIAL.fits(name), SCRATCH.fits(name)),
                (partial, scratch),
                "{name}"
            );
        }
    }

    #[test]
    fn locked_new_and_foreign_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - 2 * UNLOCKED).unwrap();
            file
        };
        make(".vf-dead00.partial");
        make("frames.zip");
        make(".vf-a-name-of-mine.partial");
        let living = make(".vf-living.partial");
        lock(&living).unwrap();
        make(".vf-new000.partial")
            .set_modified(SystemTime::now())
            .unwrap();
        fs::create_dir(folder.path().join(".vf-folder.partial")).unwrap();
        fs::write(folder.path().join(".vf-folder.partial/0.jpg"), "x").unwrap();
        let dead = File::open(folder.path().join(".vf-folder.partial")).unwrap();
        dead.set_modified(SystemTime::now() - 2 * UNLOCKED).unwrap();
        let link = folder.path().join(".vf-link00.partial");
        std::os::unix::fs::symlink(folder.path().join("frames.zip"), link).unwrap();

        assert_eq!(sweep(folder.path(), PARTIAL), 2);
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                ".vf-a-name-of-mine.partial",
                ".vf-link00.partial",
                ".vf-living.partial",
                ".vf-new000.partial",
                "frames.zip"
            ]
        );
        drop(living);
        assert_eq!(sweep(folder.path(), PARTIAL), 1);
        assert_eq!(sweep(&folder.path().join("missing"), PARTIAL), 0);
    }
}
