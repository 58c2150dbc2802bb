//! Systems without a sandbox.

use std::io;

use super::{Access, SandboxMode, SandboxStatus};

/// The sandbox of a program.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    mode: SandboxMode,
}

/// The restrictions of one child.
#[derive(Debug)]
pub(crate) struct Confinement;

impl Sandbox {
    pub(crate) fn new(mode: SandboxMode) -> Self {
        Self { mode }
    }

    /// Returns whether children run in a sandbox, if the system offers one.
    pub(crate) fn is_on(&self) -> bool {
        self.mode != SandboxMode::Off
    }

    pub(crate) fn status(&self) -> SandboxStatus {
        let unavailable = || "this system has no sandbox for child processes".to_owned();
        SandboxStatus {
            mode: self.mode,
            landlock: Err(unavailable()),
            seccomp: Err(unavailable()),
        }
    }

    pub(crate) fn confinement(
        &self,
        _path: &std::path::Path,
        _access: &Access,
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
