//! One worker process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::metrics::Metrics;
use super::processes::{self, Resources};
use crate::servers::network::Links;

/// Exit code of a worker that cannot start without a dependency.
pub(crate) const UNAVAILABLE: i32 = 21;

/// How a worker is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Start {
    /// Additional environment variables.
    pub(crate) environment: Vec<(String, String)>,
    /// Whether to start the earlier build.
    pub(crate) previous: bool,
}

impl Start {
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }
}

/// A worker process.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) process: i32,
    pub(crate) log: PathBuf,
    pub(crate) operations: SocketAddr,
    pub(crate) links: Arc<Links>,
    pub(crate) since: Instant,
    /// Whether the harness has caused its end.
    pub(crate) doomed: bool,
    /// Whether the worker has received SIGTERM. A second one would end it at once.
    pub(crate) is_terminated: bool,
    /// The last scrape.
    pub(crate) metrics: Metrics,
    pub(crate) samples: Vec<Resources>,
    child: Child,
}

impl Worker {
    pub(crate) fn start(
        name: String,
        program: &Path,
        environment: Vec<(String, String)>,
        links: Arc<Links>,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        // Another program could use the port before the worker does; the worker then ends and is replaced.
        let operations = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(program)
            .arg("run")
            .env_clear()
            .envs(environment)
            .env("VF_OPS_LISTEN", operations.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            // Ctrl-C is for the harness.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            process: child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .unwrap_or_default(),
            name,
            log,
            operations,
            links,
            since: Instant::now(),
            doomed: false,
            is_terminated: false,
            metrics: Metrics::new(),
            samples: Vec::new(),
            child,
        })
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.is_terminated |= signal == Signal::TERM;
        if let Some(process) = Pid::from_raw(self.process) {
            // Fails only for a process that has ended.
            let _ = kill_process(process, signal);
        }
    }

    /// Returns how the worker ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub(crate) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Records the current resources.
    pub(crate) fn sample(&mut self) {
        self.samples
            .extend(processes::resources(self.process, self.age().as_secs()));
    }
}

/// A worker that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) name: String,
    pub(crate) status: ExitStatus,
    pub(crate) doomed: bool,
    pub(crate) log: PathBuf,
    pub(crate) metrics: Metrics,
    pub(crate) samples: Vec<Resources>,
}
