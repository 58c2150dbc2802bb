//! Exit codes and the lines that say what went wrong.

use std::error::Error as StdError;
use std::io::Write;
use std::process::ExitCode;

use videoframes_core::error::chain;

/// A defect of this program, or of the machine.
pub(crate) const INTERNAL: u8 = 1;
/// Wrong flags, values or configuration (clap uses the same).
pub(crate) const USAGE: u8 = 2;
/// The video, the job or its result is missing.
pub(crate) const NOT_FOUND: u8 = 3;
/// The job failed, or is in a state in which that cannot be done.
pub(crate) const JOB: u8 = 4;
/// The database, the store or a queue does not answer, or refuses.
pub(crate) const UNAVAILABLE: u8 = 5;
/// The database's schema is not the one that this version needs.
pub(crate) const SCHEMA: u8 = 6;
/// The output exists or cannot be written.
pub(crate) const OUTPUT: u8 = 7;
/// The idempotency key belongs to another request.
pub(crate) const CONFLICT: u8 = 8;
/// What is there is not as wanted.
pub(crate) const DIFFERS: u8 = 9;
/// Stopped by a second signal.
pub(crate) const CANCELLED: u8 = 130;

/// Listed in `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
   0  done                              5  database, store or queue does not answer
   1  internal error                    6  database schema newer or older than this version
   2  wrong usage or configuration      7  output exists or cannot be written
   3  no such video, job or result      8  idempotency key belongs to another request
   4  the job failed, or its state      9  a check found differences
      does not allow it               130  stopped at once by a second signal";

/// Why the program ends without having done what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    messages: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self::all(code, vec![message.into()])
    }

    /// Several things that are wrong, all at once.
    pub(crate) fn all(code: u8, messages: Vec<String>) -> Self {
        Self {
            code,
            messages,
            hint: None,
        }
    }

    pub(crate) fn because(code: u8, error: &dyn StdError) -> Self {
        Self::new(code, chain(error))
    }

    pub(crate) fn internal(error: &dyn StdError) -> Self {
        Self::because(INTERNAL, error)
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Prints the lines and the hint.
    pub(crate) fn report(self) -> ExitCode {
        let mut stderr = std::io::stderr().lock();
        let printable = |text: &str| text.replace(|c: char| c.is_control(), " ");
        // Nobody is left to tell if stderr is gone.
        for message in &self.messages {
            let _ = writeln!(stderr, "error: {}", printable(message));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(stderr, "hint: {}", printable(hint));
        }
        ExitCode::from(self.code)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.messages.join("; "))
    }
}
