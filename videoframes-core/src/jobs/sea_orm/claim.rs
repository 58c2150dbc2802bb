//! Claims of jobs.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait};

use super::call_error::CallError;
use super::entity::video_job::Column;
use super::finish::End;
use super::restore::Checked;
use super::{attempts, parking, row};
use crate::database::{Database, Session, text};
use crate::fleet::admits;
use crate::jobs::lease::{Decision, JobFacts, Turn, deadline_of_work, decide_claim};
use crate::jobs::restore::next_epoch;
use crate::jobs::{Claim, ClaimTerms, JobEvent, JobId, JobRepoError, JobStatus, Lease, LeaseEpoch, Stage};

pub(super) async fn claim(
    checked: &Checked,
    job: JobId,
    owner: &str,
    terms: &ClaimTerms,
) -> Result<Claim, CallError> {
    let database = &checked.database;
    let (transaction, generation, facts) = checked.begin_with(job).await?;
    if let Some(revision) = &terms.revision
        && !admits(database, &transaction, revision).await?
    {
        return Ok(Claim::Standby);
    }
    let Some(facts) = facts else {
        return Ok(Claim::Missing);
    };
    let job = &facts.job;
    let claim = match decide_claim(&facts, &text(owner), terms.crashes) {
        Decision::Terminal => return Ok(Claim::Terminal(facts.job)),
        Decision::Again => {
            let epoch = job.lease_epoch;
            return Ok(Claim::Claimed(Lease { job: job.id, epoch }, facts.job));
        }
        Decision::Held(rest) => return Ok(Claim::Held(rest)),
        Decision::NotDue(rest) => return Ok(Claim::NotDue(rest)),
        Decision::Take { crash_count } => {
            if let Turn::Wait(next) = parking::admit(checked, &transaction, job).await? {
                parking::park(database, &transaction, job, crash_count).await?;
                transaction.commit().await?;
                return Ok(Claim::Parked(next));
            }
            let params = TakeParams {
                owner,
                terms,
                crash_count,
                epoch: next_epoch(job.lease_epoch, generation),
            };
            take(database, &transaction, &facts, &params).await?
        }
        Decision::End { outcome, crash_count } => {
            let end = End::of(job, &outcome, crash_count);
            let ended = end.write(database, &transaction).await?;
            parking::after_end(checked, &transaction, job).await?;
            Claim::Ended(ended)
        }
    };
    transaction.commit().await?;
    Ok(claim)
}

/// Parameters of [`take`].
struct TakeParams<'a> {
    owner: &'a str,
    terms: &'a ClaimTerms,
    crash_count: u32,
    /// Epoch of the claim.
    epoch: LeaseEpoch,
}

async fn take(
    database: &Database,
    transaction: &Session,
    facts: &JobFacts,
    params: &TakeParams<'_>,
) -> Result<Claim, CallError> {
    let job = &facts.job;
    let begun_at = job.begun_at.unwrap_or(facts.now);
    let deadline_at = deadline_of_work(job, facts.now);
    let mut change = row::change(database, row::unchanged(job, JobEvent::Claim));
    change
        .value(Column::Status, JobStatus::Processing.as_str())
        .value(Column::Stage, Stage::Prepare.as_str())
        .value(Column::FramesDone, 0_i64)
        .value(Column::FramesTotal, 0_i64)
        .value(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .value(Column::BegunAt, begun_at.0)
        .value(Column::DeadlineAt, deadline_at.map(|deadline| deadline.0))
        .value(Column::CrashCount, row::small(params.crash_count))
        .value(Column::LeaseEpoch, params.epoch.0)
        .value(Column::LeaseOwner, text(params.owner))
        .value(Column::LeaseExpiresAt, database.later(params.terms.lease))
        .value(Column::NextAttemptAt, Option::<i64>::None);
    if job.parked_at.is_some() {
        change
            .value(Column::ParkedAt, Option::<i64>::None)
            .value(Column::EnqueuedAt, database.now());
    }
    if let Some(lost) = attempts::lost(job) {
        transaction.execute(&lost).await?;
    }
    let attempt = attempts::begin(job, params.epoch, params.owner, facts.now);
    let claimed = attempts::first(transaction, attempt, change).await?;
    // The row is locked: only a bug can make this fail.
    let claimed = claimed.ok_or(JobRepoError::LeaseLost)?;
    let claimed = row::job(&claimed)?;
    attempts::forget(transaction, job).await?;
    let lease = Lease {
        job: claimed.id,
        epoch: claimed.lease_epoch,
    };
    Ok(Claim::Claimed(lease, claimed))
}
