//! Folders of outputs, created on demand.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Folders that the run created. Those that are empty at the end are removed.
#[derive(Debug, Default)]
pub(super) struct Parents(Mutex<Vec<PathBuf>>);

impl Parents {
    /// Creates the folder of an output.
    pub(super) fn create(&self, output: &Path) -> io::Result<()> {
        let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty());
        let Some(parent) = parent.filter(|parent| !parent.is_dir()) else {
            return Ok(());
        };
        let mut created = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<&Path> = parent
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
            .collect();
        for folder in missing.into_iter().rev() {
            match std::fs::create_dir(folder) {
                Ok(()) => created.push(folder.to_owned()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes the created folders that are empty. No output may be in progress.
    pub(super) fn remove_empty(&self) {
        let created = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in created.iter().rev() {
            // Fails for a folder that has content.
            let _ = std::fs::remove_dir(folder);
        }
    }
}
