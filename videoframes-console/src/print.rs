//! Results on standard output, warnings on standard error.

use std::io::{self, Write};

use serde::Serialize;
use videoframes_core::text::{printable, printable_json};

use crate::Failure;

/// The outcome of a write to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Delivery {
    /// The text was written and flushed.
    Written,
    /// The reader closed the pipe; further writes are useless.
    Closed,
}

/// Writes `text` to stdout and flushes it.
///
/// # Errors
/// Fails if a write to stdout fails. A closed pipe is not an error.
pub fn print(text: &str) -> Result<Delivery, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Delivery::Written),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Delivery::Closed),
        Err(error) => Err(Failure::of_stdout(&error)),
    }
}

/// Writes a warning to stderr as one line without control characters.
pub fn warn(text: &str) {
    // There is no other place to report a closed stderr.
    let _ = writeln!(io::stderr(), "warning: {}", printable(text));
}

/// Returns `value` as indented JSON with a newline, without control or format characters.
///
/// # Errors
/// Fails if `value` cannot be serialized.
pub fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::internal(&error))?;
    Ok(format!("{}\n", printable_json(&text)))
}

/// Writes `value` to stdout as one line of JSON, without control or format characters.
///
/// # Errors
/// Fails as [`print()`] does.
pub fn print_json_line(value: &impl Serialize) -> Result<Delivery, Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::internal(&error))?;
    print(&format!("{}\n", printable_json(&text)))
}

/// Writes `value` to stdout as indented JSON, without control or format characters.
///
/// # Errors
/// Fails as [`print()`] does.
pub fn print_json(value: &impl Serialize) -> Result<Delivery, Failure> {
    print(&to_json(value)?)
}
