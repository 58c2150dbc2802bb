//! Watchdog of a child process: timeouts, cancellation, and growth of files as progress.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use super::child::{ChildGroup, Intake, KillReason, Stdin};
use crate::extract::ExtractError;

/// Interval at which a waiting watchdog checks for cancellation.
const TICK: Duration = Duration::from_millis(50);

/// Timeout of a child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// Maximum time without progress.
    Stall(Duration),
    /// Maximum time in total.
    Total(Duration),
}

impl Timeout {
    fn limit(self) -> Duration {
        match self {
            Self::Stall(limit) | Self::Total(limit) => limit,
        }
    }
}

/// A child process under a watchdog. On drop the process is killed.
pub(crate) struct Watchdog<'a> {
    child: ChildGroup,
    timeout: Timeout,
    cancel: &'a CancellationToken,
    quiet_since: Instant,
    intake: Arc<Intake>,
    /// Bytes of the intake at the last check.
    taken: u64,
    /// Output files with their length and modification time at the last check.
    files: Vec<(PathBuf, Option<(u64, SystemTime)>)>,
}

impl<'a> Watchdog<'a> {
    /// Feeds `stdin` to the child, whose time starts now.
    pub(crate) fn new(
        mut child: ChildGroup,
        stdin: Stdin,
        timeout: Timeout,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self {
            intake: child.feed(stdin),
            child,
            timeout,
            cancel,
            quiet_since: Instant::now(),
            taken: 0,
            files: Vec::new(),
        }
    }

    /// Treats changes of a file as progress, so that the stall timeout starts again. Moving the index of a large
    /// file to its front takes long after the last frame.
    pub(crate) fn watch_file(&mut self, path: &Path) {
        self.files.push((path.to_owned(), None));
    }

    /// Returns the watched files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// Starts the stall timeout again.
    pub(crate) fn progress(&mut self) {
        if let Timeout::Stall(_) = self.timeout {
            self.quiet_since = Instant::now();
        }
    }

    /// Waits for the next message from a reader of the child's pipes. Returns `None` after the last reader has
    /// ended.
    ///
    /// # Errors
    /// Fails on cancellation and after the timeout.
    pub(crate) fn receive<T>(&mut self, messages: &Receiver<T>) -> Result<Option<T>, ExtractError> {
        loop {
            if self.cancel.is_cancelled() {
                return Err(self.cancelled());
            }
            let taken = self.intake.bytes();
            // A slow source has its own limits.
            if taken > self.taken || self.intake.waits() {
                self.taken = taken;
                self.progress();
            }
            if self.is_late() {
                if !self.has_changed_files() {
                    return Err(self.stalled());
                }
                self.progress();
            }
            match messages.recv_timeout(TICK) {
                Ok(message) => return Ok(Some(message)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// Waits for the exit of the child after its pipes are closed.
    ///
    /// # Errors
    /// Fails on cancellation and after the timeout.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus, ExtractError> {
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .map_err(|e| ExtractError::DecoderFailed(e.to_string()))?
            {
                return Ok(status);
            }
            if self.cancel.is_cancelled() {
                return Err(self.cancelled());
            }
            if self.is_late() {
                return Err(self.stalled());
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn is_late(&self) -> bool {
        self.quiet_since.elapsed() > self.timeout.limit()
    }

    fn cancelled(&mut self) -> ExtractError {
        self.child.set_kill_reason(KillReason::Cancelled);
        ExtractError::Cancelled
    }

    fn stalled(&mut self) -> ExtractError {
        self.child.set_kill_reason(KillReason::Stalled);
        ExtractError::Stalled(self.timeout.limit().as_secs())
    }

    /// Returns whether a watched file has changed since the last call.
    fn has_changed_files(&mut self) -> bool {
        let mut changed = false;
        for (path, before) in &mut self.files {
            let now = path.metadata().ok();
            let now = now.and_then(|file| Some((file.len(), file.modified().ok()?)));
            changed |= now.is_some() && now != std::mem::replace(before, now);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::ffmpeg::SandboxMode;
    use crate::ffmpeg::process::program::Program;

    const SHORT: Duration = Duration::from_millis(300);

    /// Starts a shell with `script`.
    fn shell(script: &str) -> ChildGroup {
        // In the sandbox, a shell could start no other program.
        let program = Program::from(PathBuf::from("/bin/sh")).with_sandbox(SandboxMode::Off);
        ChildGroup::ffprobe(&program, vec!["-c".into(), script.into()]).unwrap()
    }

    #[test]
    fn progress_extends_a_stall_timeout_but_no_total_timeout() {
        let cancel = CancellationToken::new();
        for (timeout, messages) in [(Timeout::Stall(SHORT), 6), (Timeout::Total(SHORT), 3)] {
            let mut watchdog = Watchdog::new(shell("sleep 60"), Stdin::Empty, timeout, &cancel);
            let (sender, receiver) = sync_channel(1);
            std::thread::spawn(move || {
                for _ in 0..6 {
                    std::thread::sleep(SHORT / 3);
                    if sender.send(()).is_err() {
                        return;
                    }
                }
                // Keeps the channel open.
                std::thread::sleep(10 * SHORT);
            });
            let mut received = 0;
            let error = loop {
                match watchdog.receive(&receiver) {
                    Ok(_) => received += 1,
                    Err(error) => break error,
                }
                watchdog.progress();
            };
            assert!(matches!(error, ExtractError::Stalled(0)), "{error}");
            assert!(received <= messages, "{timeout:?}: {received}");
            assert!(matches!(timeout, Timeout::Total(_)) || received == messages);
        }
    }

    #[test]
    fn changes_of_a_watched_file_are_progress() {
        let cancel = CancellationToken::new();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("output");
        std::fs::write(&file, b"1").unwrap();
        let mut watchdog = Watchdog::new(shell("sleep 60"), Stdin::Empty, Timeout::Stall(SHORT), &cancel);
        watchdog.watch_file(&file);
        let (_sender, receiver) = sync_channel::<()>(1);
        let started = Instant::now();
        assert!(watchdog.receive(&receiver).is_err());
        // The first check finds the file, the second check finds no change.
        assert!(started.elapsed() > 2 * SHORT);
    }

    #[test]
    fn reports_cancellation_and_the_exit_status() {
        let cancel = CancellationToken::new();
        let timeout = Timeout::Stall(Duration::from_secs(60));
        let mut watchdog = Watchdog::new(shell("exit 3"), Stdin::Empty, timeout, &cancel);
        assert_eq!(watchdog.wait().unwrap().code(), Some(3));
        let mut watchdog = Watchdog::new(shell("sleep 60"), Stdin::Empty, timeout, &cancel);
        cancel.cancel();
        let (_sender, receiver) = sync_channel::<()>(1);
        assert!(matches!(
            watchdog.receive(&receiver),
            Err(ExtractError::Cancelled)
        ));
        assert!(matches!(watchdog.wait(), Err(ExtractError::Cancelled)));
    }
}
