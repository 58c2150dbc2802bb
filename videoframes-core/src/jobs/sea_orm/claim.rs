//! Who gets a job.

use sea_orm::sea_query::{Expr, ExprTrait};

use super::entity::video_job::Column;
use super::{Stop, finish, row};
use crate::database::{Database, Transaction, text};
use crate::jobs::lease::{Decision, decide_claim};
use crate::jobs::{Claim, ClaimTerms, JobEvent, JobId, JobRepoError, JobStatus, Lease, Stage, VideoJob};

pub(super) async fn claim(
    database: &Database,
    job: JobId,
    owner: &str,
    terms: &ClaimTerms,
) -> Result<Claim, Stop> {
    let transaction = database.begin().await?;
    let Some(standing) = row::lock(database, &transaction, job).await? else {
        return Ok(Claim::Missing);
    };
    let job = &standing.job;
    let claim = match decide_claim(&standing, &text(owner), terms.crashes) {
        Decision::Terminal => return Ok(Claim::Terminal(standing.job)),
        Decision::Again => {
            let epoch = job.lease_epoch;
            return Ok(Claim::Claimed(Lease { job: job.id, epoch }, standing.job));
        }
        Decision::Held(rest) => return Ok(Claim::Held(rest)),
        Decision::NotDue(rest) => return Ok(Claim::NotDue(rest)),
        Decision::Take { crash_count } => {
            take(database, &transaction, job, owner, terms, crash_count).await?
        }
        Decision::End { outcome, crash_count } => {
            Claim::Terminal(finish::end(database, &transaction, job, &outcome, crash_count).await?)
        }
    };
    transaction.commit().await?;
    Ok(claim)
}

async fn take(
    database: &Database,
    transaction: &Transaction,
    job: &VideoJob,
    owner: &str,
    terms: &ClaimTerms,
    crash_count: u32,
) -> Result<Claim, Stop> {
    let mut change = row::change(database, row::unchanged(job, JobEvent::Claim));
    change
        .value(Column::Status, JobStatus::Processing.as_str())
        .value(Column::Stage, Stage::Prepare.as_str())
        .value(Column::FramesDone, 0_i64)
        .value(Column::FramesTotal, 0_i64)
        .value(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .value(Column::CrashCount, row::small(crash_count))
        .value(Column::LeaseEpoch, Expr::col(Column::LeaseEpoch).add(1_i64))
        .value(Column::LeaseOwner, text(owner))
        .value(Column::LeaseExpiresAt, database.later(terms.lease))
        .value(Column::NextAttemptAt, Option::<i64>::None);
    // The row is locked: only a defect can make this fail.
    let job = row::apply(transaction, &change)
        .await?
        .ok_or(JobRepoError::LeaseLost)?;
    let lease = Lease {
        job: job.id,
        epoch: job.lease_epoch,
    };
    Ok(Claim::Claimed(lease, job))
}
