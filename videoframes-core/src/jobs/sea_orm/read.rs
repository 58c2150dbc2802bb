//! Read-only queries.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::call_error::CallError;
use super::entity::video_job::{Column, Entity};
use crate::clock::UnixMillis;
use crate::database::Database;
use crate::jobs::{
    JobCursor, JobFilter, JobId, JobPage, JobResult, JobStatus, Unfinished, UnreadableJob, VideoJob, WorkHash,
};

pub(super) async fn get(database: &Database, job: JobId) -> Result<Option<VideoJob>, CallError> {
    let row = Entity::find_by_id(job.0).one(&database.reader().await?).await?;
    Ok(row.map(VideoJob::try_from).transpose()?)
}

pub(super) async fn list(database: &Database, filter: &JobFilter) -> Result<JobPage, CallError> {
    let mut jobs = Entity::find()
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .limit(filter.limit.map(u64::from));
    if let Some(status) = filter.status {
        jobs = jobs.filter(Column::Status.eq(status.as_str()));
    }
    if let Some(JobCursor { created_at, id }) = filter.after {
        let position = Expr::tuple([Column::CreatedAt, Column::Id].map(|column| Expr::col((Entity, column))));
        jobs = jobs.filter(position.lt(Expr::tuple([created_at.0.into(), id.0.into()])));
    }
    let rows = jobs.all(&database.reader().await?).await?;
    let full = filter.limit.is_some_and(|limit| rows.len() == limit as usize);
    let mut page = JobPage {
        next: rows.last().filter(|_| full).map(|last| JobCursor {
            created_at: UnixMillis(last.created_at),
            id: JobId(last.id),
        }),
        ..JobPage::default()
    };
    for row in rows {
        let id = JobId(row.id);
        match VideoJob::try_from(row) {
            Ok(job) => page.jobs.push(job),
            Err(error) => page.unreadable.push(UnreadableJob {
                id,
                reason: error.to_string(),
            }),
        }
    }
    Ok(page)
}

pub(super) async fn find_result(
    database: &Database,
    work: &WorkHash,
) -> Result<Option<JobResult>, CallError> {
    let latest = Entity::find()
        .filter(Column::WorkHash.eq(work.0.as_str()))
        .filter(Column::Status.eq(JobStatus::Completed.as_str()))
        .order_by_desc(Column::FinishedAt)
        .order_by_desc(Column::Id);
    let row = latest.one(&database.reader().await?).await?;
    Ok(row.map(|row| row.result()).transpose()?.flatten())
}

pub(super) async fn is_result(database: &Database, key: &str) -> Result<bool, CallError> {
    let job = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::ResultKey.eq(key))
        .limit(1);
    let id: Option<uuid::Uuid> = job.into_tuple().one(&database.reader().await?).await?;
    Ok(id.is_some())
}

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
        unfinished.add(status, count.try_into().unwrap_or_default());
    }
    Ok(unfinished)
}
