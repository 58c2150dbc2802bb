//! A running worker and its log.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command};

use super::place::wait;

/// A running worker, killed on drop.
pub(crate) struct Worker {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Worker {
    /// Starts a worker with a log in JSON, unless `command` sets another format.
    pub(crate) fn start(mut command: Command) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        // Every line of the log is checked at the end.
        if !command.get_envs().any(|(name, _)| name == "VF_LOG_FORMAT") {
            command.env("VF_LOG_FORMAT", "json");
        }
        command.stderr(log.reopen().unwrap());
        Self {
            child: command.spawn().unwrap(),
            log,
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        let mut status = None;
        wait("the worker ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Returns whether the worker is frozen by a signal.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
    }

    /// Returns the file with the output on stderr.
    pub(crate) fn log_file(&self) -> &Path {
        self.log.path()
    }

    /// Returns the output on stderr so far.
    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        self.log.reopen().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- a worker's log\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            super::log::check(&self.log());
        }
    }
}
