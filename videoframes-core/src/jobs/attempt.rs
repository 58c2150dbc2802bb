//! The attempts at a job. Pure.

use serde::{Deserialize, Serialize};

use super::{JobError, LeaseEpoch, Stage};
use crate::clock::UnixMillis;

/// One attempt at a job: the time of one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Attempt {
    /// Epoch of the claim.
    pub epoch: LeaseEpoch,
    /// Generation of the job at the claim.
    pub generation: u32,
    /// Owner of the lease.
    pub worker: String,
    /// Time of the claim.
    pub started_at: UnixMillis,
    /// Time of the end. The end of the lease, if the worker lost it.
    pub ended_at: Option<UnixMillis>,
    /// Outcome; `None` while the attempt runs, or if this version does not know the outcome.
    pub outcome: Option<AttemptOutcome>,
    /// Error with which the worker ended the attempt.
    pub error: Option<JobError>,
    /// Stages in the order in which the attempt entered them; empty if the worker did not record them.
    pub stages: Vec<StageTime>,
}

impl Attempt {
    /// Returns an attempt that starts with the claim of a job.
    pub(crate) fn new(epoch: LeaseEpoch, generation: u32, worker: &str, started_at: UnixMillis) -> Self {
        Self {
            epoch,
            generation,
            worker: worker.to_owned(),
            started_at,
            ended_at: None,
            outcome: None,
            error: None,
            stages: Vec::new(),
        }
    }

    /// Ends the attempt.
    pub(crate) fn end(&mut self, outcome: AttemptOutcome, error: Option<&JobError>, at: UnixMillis) {
        self.ended_at = Some(at);
        self.outcome = Some(outcome);
        self.error = error.cloned();
    }

    /// Returns the attempt as listed. `held` is the epoch of a job in process.
    ///
    /// Workers of older versions record neither the start nor the end of an attempt. An attempt without an end is
    /// therefore listed as lost, unless it has the latest lease of a job in process.
    pub(crate) fn listed(mut self, held: Option<LeaseEpoch>) -> Self {
        if self.ended_at.is_none() && held != Some(self.epoch) {
            self.outcome = Some(AttemptOutcome::Lost);
        }
        self
    }
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// The attempt completed the job.
    Completed,
    /// The attempt failed the job.
    Failed,
    /// The job was cancelled on request.
    Cancelled,
    /// The attempt failed, and another was scheduled.
    Retried,
    /// The attempt was stopped by an outage, and does not count.
    Deferred,
    /// The worker released the job unfinished, and the attempt does not count.
    Released,
    /// The lease expired without an answer of the worker.
    Lost,
}

impl AttemptOutcome {
    /// All outcomes.
    pub const ALL: [Self; 7] = [
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Retried,
        Self::Deferred,
        Self::Released,
        Self::Lost,
    ];

    /// Returns the name of the outcome in rows and listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Retried => "retried",
            Self::Deferred => "deferred",
            Self::Released => "released",
            Self::Lost => "lost",
        }
    }

    /// Returns the outcome with this name, if this version knows it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// The duration of one stage of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageTime {
    /// The stage.
    pub stage: Stage,
    /// Duration in milliseconds.
    pub duration_ms: u64,
}

impl StageTime {
    /// Returns the duration of a stage.
    #[must_use]
    pub const fn new(stage: Stage, duration_ms: u64) -> Self {
        Self { stage, duration_ms }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attempt_has_the_agreed_fields() {
        let mut attempt = Attempt::new(LeaseEpoch(3), 1, "host-1/2", UnixMillis(1_700_000_000_000));
        let running = json!({
            "epoch": 3, "generation": 1, "worker": "host-1/2", "started_at": "2023-11-14T22:13:20Z",
            "ended_at": null, "outcome": null, "error": null, "stages": []
        });
        assert_eq!(serde_json::to_value(&attempt).unwrap(), running);
        let error = JobError {
            code: "NO_SPACE".to_owned(),
            message: "full".to_owned(),
        };
        attempt.end(
            AttemptOutcome::Retried,
            Some(&error),
            UnixMillis(1_700_000_001_000),
        );
        attempt.stages.push(StageTime::new(Stage::Prepare, 12));
        let ended = json!({
            "epoch": 3, "generation": 1, "worker": "host-1/2", "started_at": "2023-11-14T22:13:20Z",
            "ended_at": "2023-11-14T22:13:21Z", "outcome": "retried", "error": {"code": "NO_SPACE", "message": "full"},
            "stages": [{"stage": "prepare", "duration_ms": 12}]
        });
        assert_eq!(serde_json::to_value(&attempt).unwrap(), ended);
        for outcome in AttemptOutcome::ALL {
            assert_eq!(AttemptOutcome::from_name(outcome.as_str()), Some(outcome));
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }

    #[test]
    fn an_attempt_without_an_end_is_lost_unless_it_may_run() {
        let open = Attempt::new(LeaseEpoch(3), 0, "w", UnixMillis(0));
        let mut ended = open.clone();
        ended.end(AttemptOutcome::Completed, None, UnixMillis(1));
        for (held, expected) in [
            (Some(LeaseEpoch(3)), None),
            (Some(LeaseEpoch(4)), Some(AttemptOutcome::Lost)),
            (None, Some(AttemptOutcome::Lost)),
        ] {
            assert_eq!(open.clone().listed(held).outcome, expected, "{held:?}");
            let outcome = ended.clone().listed(held).outcome;
            assert_eq!(outcome, Some(AttemptOutcome::Completed), "{held:?}");
        }
    }
}
