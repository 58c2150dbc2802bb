//! Reads of single jobs.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::call_error::CallError;
use super::entity::video_job::{Column, Entity};
use crate::database::Database;
use crate::jobs::{JobId, JobIdPrefix, JobResult, JobStatus, VideoJob, WorkHash};

pub(super) async fn get(database: &Database, job: JobId) -> Result<Option<VideoJob>, CallError> {
    let row = Entity::find_by_id(job.0).one(&database.reader().await?).await?;
    Ok(row.map(VideoJob::try_from).transpose()?)
}

pub(super) async fn find(
    database: &Database,
    prefix: &JobIdPrefix,
    limit: u32,
) -> Result<Vec<JobId>, CallError> {
    let (low, high) = prefix.range().into_inner();
    let ids = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Id.between(low.0, high.0))
        .order_by_asc(Column::Id)
        .limit(u64::from(limit));
    let ids: Vec<uuid::Uuid> = ids.into_tuple().all(&database.reader().await?).await?;
    Ok(ids.into_iter().map(JobId).collect())
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
