//! A trial start of a program in a sandbox.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::sandbox::Confinement;
use super::spawn::{Bounds, spawn};

/// Maximum time of a trial. A program that runs for so long has started.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of bytes of errors that are read.
const ERRORS: u64 = 1 << 14;

/// Starts `program` with restrictions, and lets it print its version.
///
/// # Errors
/// Returns the reason if the program does not start or does not succeed.
pub(super) fn start(program: &Path, bounds: Bounds, restrictions: Confinement) -> Result<(), String> {
    let mut command = Command::new(program);
    command
        .arg("-version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = spawn(command, bounds, Some(restrictions)).map_err(|error| error.to_string())?;
    let errors = errors(&mut child);
    // Ends a program that is late, and processes that a script has left.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let Some(errors) = errors.filter(|_| !status.success()) else {
        return Ok(());
    };
    let last_line = errors.lines().rfind(|line| !line.trim().is_empty());
    Err(last_line.map_or_else(|| status.to_string(), |line| line.trim().to_owned()))
}

/// Returns what the program writes to its standard error, or `None` if it is not closed before the timeout.
fn errors(child: &mut Child) -> Option<String> {
    let stderr = child.stderr.take()?;
    let (sender, errors) = sync_channel(1);
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut stderr = stderr;
        let _ = stderr.by_ref().take(ERRORS).read_to_end(&mut text);
        // A full pipe would stop the program.
        let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
    });
    errors.recv_timeout(TIMEOUT).ok()
}
