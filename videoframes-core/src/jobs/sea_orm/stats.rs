//! Statistics.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};

use super::call_error::CallError;
use super::entity::video_job::{Column, Entity};
use crate::clock::UnixMillis;
use crate::database::Database;
use crate::jobs::{EndedJobs, JobStats, JobStatus, Unfinished};

pub(super) async fn unfinished(database: &Database) -> Result<Unfinished, CallError> {
    let counts: Vec<(String, i64)> = Entity::find()
        .select_only()
        .column(Column::Status)
        .column_as(Column::Id.count(), "jobs")
        .filter(Column::FinishedAt.is_null())
        .group_by(Column::Status)
        .into_tuple()
        .all(&database.reader().await?)
        .await?;
    let mut unfinished = Unfinished::default();
    for (status, count) in counts {
        // A newer version may have further statuses; such jobs are not terminal either.
        let status = status.parse().unwrap_or(JobStatus::Pending);
        unfinished.add(status, count.unsigned_abs());
    }
    Ok(unfinished)
}

pub(super) async fn stats(database: &Database, windows: &[Duration]) -> Result<JobStats, CallError> {
    Ok(JobStats {
        unfinished: unfinished(database).await?,
        oldest_wait: oldest_wait(database).await?,
        lease_owners: lease_owners(database).await?,
        ended: ended(database, windows).await?,
    })
}

/// Returns the longest wait for a worker, by the rule of [`due_since`](crate::jobs::lease::due_since).
async fn oldest_wait(database: &Database) -> Result<Option<Duration>, DbErr> {
    let col = |column| Expr::col((Entity, column));
    let is = |status: JobStatus| col(Column::Status).eq(status.as_str());
    let or_updated = |column| Expr::expr(col(column).if_null(col(Column::UpdatedAt)));
    let due = Expr::case(is(JobStatus::Pending), col(Column::UpdatedAt))
        .case(is(JobStatus::RetryWait), or_updated(Column::NextAttemptAt))
        .case(is(JobStatus::Processing), or_updated(Column::LeaseExpiresAt));
    let due: Expr = due.into();
    let oldest = Query::select()
        .expr_as(due.min(), "due")
        .expr_as(database.now(), "now")
        .from(Entity)
        .and_where(Column::FinishedAt.is_null())
        .to_owned();
    let Some(row) = database.reader().await?.query_one(&oldest).await? else {
        return Ok(None);
    };
    let due = row.try_get::<Option<i64>>("", "due")?.map(UnixMillis);
    let now = UnixMillis(row.try_get("", "now")?);
    Ok(due.filter(|due| *due <= now).map(|due| now.since(due)))
}

async fn lease_owners(database: &Database) -> Result<Vec<String>, DbErr> {
    let owners = Entity::find()
        .select_only()
        .column(Column::LeaseOwner)
        .distinct()
        .filter(Column::Status.eq(JobStatus::Processing.as_str()))
        .filter(Column::LeaseOwner.is_not_null())
        .filter(Expr::col((Entity, Column::LeaseExpiresAt)).gt(database.now()));
    let mut owners: Vec<String> = owners.into_tuple().all(&database.reader().await?).await?;
    // Databases may compare texts by other rules.
    owners.sort_unstable();
    Ok(owners)
}

/// Counts the jobs that became terminal, in one query that reads the longest window.
async fn ended(database: &Database, windows: &[Duration]) -> Result<Vec<EndedJobs>, DbErr> {
    let mut ended: Vec<EndedJobs> = windows.iter().copied().map(EndedJobs::new).collect();
    let Some(longest) = windows.iter().max() else {
        return Ok(ended);
    };
    let since = |window: Duration| Expr::col((Entity, Column::FinishedAt)).gte(database.earlier(window));
    let mut counts = Query::select()
        .column(Column::Status)
        .from(Entity)
        .and_where(since(*longest))
        .group_by_col(Column::Status)
        .to_owned();
    for (number, window) in windows.iter().enumerate() {
        let one: Expr = Expr::case(since(*window), 1_i64).finally(0_i64).into();
        counts.expr_as(
            Expr::expr(one.sum()).cast_as("bigint"),
            format!("window_{number}"),
        );
    }
    for row in database.reader().await?.query_all(&counts).await? {
        let status: String = row.try_get("", "status")?;
        let Ok(status) = status.parse() else { continue };
        for (number, ended) in ended.iter_mut().enumerate() {
            let count: i64 = row.try_get("", &format!("window_{number}"))?;
            ended.add(status, count.unsigned_abs());
        }
    }
    Ok(ended)
}
