//! Makes jobs terminal, each with its notification.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Cond, Expr, UpdateStatement};
use serde::Serialize;

use super::attempts::{self, Ended};
use super::call_error::CallError;
use super::entity::video_job::Column;
use super::restore::Checked;
use super::{outbox, parking, row};
use crate::clock::UnixMillis;
use crate::database::{Database, Session, text};
use crate::jobs::{
    JobError, JobEvent, JobRepoError, JobStatus, Lease, OutboxMessage, Outcome, VideoJob, WorkHash,
};

/// Ends a job for the holder of its lease.
pub(super) async fn finish(
    checked: &Checked,
    lease: &Lease,
    outcome: &Outcome,
) -> Result<VideoJob, CallError> {
    let (transaction, _) = checked.begin().await?;
    let end = End {
        guard: row::held_by(lease),
        attempt: LastAttempt::Held(lease),
        outcome,
        crash_count: None,
        finished_at: None,
    };
    let job = end.write(&checked.database, &transaction).await?;
    parking::after_lease(checked, &transaction, &job).await?;
    transaction.commit().await?;
    Ok(job)
}

/// The attempt that ends with a job.
enum LastAttempt<'a> {
    /// The attempt of the lease holder, which ends the job.
    Held(&'a Lease),
    /// The attempt of a worker whose lease has expired, if the job has one.
    Lost(&'a VideoJob),
}

impl LastAttempt<'_> {
    /// Builds the end of the attempt, if there is one, with a job that ends at `now`.
    fn end(&self, outcome: &Outcome, now: UnixMillis) -> Option<UpdateStatement> {
        match self {
            Self::Held(lease) => {
                let ended = Ended {
                    outcome: outcome.of_attempt(),
                    error: outcome.error(),
                    at: now.0.into(),
                };
                Some(attempts::end(lease, ended))
            }
            Self::Lost(before) => attempts::lost(before),
        }
    }
}

/// The end of a job.
pub(super) struct End<'a> {
    /// Selects the row, if the job may end like this.
    guard: Cond,
    attempt: LastAttempt<'a>,
    outcome: &'a Outcome,
    /// New number of crashes, if it changes.
    crash_count: Option<u32>,
    /// Time of the end, unless it is now.
    finished_at: Option<UnixMillis>,
}

impl<'a> End<'a> {
    /// Returns the end of a locked job that no worker holds.
    pub(super) fn of(job: &'a VideoJob, outcome: &'a Outcome, crash_count: u32) -> Self {
        let event = match outcome {
            Outcome::Completed(..) => JobEvent::Complete,
            Outcome::Failed(_) => JobEvent::Fail,
            Outcome::Cancelled(_) => JobEvent::Cancel,
        };
        Self {
            guard: row::unchanged(job, event),
            attempt: LastAttempt::Lost(job),
            outcome,
            crash_count: Some(crash_count),
            finished_at: None,
        }
    }

    /// Sets the time of the end.
    pub(super) fn at(self, finished_at: UnixMillis) -> Self {
        Self {
            finished_at: Some(finished_at),
            ..self
        }
    }

    /// Makes the job terminal and writes its notification.
    pub(super) async fn write(
        self,
        database: &Database,
        transaction: &Session,
    ) -> Result<VideoJob, CallError> {
        let Self {
            guard,
            attempt,
            outcome,
            crash_count,
            finished_at,
        } = self;
        let finished_at = finished_at.map_or_else(|| database.now(), |time| Expr::val(time.0));
        let status = match outcome {
            Outcome::Completed(..) => JobStatus::Completed,
            Outcome::Failed(_) => JobStatus::Failed,
            Outcome::Cancelled(_) => JobStatus::Cancelled,
        };
        let error = outcome.error();
        let part = |part: fn(&JobError) -> &str| error.map(|error| text(part(error)));
        let mut change = row::change(database, guard);
        row::clear_lease(&mut change)
            .value(Column::Status, status.as_str())
            .value(Column::NextAttemptAt, Option::<i64>::None)
            .value(Column::ErrorCode, part(|error| &error.code))
            .value(Column::ErrorMessage, part(|error| &error.message))
            .value(Column::ParkedAt, Option::<i64>::None)
            .value(Column::FinishedAt, finished_at);
        if let Some(crash_count) = crash_count {
            change.value(Column::CrashCount, row::small(crash_count));
        }
        if let Outcome::Completed(result, work) = outcome {
            change
                .value(Column::ResultBucket, result.bucket.as_deref().map(text))
                .value(Column::ResultKey, text(&result.key))
                .value(Column::ResultSize, row::large(result.size))
                .value(Column::ResultSha256, text(&result.sha256))
                .value(Column::ResultFrames, row::large(result.frames))
                .value(Column::ResultPartial, result.partial)
                .value(Column::ResultRenditions, list(&result.renditions))
                .value(Column::ResultOutputs, list(&result.outputs))
                .value(Column::WorkHash, work.as_ref().map(|WorkHash(hash)| text(hash)));
        }
        let job = row::apply(transaction, &change)
            .await?
            .ok_or(JobRepoError::LeaseLost)?;
        let message = outbox::insert(database, &[OutboxMessage::notification(&job)]);
        match attempt.end(outcome, job.updated_at) {
            Some(history) => {
                attempts::first(transaction, history, message).await?;
            }
            None => {
                transaction.execute(&message).await?;
            }
        }
        Ok(job)
    }
}

/// Serializes results to JSON; `None` if there are none.
fn list<T: Serialize>(results: &[T]) -> Option<String> {
    let json = (!results.is_empty()).then(|| serde_json::to_string(results));
    json.transpose().ok().flatten().map(|json| text(&json))
}
