//! A child process in its own process group that never outlives its owner.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use ffmpeg_sidecar::command::FfmpegCommand;
use metrics::counter;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::mpsc;

use super::program::Program;
use super::registry::RegistryEntry;
use super::sandbox::Access;
use super::spawn::spawn;
use crate::extract::ExtractError;
use crate::limits::LINE_BYTES;

/// Maximum number of bytes per write, so that a slow read by the child still counts as progress.
const PIECE: usize = 256 << 10;

/// Input on the stdin of a child process.
#[derive(Debug)]
pub(crate) enum Stdin {
    /// No input.
    Empty,
    /// A short text.
    Text(String),
    /// Parts, written as they arrive.
    Parts(mpsc::Receiver<Bytes>),
}

/// Reason why a running child is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KillReason {
    /// The call was cancelled.
    Cancelled,
    /// The child made no progress or exceeded its time.
    Stalled,
    /// The rest of the output is not needed, or the call failed for another reason.
    Unneeded,
}

impl KillReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Stalled => "stalled",
            Self::Unneeded => "unneeded",
        }
    }
}

/// A running ffmpeg or ffprobe. On drop its process group is killed and the child is reaped.
#[derive(Debug)]
pub(crate) struct ChildGroup {
    child: Child,
    reaped: bool,
    /// Counted if the child is killed.
    kill_reason: KillReason,
    /// File in the registry until the child is reaped.
    entry: Option<RegistryEntry>,
}

impl ChildGroup {
    pub(crate) fn ffmpeg(program: &Program, args: Vec<OsString>) -> Result<Self, ExtractError> {
        let mut command = FfmpegCommand::from(Command::new(&program.path));
        let access = Access::of_command(&args, &program.folders);
        command.args(args);
        Self::start(program, Command::from(command), &access)
    }

    pub(crate) fn ffprobe(program: &Program, args: Vec<OsString>) -> Result<Self, ExtractError> {
        let mut command = Command::new(&program.path);
        let access = Access::of_command(&args, &program.folders);
        command.args(args);
        Self::start(program, command, &access)
    }

    fn start(program: &Program, mut command: Command, access: &Access) -> Result<Self, ExtractError> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Before the sandbox, which permits only files that exist.
        if program.sandbox.is_on() {
            let created = access.create_outputs();
            created.map_err(|error| {
                ExtractError::DecoderFailed(format!("failed to create an output: {error}"))
            })?;
        }
        let spawned = program
            .confinement(access)
            .and_then(|confinement| spawn(command, program.bounds, confinement));
        let child = spawned.map_err(|source| {
            let program = program.path.to_string_lossy().into_owned();
            match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => {
                    ExtractError::DecoderMissing { program, source }
                }
                _ => ExtractError::DecoderFailed(format!("failed to start '{program}': {source}")),
            }
        })?;
        tracing::debug!(pid = child.id(), program = %program.path.display(), "started child process");
        // From here on, dropping the group kills the child on every path.
        let mut group = Self {
            child,
            reaped: false,
            kill_reason: KillReason::Unneeded,
            entry: None,
        };
        if let Some(registry) = &program.registry {
            group.entry = RegistryEntry::new(group.child.id(), registry).unwrap_or_else(|error| {
                // The child still ends with this process. The registry only matters where that fails.
                tracing::warn!(%error, folder = %registry.display(), "failed to register child process");
                None
            });
        }
        Ok(group)
    }

    /// Writes `input` to the child from a separate thread, then closes its stdin. Returns the progress of the
    /// writes.
    pub(crate) fn feed(&mut self, input: Stdin) -> Arc<Intake> {
        let intake = Arc::new(Intake::default());
        let Some(mut stdin) = self.child.stdin.take() else {
            return intake;
        };
        // A child that exits early closes the pipe; its exit status tells why.
        match input {
            Stdin::Empty => drop(stdin),
            Stdin::Text(text) => drop(std::thread::spawn(move || stdin.write_all(text.as_bytes()))),
            Stdin::Parts(mut parts) => {
                let intake = Arc::clone(&intake);
                std::thread::spawn(move || {
                    let mut next = || {
                        intake.waits.store(true, Ordering::Relaxed);
                        let part = parts.blocking_recv();
                        intake.waits.store(false, Ordering::Relaxed);
                        part
                    };
                    while let Some(part) = next() {
                        for piece in part.chunks(PIECE) {
                            if stdin.write_all(piece).is_err() {
                                return;
                            }
                            intake.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
                        }
                    }
                });
            }
        }
        intake
    }

    pub(crate) fn take_stdout(&mut self) -> Option<impl Read + Send + 'static> {
        self.child.stdout.take()
    }

    pub(crate) fn take_stderr(&mut self) -> Option<impl Read + Send + 'static> {
        self.child.stderr.take()
    }

    /// Returns the exit status if the child has exited.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if let Some(status) = status.filter(|_| !self.reaped) {
            counter!("videoframes_ffmpeg_runs_total", "exit" => exit(status)).increment(1);
            self.reaped = true;
            self.entry = None;
        }
        Ok(status)
    }

    /// Sets the reason that counts if the child is killed.
    pub(crate) fn set_kill_reason(&mut self, reason: KillReason) {
        self.kill_reason = reason;
    }

    /// Kills the process group and reaps the child.
    pub(crate) fn kill(&mut self) {
        // A child that has exited by itself is not killed.
        if self.reaped || self.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // The call fails only if the group no longer exists.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        counter!("videoframes_ffmpeg_runs_total", "exit" => "killed").increment(1);
        counter!("videoframes_ffmpeg_kills_total", "reason" => self.kill_reason.as_str()).increment(1);
        self.reaped = true;
        self.entry = None;
    }
}

/// Returns the exit of a child as a label.
fn exit(status: ExitStatus) -> &'static str {
    match (status.success(), status.code()) {
        (true, _) => "success",
        (false, Some(_)) => "failure",
        (false, None) => "signal",
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Progress of a child that reads its stdin. Tells the watchdog whether the child or its source is slow.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    bytes: AtomicU64,
    waits: AtomicBool,
}

impl Intake {
    /// Returns the number of bytes that the child has read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns whether the child has read all available input and waits for more.
    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }
}

/// Calls `each` for every line until `each` returns `false`. Longer lines than the limit are truncated, so that
/// memory is bounded.
pub(crate) fn for_each_line(reader: impl Read, mut each: impl FnMut(&str) -> bool) {
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    let mut line: Vec<u8> = Vec::new();
    loop {
        let (used, ended) = match reader.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
            Ok([]) => {
                if !line.is_empty() {
                    each(&String::from_utf8_lossy(&line));
                }
                return;
            }
            Ok(buffer) => {
                let end = memchr::memchr(b'\n', buffer);
                let part = &buffer[..end.unwrap_or(buffer.len())];
                let capacity = LINE_BYTES.saturating_sub(line.len());
                line.extend_from_slice(&part[..part.len().min(capacity)]);
                (part.len() + usize::from(end.is_some()), end.is_some())
            }
        };
        reader.consume(used);
        if ended {
            if !each(String::from_utf8_lossy(&line).trim_end_matches('\r')) {
                return;
            }
            line.clear();
        }
    }
}
