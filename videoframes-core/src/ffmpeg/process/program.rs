//! An installed program with the limits of its processes.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sandbox::{Access, Confinement, Sandbox, SandboxMode, SandboxStatus};
use super::spawn::Bounds;
use super::trial;
use crate::limits::{CHILD_CPU_SECONDS, CHILD_FILE_BYTES, Limits, MEMORY};

/// A program with the registry, resource limits and sandbox of its processes.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) registry: Option<Arc<Path>>,
    pub(crate) bounds: Bounds,
    pub(super) sandbox: Sandbox,
    /// Folders in which the process may write.
    pub(super) folders: Vec<PathBuf>,
}

impl From<PathBuf> for Program {
    fn from(path: PathBuf) -> Self {
        Self {
            path,
            registry: None,
            bounds: Bounds {
                memory: 2 * MEMORY,
                file: CHILD_FILE_BYTES,
                cpu: CHILD_CPU_SECONDS,
            },
            sandbox: Sandbox::new(SandboxMode::default()),
            folders: Vec::new(),
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

    /// Returns the program in this sandbox.
    pub(super) fn with_sandbox(&self, mode: SandboxMode) -> Self {
        Self {
            sandbox: Sandbox::new(mode),
            ..self.clone()
        }
    }

    /// Returns the sandbox on this system.
    pub(crate) fn sandbox_status(&self) -> SandboxStatus {
        self.sandbox
            .status(&self.path, &|restrictions| self.trial(restrictions))
    }

    /// Returns the restrictions of a process of the program, or `None` without a sandbox.
    ///
    /// # Errors
    /// Fails if a required part of the sandbox is unavailable, or if the program cannot be read.
    pub(super) fn confinement(&self, access: &Access) -> io::Result<Option<Confinement>> {
        let trial = |restrictions| self.trial(restrictions);
        self.sandbox.confinement(&self.path, access, &trial)
    }

    fn trial(&self, restrictions: Confinement) -> Result<(), String> {
        trial::start(&self.path, self.bounds, restrictions)
    }

    /// Returns the program with the limit for the CPU time of a call.
    pub(crate) fn with_cpu_of(&self, limits: &Limits) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get) as u64;
        let mut program = self.clone();
        program.bounds.cpu = limits.wall_time.as_secs().max(1).saturating_mul(cores);
        program
    }

    /// Returns the program with a folder in which its process may write.
    pub(crate) fn with_folder(&self, folder: &Path) -> Self {
        let mut program = self.clone();
        program.folders.push(folder.to_owned());
        program
    }

    /// Returns the program with this limit for the size of written files in bytes.
    pub(crate) fn with_files(&self, bytes: u64) -> Self {
        let mut program = self.clone();
        program.bounds.file = bytes;
        program
    }
}
