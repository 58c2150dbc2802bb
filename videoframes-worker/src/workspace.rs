//! The folder for temporary files of one worker, and removal of the folders of dead workers.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use videoframes_core::ffmpeg::sweep_children;

/// Lock file, locked for the lifetime of the worker.
const LOCK: &str = "lock";
/// Prefix of worker names.
const OWNER: &str = "processor-";
/// Prefix of folders that are being created or removed, which other workers must not use.
const HIDDEN: &str = ".";
/// Suffix of a folder that is being removed.
const REMOVED: &str = ".removed";
/// Time after which the creation of a folder was interrupted.
const CREATED: Duration = Duration::from_secs(60);
/// Subfolder for copies of sources.
const COPIES: &str = "copies";
/// Control socket of the worker.
const SOCKET: &str = "control";
/// Subfolder with one file per running ffmpeg.
const CHILDREN: &str = "children";

/// The folder of this worker, removed on drop. The next sweep removes the folder of a killed worker.
#[derive(Debug)]
pub(crate) struct Workspace {
    all: PathBuf,
    own: PathBuf,
    _lock: File,
}

impl Workspace {
    /// Creates a folder in `all`, named after `owner`.
    pub(crate) fn create(all: &Path, owner: &str) -> io::Result<Self> {
        // Other workers must not see a folder without a lock, so the folder gets its final name after the lock.
        private_folders(all)?;
        let own = all.join(owner);
        let hidden = all.join(format!("{HIDDEN}{owner}"));
        private().create(&hidden)?;
        let lock = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(hidden.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        private().create(hidden.join(COPIES))?;
        private().create(hidden.join(CHILDREN))?;
        fs::rename(&hidden, &own)?;
        Ok(Self {
            all: all.to_owned(),
            own,
            _lock: lock,
        })
    }

    pub(crate) fn copies(&self) -> PathBuf {
        self.own.join(COPIES)
    }

    pub(crate) fn children(&self) -> PathBuf {
        self.own.join(CHILDREN)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.own.join(SOCKET)
    }

    /// Returns the workers with a folder in `all`, by name. A missing folder counts as empty.
    pub(crate) fn workers(all: &Path) -> io::Result<Vec<WorkerSocket>> {
        let entries = match fs::read_dir(all) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut workers = Vec::new();
        for entry in entries {
            let folder = entry?.path();
            let socket = folder.join(SOCKET);
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
            // The folder of a dead worker waits for the next sweep.
            if let Some(name) = name.filter(|_| is_workspace(&folder) && is_live(&folder) && socket.exists())
            {
                workers.push(WorkerSocket { name, socket });
            }
        }
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(workers)
    }

    /// Kills the decoders of dead workers, and removes their folders.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.all)? {
            let folder = entry?.path();
            if is_interrupted(&folder) {
                ignore_missing(fs::remove_dir_all(&folder))?;
                continue;
            }
            if folder == self.own || !is_workspace(&folder) {
                continue;
            }
            // A folder without a lock file is foreign; a held lock belongs to a live worker.
            let Ok(lock) = File::open(folder.join(LOCK)) else {
                continue;
            };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let killed = sweep_children(&folder.join(CHILDREN))?;
            tracing::info!(folder = %folder.display(), killed, "removing the scratch folder of a dead worker");
            remove(&folder)?;
        }
        Ok(())
    }
}

/// Removes the folder of a worker. The next sweep completes the removal if this process is killed.
fn remove(folder: &Path) -> io::Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let removed = folder.with_file_name(format!("{HIDDEN}{name}{REMOVED}"));
    fs::rename(folder, &removed)?;
    ignore_missing(fs::remove_dir_all(removed))
}

/// Returns whether a killed worker has left the folder during its creation or its removal.
fn is_interrupted(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    let Some(name) = name.and_then(|name| name.strip_prefix(HIDDEN)) else {
        return false;
    };
    let is_unfinished = || {
        let age =
            fs::metadata(folder).and_then(|facts| facts.modified()?.elapsed().map_err(io::Error::other));
        // A worker that is being created may not hold its lock yet.
        age.is_ok_and(|age| age > CREATED) && !is_live(folder)
    };
    name.starts_with(OWNER) && (name.ends_with(REMOVED) || is_unfinished())
}

/// Another worker may remove the same folder.
fn ignore_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// A worker on this machine and its control socket.
#[derive(Debug)]
pub(crate) struct WorkerSocket {
    pub(crate) name: String,
    pub(crate) socket: PathBuf,
}

/// Returns whether a process holds the lock of the folder.
fn is_live(folder: &Path) -> bool {
    let Ok(lock) = File::open(folder.join(LOCK)) else {
        return false;
    };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err()
}

/// Returns a builder for folders that only this user can access, regardless of the umask.
fn private() -> DirBuilder {
    let mut folder = DirBuilder::new();
    folder.mode(0o700);
    folder
}

/// Creates a folder and its missing parents, which only this user can access.
pub(crate) fn private_folders(path: &Path) -> io::Result<()> {
    private().recursive(true).create(path)
}

/// Returns whether a worker created this folder. Other folders must never be removed.
fn is_workspace(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(OWNER))
        && [COPIES, CHILDREN].iter().all(|part| folder.join(part).is_dir())
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.own) {
            tracing::debug!(%error, "failed to remove the scratch folder; left to the next sweep");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sweep_completes_interrupted_removals_and_creations() {
        let all = tempfile::tempdir().unwrap();
        let path = |name: &str| all.path().join(name);
        let removed = path(".processor-dead.removed");
        fs::create_dir_all(removed.join(COPIES)).unwrap();
        let [unfinished, recent, foreign] = [
            ".processor-unfinished",
            ".processor-recent",
            ".other-processor.removed",
        ]
        .map(path);
        for folder in [&unfinished, &recent, &foreign] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join(LOCK), "").unwrap();
        }
        let old = std::time::SystemTime::now() - 2 * CREATED;
        File::open(&unfinished).unwrap().set_modified(old).unwrap();
        let sweeper = Workspace::create(all.path(), "processor-sweeper").unwrap();
        sweeper.sweep().unwrap();
        assert!(!removed.exists() && !unfinished.exists());
        assert!(recent.exists() && foreign.exists());
    }

    #[test]
    fn a_removal_is_visible_to_the_next_sweep_from_its_first_step() {
        let all = tempfile::tempdir().unwrap();
        let worker = Workspace::create(all.path(), "processor-a").unwrap();
        let own = worker.own.clone();
        // A folder in the place of the new name stops the removal after its first step.
        let removed = all.path().join(".processor-a.removed");
        fs::create_dir_all(removed.join(COPIES)).unwrap();
        drop(worker);
        assert!(own.join(LOCK).exists() && own.join(COPIES).exists());
        let sweeper = Workspace::create(all.path(), "processor-sweeper").unwrap();
        sweeper.sweep().unwrap();
        sweeper.sweep().unwrap();
        assert!(!own.exists() && !removed.exists());
    }

    #[test]
    fn sweep_removes_only_folders_of_dead_workers() {
        let all = tempfile::tempdir().unwrap();
        let living = Workspace::create(all.path(), "processor-living").unwrap();
        let dead = all.path().join("processor-dead");
        fs::create_dir_all(dead.join(CHILDREN)).unwrap();
        fs::create_dir(dead.join(COPIES)).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        let foreign = all.path().join("foreign");
        fs::create_dir_all(foreign.join(COPIES)).unwrap();
        fs::create_dir(foreign.join(CHILDREN)).unwrap();
        fs::write(foreign.join(LOCK), "").unwrap();
        let sweeper = Workspace::create(all.path(), "processor-sweeper").unwrap();
        sweeper.sweep().unwrap();
        assert!(!dead.exists());
        assert!(living.copies().exists() && foreign.exists());
        drop((living, sweeper));
        assert_eq!(fs::read_dir(all.path()).unwrap().count(), 1);
    }
}
