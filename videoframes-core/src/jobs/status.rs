//! The states of a job and their transitions. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// The job waits for a worker.
    Pending,
    /// A worker holds the lease of the job.
    Processing,
    /// An attempt failed, and the job waits for the next attempt.
    RetryWait,
    /// The job has a result.
    Completed,
    /// The job failed permanently, unless an operator requests a retry.
    Failed,
    /// The job was cancelled on request, or superseded by a newer event.
    Cancelled,
}

/// An event in the life of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEvent {
    /// A worker claims the job.
    Claim,
    /// The worker has the result.
    Complete,
    /// The attempt failed, and another may succeed.
    RetryLater,
    /// The job cannot succeed.
    Fail,
    /// The worker releases the job unfinished.
    Release,
    /// A claim would exceed the limit of the tenant.
    Park,
    /// The job is cancelled.
    Cancel,
    /// An operator requests a retry.
    Retry,
}

impl JobStatus {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Processing,
        Self::RetryWait,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Returns whether the state is final unless an operator requests a retry.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Returns the state after `event`, or `None` if `event` cannot happen in this state.
    #[must_use]
    pub fn after(self, event: JobEvent) -> Option<Self> {
        use JobEvent::{Cancel, Claim, Complete, Fail, Park, Release, Retry, RetryLater};
        match (self, event) {
            // A job with an expired lease is still in `Processing` when it is claimed.
            (Self::Pending | Self::RetryWait | Self::Processing, Claim) => Some(Self::Processing),
            (Self::Processing, Complete) => Some(Self::Completed),
            (Self::Processing, RetryLater) => Some(Self::RetryWait),
            (Self::Processing, Release) => Some(Self::Pending),
            (Self::Pending | Self::RetryWait | Self::Processing, Park) => Some(Self::Pending),
            // A waiting job fails when its deadline passes or its workers keep crashing.
            (Self::Pending | Self::RetryWait | Self::Processing, Fail) => Some(Self::Failed),
            (Self::Pending | Self::RetryWait | Self::Processing, Cancel) => Some(Self::Cancelled),
            (Self::Failed | Self::Cancelled, Retry) => Some(Self::Pending),
            _ => None,
        }
    }

    /// Returns the name of the state in rows, messages and listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::RetryWait => "retry_wait",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Error for a text that names no [`JobStatus`] or [`Stage`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is none of {names}", names = JobStatus::ALL.map(JobStatus::as_str).join(", "))]
pub struct UnknownStatus(String);

impl FromStr for JobStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

/// The stage of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Checking the source, limits and earlier results.
    Prepare,
    /// Converting frames to pictures and writing the archive to the store.
    Extract,
    /// Encoding renditions that do not share the decode of the pictures.
    Compress,
    /// Recording the outcome.
    Commit,
}

impl Stage {
    /// Returns the name of the stage in rows and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Extract => "extract",
            Self::Compress => "compress",
            Self::Commit => "commit",
        }
    }
}

impl FromStr for Stage {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = [Self::Prepare, Self::Extract, Self::Compress, Self::Commit]
            .into_iter()
            .find(|stage| stage.as_str() == text);
        found.ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of state and event, with one line per state.
    #[test]
    fn transitions_follow_the_table() {
        use JobEvent::*;
        use JobStatus::*;
        let events = [Claim, Complete, RetryLater, Fail, Release, Park, Cancel, Retry];
        let no = None;
        let table = [
            (
                Pending,
                [
                    Some(Processing),
                    no,
                    no,
                    Some(Failed),
                    no,
                    Some(Pending),
                    Some(Cancelled),
                    no,
                ],
            ),
            (
                Processing,
                [
                    Some(Processing),
                    Some(Completed),
                    Some(RetryWait),
                    Some(Failed),
                    Some(Pending),
                    Some(Pending),
                    Some(Cancelled),
                    no,
                ],
            ),
            (
                RetryWait,
                [
                    Some(Processing),
                    no,
                    no,
                    Some(Failed),
                    no,
                    Some(Pending),
                    Some(Cancelled),
                    no,
                ],
            ),
            (Completed, [no; 8]),
            (Failed, [no, no, no, no, no, no, no, Some(Pending)]),
            (Cancelled, [no, no, no, no, no, no, no, Some(Pending)]),
        ];
        assert_eq!(table.map(|(state, _)| state), JobStatus::ALL);
        for (state, expected) in table {
            for (event, expected) in events.into_iter().zip(expected) {
                assert_eq!(state.after(event), expected, "{state} {event:?}");
            }
        }
    }

    #[test]
    fn names_round_trip() {
        for status in JobStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
        assert!("done".parse::<JobStatus>().is_err());
    }
}
