//! Workers of a fleet.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use super::Revision;
use crate::clock::UnixMillis;

/// The state of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkerState {
    /// Starts, and can start no jobs yet.
    Starting,
    /// Can start jobs.
    Ready,
    /// Cannot start jobs: it is paused, or a dependency has an outage.
    NotReady,
    /// Starts no more jobs.
    Stopping,
    /// Has stopped.
    Stopped,
}

impl WorkerState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Ready,
        Self::NotReady,
        Self::Stopping,
        Self::Stopped,
    ];

    /// Returns the name, such as `not_ready`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::NotReady => "not_ready",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for WorkerState {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == name)
            .ok_or(())
    }
}

/// Numbers of attempts that ended in one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct EndedAttempts {
    /// Attempts that completed their job.
    pub completed: u64,
    /// Attempts that failed their job because of its input or options.
    pub failed: u64,
    /// Attempts with an error that is a fault of the system: see [`ErrorCode::is_system_fault`](crate::jobs::ErrorCode::is_system_fault).
    pub faults: u64,
}

impl std::ops::Add for EndedAttempts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            completed: self.completed + other.completed,
            failed: self.failed + other.failed,
            faults: self.faults + other.faults,
        }
    }
}

/// What a worker reports about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Identifier of the worker, unique per process.
    pub worker: String,
    /// The revision of the worker, if it has a name.
    pub revision: Option<Revision>,
    /// Version of the program.
    pub version: String,
    /// The state.
    pub state: WorkerState,
    /// Attempts that ended since the start.
    pub ended: EndedAttempts,
    /// Maximum number of concurrent attempts; `None` in reports of older programs.
    pub slots: Option<u32>,
}

impl WorkerReport {
    /// Returns the report of a worker that starts.
    pub fn new(worker: impl Into<String>, version: impl Into<String>, revision: Option<Revision>) -> Self {
        Self {
            worker: worker.into(),
            revision,
            version: version.into(),
            state: WorkerState::Starting,
            ended: EndedAttempts::default(),
            slots: None,
        }
    }
}

/// A worker in the registry, with times of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetWorker {
    /// The last report.
    pub report: WorkerReport,
    /// Time of the first report.
    pub started_at: UnixMillis,
    /// Time since the last report.
    pub age: Duration,
}

impl FleetWorker {
    /// Returns whether the worker runs: it has not stopped, and reported within `timeout`.
    #[must_use]
    pub fn is_live(&self, timeout: Duration) -> bool {
        self.report.state != WorkerState::Stopped && self.age < timeout
    }

    /// Returns whether the worker ended without a report: it crashed, or lost its connection.
    #[must_use]
    pub fn is_lost(&self, timeout: Duration) -> bool {
        self.report.state != WorkerState::Stopped && self.age >= timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_lost_after_the_timeout_unless_it_stopped() {
        let timeout = Duration::from_secs(90);
        for (state, age, live, lost) in [
            (WorkerState::Ready, 0, true, false),
            (WorkerState::Ready, 89, true, false),
            (WorkerState::Ready, 90, false, true),
            (WorkerState::Starting, 90, false, true),
            (WorkerState::Stopping, 90, false, true),
            (WorkerState::Stopped, 0, false, false),
            (WorkerState::Stopped, 90, false, false),
        ] {
            let worker = FleetWorker {
                report: WorkerReport {
                    state,
                    ..WorkerReport::new("w", "1", None)
                },
                started_at: UnixMillis(0),
                age: Duration::from_secs(age),
            };
            let found = (worker.is_live(timeout), worker.is_lost(timeout));
            assert_eq!(found, (live, lost), "{state} {age}");
        }
        for state in WorkerState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
