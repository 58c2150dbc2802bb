//! Systems without a sandbox.

use std::io;
use std::path::Path;

use super::{Access, SandboxMode, SandboxStatus};

/// The sandbox of a program.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    mode: SandboxMode,
}

/// The restrictions of one child.
#[derive(Debug)]
pub(crate) struct Confinement;

/// Starts a program with restrictions, and returns the reason if the program fails.
pub(crate) type Trial<'a> = &'a dyn Fn(Confinement) -> Result<(), String>;

impl Sandbox {
    pub(crate) fn new(mode: SandboxMode) -> Self {
        Self { mode }
    }

    /// Returns whether children run in a sandbox, if the system offers one.
    pub(crate) fn is_on(&self) -> bool {
        self.mode != SandboxMode::Off
    }

    pub(crate) fn status(&self, _program: &Path, _trial: Trial<'_>) -> SandboxStatus {
        let unavailable = || "this system has no sandbox for child processes".to_owned();
        SandboxStatus {
            mode: self.mode,
            landlock: Err(unavailable()),
            seccomp: Err(unavailable()),
        }
    }

    pub(crate) fn confinement(
        &self,
        _program: &Path,
        _access: &Access,
        _trial: Trial<'_>,
    ) -> io::Result<Option<Confinement>> {
        match self.mode {
            SandboxMode::Require => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this system has no sandbox for child processes",
            )),
            SandboxMode::Auto | SandboxMode::Off => Ok(None),
        }
    }
}

impl Confinement {
    pub(crate) fn apply(&mut self) -> io::Result<()> {
        Ok(())
    }
}
