//! Log lines of failed commands.

use std::process::ExitCode;

use videoframes_console::Failure;

/// Logs a failure and returns its exit code.
pub(crate) fn failure(failure: &Failure) -> ExitCode {
    tracing::error!(
        error.message = %failure,
        exit_code = failure.code(),
        hint = failure.hint_text(),
        "command failed"
    );
    ExitCode::from(failure.code())
}
