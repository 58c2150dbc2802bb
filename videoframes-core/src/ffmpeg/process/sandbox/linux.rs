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
    needs: Arc<OnceLock<Needs>>,
}

/// What a program needs to start.
#[derive(Debug)]
struct Needs {
    executable: Executable,
    /// Reason why the program does not start with restricted access to files, if it starts only without.
    more_files: Option<String>,
}

/// The restrictions of one child.
#[derive(Debug)]
pub(crate) struct Confinement {
    rules: Option<RulesetCreated>,
    filters: Option<[&'static BpfProgram; 2]>,
}

/// Starts a program with restrictions, and returns the reason if the program fails.
pub(crate) type Trial<'a> = &'a dyn Fn(Confinement) -> Result<(), String>;

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
            needs: Arc::default(),
        }
    }

    /// Returns whether children run in a sandbox, if the system offers one.
    pub(crate) fn is_on(&self) -> bool {
        self.mode != SandboxMode::Off
    }

    /// Returns the sandbox of `program` on this system. Calls `trial` as [`Self::confinement`] does.
    pub(crate) fn status(&self, program: &Path, trial: Trial<'_>) -> SandboxStatus {
        match self.is_on().then(|| self.needs(program, trial)) {
            Some(Ok(needs)) => self.status_with(needs),
            // Without the program, the sandbox of others.
            Some(Err(_)) | None => self.status_without_program(),
        }
    }

    fn status_without_program(&self) -> SandboxStatus {
        let Support { landlock, seccomp } = SUPPORT.clone();
        SandboxStatus {
            mode: self.mode,
            landlock,
            seccomp,
        }
    }

    fn status_with(&self, needs: &Needs) -> SandboxStatus {
        let mut status = self.status_without_program();
        if let Some(reason) = &needs.more_files {
            status.landlock = status.landlock.and(Err(reason.clone()));
        }
        status
    }

    /// Returns the restrictions of a child that runs `program`, or `None` without a sandbox.
    ///
    /// `trial` starts the program with restrictions, and returns the reason if the program fails. The first call for an
    /// unusual program calls it: such a program may need files that the sandbox does not know.
    ///
    /// # Errors
    /// Fails if a required part is unavailable, or if the program cannot be read.
    pub(crate) fn confinement(
        &self,
        program: &Path,
        access: &Access,
        trial: Trial<'_>,
    ) -> io::Result<Option<Confinement>> {
        if !self.is_on() {
            return Ok(None);
        }
        let needs = self.needs(program, trial)?;
        let status = self.status_with(needs);
        if let Some(missing) = status.missing() {
            if self.mode == SandboxMode::Require {
                let text = format!("the sandbox is incomplete: {missing}");
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            INCOMPLETE.call_once(|| tracing::debug!(missing, "the sandbox of ffmpeg is incomplete"));
        }
        self.restrictions(&needs.executable, access, status.landlock.is_ok())
            .map(Some)
    }

    /// Returns the restrictions of a child, as far as the system offers them.
    fn restrictions(
        &self,
        executable: &Executable,
        access: &Access,
        restrict_files: bool,
    ) -> io::Result<Confinement> {
        let starts_programs = executable.is_script && self.mode == SandboxMode::Auto;
        let freedom = match access.is_read_only() {
            _ if starts_programs => Freedom::Programs,
            true => Freedom::Pipes,
            false => Freedom::Files,
        };
        let rules = match restrict_files {
            true => Some(files::ruleset(executable, access, starts_programs).map_err(io::Error::other)?),
            false => None,
        };
        let filters = match SUPPORT.seccomp {
            Ok(()) => Some(calls::filters(freedom).map_err(io::Error::other)?),
            Err(_) => None,
        };
        Ok(Confinement { rules, filters })
    }

    /// Returns what the program needs. A failure is not kept: the program may be installed later.
    fn needs(&self, program: &Path, trial: Trial<'_>) -> io::Result<&Needs> {
        if let Some(found) = self.needs.get() {
            return Ok(found);
        }
        let executable = Executable::find(program)?;
        let more_files = match SUPPORT.landlock.is_ok() && executable.is_unusual() {
            true => self.needs_more_files(&executable, trial)?,
            false => None,
        };
        let found = Needs {
            executable,
            more_files,
        };
        Ok(self.needs.get_or_init(|| found))
    }

    /// Returns the reason why a program does not start with restricted access to files, if it starts only without.
    fn needs_more_files(&self, executable: &Executable, trial: Trial<'_>) -> io::Result<Option<String>> {
        let start = |restrict_files| {
            let restrictions = self.restrictions(executable, &Access::default(), restrict_files)?;
            io::Result::Ok(trial(restrictions))
        };
        Ok(match start(true)? {
            Err(reason) if start(false)?.is_ok() => {
                Some(format!("ffmpeg does not start with restricted files: {reason}"))
            }
            // A program that never starts has another fault, which its first use shows.
            Ok(()) | Err(_) => None,
        })
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
