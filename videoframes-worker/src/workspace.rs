//! A folder for temporary files that is this worker's alone, and the folders of workers that died.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use videoframes_core::ffmpeg::sweep_children;

/// Held locked for as long as the worker lives.
const LOCK: &str = "lock";
/// How the names of workers begin.
const OWNER: &str = "processor-";
/// Copies of sources.
const COPIES: &str = "copies";
/// One file for every ffmpeg that runs.
const CHILDREN: &str = "children";

/// This worker's folder. Goes with it; what a killed worker leaves goes with the next sweep.
#[derive(Debug)]
pub(crate) struct Workspace {
    all: PathBuf,
    own: PathBuf,
    _lock: File,
}

impl Workspace {
    /// A new folder below `all`, named after `owner`.
    pub(crate) fn create(all: &Path, owner: &str) -> io::Result<Self> {
        // Others must not see a folder without its lock: it appears under its name with it.
        private_folders(all)?;
        let own = all.join(owner);
        let hidden = all.join(format!(".{owner}"));
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

    /// Ends the decoders of workers that died, and removes their folders.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.all)? {
            let folder = entry?.path();
            if folder == self.own || !is_workspace(&folder) {
                continue;
            }
            // Only what has a lock is ours; one that is held belongs to a living worker.
            let Ok(lock) = File::open(folder.join(LOCK)) else {
                continue;
            };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let killed = sweep_children(&folder.join(CHILDREN))?;
            tracing::info!(folder = %folder.display(), killed, "removing the scratch folder of a dead worker");
            fs::remove_dir_all(&folder)?;
        }
        Ok(())
    }
}

/// Makes folders for this user alone, whatever the umask.
fn private() -> DirBuilder {
    let mut folder = DirBuilder::new();
    folder.mode(0o700);
    folder
}

/// Makes a folder and those above it that are missing, for this user alone.
pub(crate) fn private_folders(path: &Path) -> io::Result<()> {
    private().recursive(true).create(path)
}

/// Whether a worker made this folder: nobody else's is touched, whatever lies in it.
fn is_workspace(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(OWNER))
        && [COPIES, CHILDREN].iter().all(|part| folder.join(part).is_dir())
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.own) {
            tracing::debug!(%error, "failed to remove the scratch folder; left to the next sweep");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_dead_go_and_those_of_the_living_stay() {
        let all = tempfile::tempdir().unwrap();
        let living = Workspace::create(all.path(), "processor-living").unwrap();
        let dead = all.path().join("processor-dead");
        fs::create_dir_all(dead.join(CHILDREN)).unwrap();
        fs::create_dir(dead.join(COPIES)).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        let foreign = all.path().join("of somebody else");
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
