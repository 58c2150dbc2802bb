//! Questions that change nothing.

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Stop;
use super::entity::video_job::{Column, Entity};
use crate::database::Database;
use crate::jobs::{JobFilter, JobId, JobResult, JobStatus, VideoJob, WorkHash};

pub(super) async fn get(database: &Database, job: JobId) -> Result<Option<VideoJob>, Stop> {
    let row = Entity::find_by_id(job.0).one(database.connection()).await?;
    Ok(row.map(VideoJob::try_from).transpose()?)
}

pub(super) async fn list(database: &Database, filter: &JobFilter) -> Result<Vec<VideoJob>, Stop> {
    let mut jobs = Entity::find()
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .limit(filter.most);
    if let Some(status) = filter.status {
        jobs = jobs.filter(Column::Status.eq(status.as_str()));
    }
    let rows = jobs.all(database.connection()).await?.into_iter();
    Ok(rows.map(VideoJob::try_from).collect::<Result<_, _>>()?)
}

pub(super) async fn find_result(database: &Database, work: &WorkHash) -> Result<Option<JobResult>, Stop> {
    let latest = Entity::find()
        .filter(Column::WorkHash.eq(work.0.as_str()))
        .filter(Column::Status.eq(JobStatus::Completed.as_str()))
        .order_by_desc(Column::FinishedAt)
        .order_by_desc(Column::Id);
    let row = latest.one(database.connection()).await?;
    Ok(row.map(|row| row.result()).transpose()?.flatten())
}

pub(super) async fn is_result(database: &Database, key: &str) -> Result<bool, Stop> {
    let job = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::ResultKey.eq(key))
        .limit(1);
    let id: Option<uuid::Uuid> = job.into_tuple().one(database.connection()).await?;
    Ok(id.is_some())
}

pub(super) async fn unfinished(database: &Database) -> Result<u64, Stop> {
    let jobs = Entity::find().filter(Column::FinishedAt.is_null());
    Ok(jobs.count(database.connection()).await?)
}
