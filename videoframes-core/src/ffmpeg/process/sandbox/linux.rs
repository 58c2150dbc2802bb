//! The sandbox of Linux.

use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock, Once, OnceLock};

use landlock::RulesetCreated;
use seccompiler::BpfProgram;

use super::calls::{self, Freedom};
use super::executable::Executable;
use super::{Access, SandboxMode, SandboxStatus, files};

/// The sandbox of a program.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    mode: SandboxMode,
    /// Found at the first start.
    executable: Arc<OnceLock<Executable>>,
}

/// The restrictions of one child.
#[derive(Debug)]
pub(crate) struct Confinement {
    rules: Option<RulesetCreated>,
    filters: Option<[&'static BpfProgram; 2]>,
}

/// What the system offers.
#[derive(Debug, Clone)]
struct Support {
    landlock: Result<u32, String>,
    seccomp: Result<(), String>,
}

/// The support of the system, tried on a thread that ends afterwards.
static SUPPORT: LazyLock<Support> = LazyLock::new(|| {
    let attempt = || Support {
        landlock: files::try_on_this_thread(),
        seccomp: calls::try_on_this_thread(),
    };
    let failed = |_| Support {
        landlock: Err("the test of the sandbox failed".to_owned()),
        seccomp: Err("the test of the sandbox failed".to_owned()),
    };
    std::thread::spawn(attempt).join().unwrap_or_else(failed)
});

/// Reports once that children run without a part of the sandbox.
static INCOMPLETE: Once = Once::new();

impl Sandbox {
    pub(crate) fn new(mode: SandboxMode) -> Self {
        Self {
            mode,
            executable: Arc::default(),
        }
    }

    /// Returns whether children run in a sandbox, if the system offers one.
    pub(crate) fn is_on(&self) -> bool {
        self.mode != SandboxMode::Off
    }

    pub(crate) fn status(&self) -> SandboxStatus {
        let Support { landlock, seccomp } = SUPPORT.clone();
        SandboxStatus {
            mode: self.mode,
            landlock,
            seccomp,
        }
    }

    /// Returns the restrictions of a child that runs `program`, or `None` without a sandbox.
    ///
    /// # Errors
    /// Fails if a required part is unavailable, or if the program cannot be read.
    pub(crate) fn confinement(&self, program: &Path, access: &Access) -> io::Result<Option<Confinement>> {
        if !self.is_on() {
            return Ok(None);
        }
        if let Some(missing) = self.status().missing() {
            if self.mode == SandboxMode::Require {
                let text = format!("the sandbox is incomplete: {missing}");
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            INCOMPLETE.call_once(|| tracing::debug!(missing, "the sandbox of ffmpeg is incomplete"));
        }
        let executable = self.executable(program)?;
        let starts_programs = executable.is_script && self.mode == SandboxMode::Auto;
        let freedom = match access.is_read_only() {
            _ if starts_programs => Freedom::Programs,
            true => Freedom::Pipes,
            false => Freedom::Files,
        };
        let rules = match SUPPORT.landlock {
            Ok(_) => Some(files::ruleset(executable, access, starts_programs).map_err(io::Error::other)?),
            Err(_) => None,
        };
        let filters = match SUPPORT.seccomp {
            Ok(()) => Some(calls::filters(freedom).map_err(io::Error::other)?),
            Err(_) => None,
        };
        Ok(Some(Confinement { rules, filters }))
    }

    /// Returns the files that the program needs. A failure is not kept: the program may be installed later.
    fn executable(&self, program: &Path) -> io::Result<&Executable> {
        if let Some(found) = self.executable.get() {
            return Ok(found);
        }
        let found = Executable::find(program)?;
        Ok(self.executable.get_or_init(|| found))
    }
}

impl Confinement {
    /// Restricts the calling thread permanently, and the programs that it executes. Neither allocates nor locks.
    ///
    /// # Errors
    /// Fails if the system refuses.
    pub(crate) fn apply(&mut self) -> io::Result<()> {
        if let Some(rules) = self.rules.take() {
            // The error may contain the error of the system, but its text would need memory.
            rules
                .restrict_self()
                .map_err(|_| io::ErrorKind::PermissionDenied)?;
        }
        let mut filters = self.filters.into_iter().flatten();
        filters.try_for_each(calls::install)
    }
}
