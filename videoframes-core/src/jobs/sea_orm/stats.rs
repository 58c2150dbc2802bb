//! Statistics.
//!
//! Counts are conditional sums: SQLite would read the index on the status of all jobs for a GROUP BY.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryResult, QuerySelect};

use super::call_error::CallError;
use super::entity::video_job::{Column, Entity};
use crate::clock::UnixMillis;
use crate::database::Database;
use crate::jobs::{EndedJobs, FailureCount, JobStats, JobStatus, Unfinished};

pub(super) async fn unfinished(database: &Database) -> Result<Unfinished, CallError> {
    Ok(unfinished_and_wait(database).await?.0)
}

pub(super) async fn stats(database: &Database, windows: &[Duration]) -> Result<JobStats, CallError> {
    let (unfinished, oldest_wait) = unfinished_and_wait(database).await?;
    Ok(JobStats {
        unfinished,
        oldest_wait,
        lease_owners: lease_owners(database).await?,
        ended: ended(database, windows).await?,
        failures: failures(database, windows).await?,
    })
}

fn col(column: Column) -> Expr {
    Expr::col((Entity, column))
}

fn is(status: JobStatus) -> Expr {
    col(Column::Status).eq(status.as_str())
}

/// Returns the number of rows that meet a condition; null without rows.
fn count(condition: Expr) -> Expr {
    let one: Expr = Expr::case(condition, 1_i64).finally(0_i64).into();
    Expr::expr(one.sum()).cast_as("bigint")
}

fn number(row: &QueryResult, name: &str) -> Result<u64, DbErr> {
    let number = row.try_get::<Option<i64>>("", name)?;
    Ok(number.unwrap_or_default().unsigned_abs())
}

/// Returns the number of jobs that are not terminal, and the longest wait for a worker by the rule of
/// [`due_since`](crate::jobs::lease::due_since).
async fn unfinished_and_wait(database: &Database) -> Result<(Unfinished, Option<Duration>), DbErr> {
    let or_updated = |column| Expr::expr(col(column).if_null(col(Column::UpdatedAt)));
    let is_parked = || is(JobStatus::Pending).and(Column::ParkedAt.is_not_null());
    // Null for parked jobs, which the minimum ignores.
    let due: Expr = Expr::case(is_parked(), Option::<i64>::None)
        .case(is(JobStatus::Pending), col(Column::UpdatedAt))
        .case(is(JobStatus::RetryWait), or_updated(Column::NextAttemptAt))
        .case(is(JobStatus::Processing), or_updated(Column::LeaseExpiresAt))
        .into();
    let query = Query::select()
        .expr_as(Expr::val(1_i64).count(), "total")
        .expr_as(count(is(JobStatus::Processing)), "processing")
        .expr_as(count(is(JobStatus::RetryWait)), "retry_wait")
        .expr_as(count(is_parked()), "parked")
        .expr_as(due.min(), "due")
        .expr_as(database.now(), "now")
        .from(Entity)
        .and_where(Column::FinishedAt.is_null())
        .to_owned();
    let Some(row) = database.reader().await?.query_one(&query).await? else {
        return Ok((Unfinished::default(), None));
    };
    let (processing, retry_wait) = (number(&row, "processing")?, number(&row, "retry_wait")?);
    let unfinished = Unfinished {
        // A newer version may have further statuses; such jobs are not terminal either.
        pending: number(&row, "total")?.saturating_sub(processing + retry_wait),
        processing,
        retry_wait,
        parked: number(&row, "parked")?,
    };
    let due = row.try_get::<Option<i64>>("", "due")?.map(UnixMillis);
    let now = UnixMillis(row.try_get("", "now")?);
    let wait = due.filter(|due| *due <= now).map(|due| now.since(due));
    Ok((unfinished, wait))
}

async fn lease_owners(database: &Database) -> Result<Vec<String>, DbErr> {
    let owners = Entity::find()
        .select_only()
        .column(Column::LeaseOwner)
        .distinct()
        .filter(is(JobStatus::Processing))
        .filter(Column::LeaseOwner.is_not_null())
        .filter(col(Column::LeaseExpiresAt).gt(database.now()));
    let mut owners: Vec<String> = owners.into_tuple().all(&database.reader().await?).await?;
    // Databases may compare texts by other rules.
    owners.sort_unstable();
    Ok(owners)
}

/// Counts the jobs that became terminal, in one query that reads the longest window.
async fn ended(database: &Database, windows: &[Duration]) -> Result<Vec<EndedJobs>, DbErr> {
    const STATUSES: [JobStatus; 3] = [JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled];
    let mut ended: Vec<EndedJobs> = windows.iter().copied().map(EndedJobs::new).collect();
    let Some(longest) = windows.iter().max() else {
        return Ok(ended);
    };
    let since = |window: Duration| col(Column::FinishedAt).gte(database.earlier(window));
    let name = |window: usize, status: JobStatus| format!("{status}_{window}");
    let mut counts = Query::select().from(Entity).and_where(since(*longest)).to_owned();
    for (window, length) in windows.iter().enumerate() {
        for status in STATUSES {
            counts.expr_as(count(is(status).and(since(*length))), name(window, status));
        }
    }
    if let Some(row) = database.reader().await?.query_one(&counts).await? {
        for (window, ended) in ended.iter_mut().enumerate() {
            for status in STATUSES {
                ended.add(status, number(&row, &name(window, status))?);
            }
        }
    }
    Ok(ended)
}

/// Counts the failed jobs of the longest window by error code. The only condition is on the time, so that the query
/// reads no more rows than [`ended`], whatever the planner knows about statuses.
async fn failures(database: &Database, windows: &[Duration]) -> Result<Vec<FailureCount>, DbErr> {
    let Some(longest) = windows.iter().max() else {
        return Ok(Vec::new());
    };
    let counts = Query::select()
        .column(Column::ErrorCode)
        .expr_as(count(is(JobStatus::Failed)), "failed")
        .from(Entity)
        .and_where(col(Column::FinishedAt).gte(database.earlier(*longest)))
        .group_by_col(Column::ErrorCode)
        .to_owned();
    let rows = database.reader().await?.query_all(&counts).await?;
    let mut counts = Vec::with_capacity(rows.len());
    for row in &rows {
        // Completed jobs have no code.
        if let Some(code) = row.try_get::<Option<String>>("", "error_code")? {
            counts.push((code, number(row, "failed")?));
        }
    }
    Ok(FailureCount::sorted(counts))
}
