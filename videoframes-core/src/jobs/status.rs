//! The states of a job and the ways between them. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It waits for a worker.
    Pending,
    /// A worker holds its lease.
    Processing,
    /// An attempt failed; it waits for the next.
    RetryWait,
    /// It has its result.
    Completed,
    /// It has no result and will have none unless someone asks for a retry.
    Failed,
    /// Someone stopped it, or a newer event took its place.
    Cancelled,
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEvent {
    /// A worker takes it.
    Claim,
    /// The worker has the result.
    Complete,
    /// The attempt failed, and another may succeed.
    RetryLater,
    /// It cannot succeed.
    Fail,
    /// The worker hands it back unfinished.
    Release,
    /// Someone stops it.
    Cancel,
    /// Someone wants it once more.
    Retry,
}

impl JobStatus {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Processing,
        Self::RetryWait,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether nothing happens any more unless someone asks.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The state after `event`; `None` where that cannot happen in this one.
    pub fn after(self, event: JobEvent) -> Option<Self> {
        use JobEvent::{Cancel, Claim, Complete, Fail, Release, Retry, RetryLater};
        match (self, event) {
            // A lease that has run out is claimed out of `Processing`.
            (Self::Pending | Self::RetryWait | Self::Processing, Claim) => Some(Self::Processing),
            (Self::Processing, Complete) => Some(Self::Completed),
            (Self::Processing, RetryLater) => Some(Self::RetryWait),
            (Self::Processing, Release) => Some(Self::Pending),
            // What waits can fail too: its deadline passes, or its workers keep dying.
            (Self::Pending | Self::RetryWait | Self::Processing, Fail) => Some(Self::Failed),
            (Self::Pending | Self::RetryWait | Self::Processing, Cancel) => Some(Self::Cancelled),
            (Self::Failed | Self::Cancelled, Retry) => Some(Self::Pending),
            _ => None,
        }
    }

    /// The name in rows, messages and listings.
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

/// A text that names no [`JobStatus`] or [`Stage`].
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

/// What a worker is doing with a job that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Looking at what it takes: source, limits, earlier results.
    Prepare,
    /// Turning frames into pictures and writing them to the store.
    Extract,
    /// Making compressed videos that do not come of the decode of the pictures.
    Compress,
    /// Writing down the outcome.
    Commit,
}

impl Stage {
    /// The name in rows and logs.
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

    /// Every pair of state and event, one line a state.
    #[test]
    fn every_transition_is_as_the_protocol_says() {
        use JobEvent::*;
        use JobStatus::*;
        let events = [Claim, Complete, RetryLater, Fail, Release, Cancel, Retry];
        let no = None;
        let table = [
            (
                Pending,
                [Some(Processing), no, no, Some(Failed), no, Some(Cancelled), no],
            ),
            (
                Processing,
                [
                    Some(Processing),
                    Some(Completed),
                    Some(RetryWait),
                    Some(Failed),
                    Some(Pending),
                    Some(Cancelled),
                    no,
                ],
            ),
            (
                RetryWait,
                [Some(Processing), no, no, Some(Failed), no, Some(Cancelled), no],
            ),
            (Completed, [no; 7]),
            (Failed, [no, no, no, no, no, no, Some(Pending)]),
            (Cancelled, [no, no, no, no, no, no, Some(Pending)]),
        ];
        assert_eq!(table.map(|(state, _)| state), JobStatus::ALL);
        for (state, expected) in table {
            for (event, expected) in events.into_iter().zip(expected) {
                assert_eq!(state.after(event), expected, "{state} {event:?}");
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for status in JobStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
        assert!("done".parse::<JobStatus>().is_err());
    }
}
