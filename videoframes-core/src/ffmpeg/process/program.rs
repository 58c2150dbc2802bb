//! An installed program with the limits of its processes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::spawn::Bounds;
use crate::limits::{CHILD_FILE_BYTES, MEMORY};

/// A program with the registry and resource limits of its processes.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) registry: Option<Arc<Path>>,
    pub(crate) bounds: Bounds,
}

impl From<PathBuf> for Program {
    fn from(path: PathBuf) -> Self {
        Self {
            path,
            registry: None,
            bounds: Bounds {
                memory: 2 * MEMORY,
                file: CHILD_FILE_BYTES,
            },
        }
    }
}

impl Program {
    /// Returns the program with this limit for the address space in bytes.
    pub(crate) fn with_memory(&self, bytes: u64) -> Self {
        let mut program = self.clone();
        program.bounds.memory = bytes;
        program
    }

    /// Returns the program with this limit for the size of written files in bytes.
    pub(crate) fn with_files(&self, bytes: u64) -> Self {
        let mut program = self.clone();
        program.bounds.file = bytes;
        program
    }
}
