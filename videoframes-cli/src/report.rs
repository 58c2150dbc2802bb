//! Reports on results: warnings, and one line for people or programs.

use std::io::Write;

use serde_json::Value;
use videoframes_console::options::ReportArgs;
use videoframes_console::{Failure, print_json_line, warn};

/// Returns the warnings, the last of which describes the damage.
pub(crate) fn warnings(warnings: &[String], damage: Option<&str>) -> impl Iterator<Item = String> {
    let damage = damage.map(|damage| format!("the video is damaged, the result is partial: {damage}"));
    warnings.iter().cloned().chain(damage)
}

/// Prints the warnings to stderr, and then the result: as JSON to stdout, or as a line to stderr.
pub(crate) fn print(
    report: ReportArgs,
    warnings: impl Iterator<Item = String>,
    json: impl FnOnce() -> Value,
    line: impl FnOnce() -> String,
) -> Result<(), Failure> {
    if !report.quiet {
        warnings.for_each(|warning| warn(&warning));
    }
    if report.json {
        return print_json_line(&json()).map(drop);
    }
    if !report.quiet {
        // There is no other place to report a closed stderr.
        let _ = writeln!(std::io::stderr(), "{}", line());
    }
    Ok(())
}
