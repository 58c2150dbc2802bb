//! Errors that end a program without a result.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use videoframes_core::archive::ArchiveError;
use videoframes_core::error::chain;
use videoframes_core::storage::StorageError;
use videoframes_core::text::printable;

use crate::STYLES;
use crate::exit::{INTERNAL, OUTPUT, OUTPUT_EXISTS};

/// Hint for a missing or outdated ffmpeg.
pub const INSTALL_FFMPEG: &str = "install ffmpeg 5.1 or newer (apt install ffmpeg, brew install ffmpeg)";

/// An error that ends the program without a result: messages, a hint and the exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    messages: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// Creates a failure with one message.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self::all(code, vec![message.into()])
    }

    /// Creates a failure with several messages, for problems reported together.
    pub fn all(code: u8, messages: Vec<String>) -> Self {
        Self {
            code,
            messages,
            hint: None,
        }
    }

    /// Creates a failure from an error and its causes.
    pub fn because(code: u8, error: &dyn Error) -> Self {
        Self::new(code, chain(error))
    }

    /// Creates a failure for a defect of the program or the machine.
    pub fn internal(error: &dyn Error) -> Self {
        Self::because(INTERNAL, error)
    }

    /// Creates a failure for an output that exists or cannot be written.
    pub fn of_output(error: &StorageError) -> Self {
        match error {
            StorageError::AlreadyExists(_) => {
                Self::because(OUTPUT_EXISTS, error).hint("-y replaces the existing output")
            }
            StorageError::NotFound(_) => Self::new(OUTPUT, format!("the folder {}", chain(error)))
                .hint("create the folder first, or give another -o"),
            _ => Self::because(OUTPUT, error),
        }
    }

    /// Creates a failure for an archive that cannot be written.
    pub fn of_archive(error: &ArchiveError) -> Self {
        match error {
            ArchiveError::Storage(error) => Self::of_output(error),
            ArchiveError::NotReplaceable { .. } => {
                Self::because(OUTPUT_EXISTS, error).hint("give the name of a new folder")
            }
            ArchiveError::ForeignDirectory(_) => Self::because(OUTPUT_EXISTS, error)
                .hint("give a new or an empty folder; only folders of earlier results are replaced"),
            _ => Self::because(OUTPUT, error),
        }
    }

    /// Creates a failure for standard output that cannot be written.
    pub fn of_stdout(error: &io::Error) -> Self {
        Self::new(OUTPUT, format!("failed to write to stdout: {error}"))
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Removes the hint.
    #[must_use]
    pub fn without_hint(self) -> Self {
        Self { hint: None, ..self }
    }

    /// Names `subject` in every message that does not.
    #[must_use]
    pub fn naming(mut self, subject: &str) -> Self {
        for message in self
            .messages
            .iter_mut()
            .filter(|message| !message.contains(subject))
        {
            *message = format!("{subject}: {message}");
        }
        self
    }

    /// Returns the exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// Returns the text of the hint.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Prints the messages and the hint to stderr in the colours of clap's errors, and returns the exit code.
    ///
    /// Omits colours if stderr is not a terminal or `NO_COLOR` is set.
    pub fn report(self) -> ExitCode {
        let mut stderr = anstream::stderr().lock();
        let (error, hint) = (STYLES.get_error(), STYLES.get_valid());
        // There is no other place to report a closed stderr.
        for message in &self.messages {
            let _ = writeln!(stderr, "{error}error:{error:#} {}", printable(message));
        }
        if let Some(text) = &self.hint {
            let _ = writeln!(stderr, "{hint}hint:{hint:#} {}", printable(text));
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages.join("; "))
    }
}
