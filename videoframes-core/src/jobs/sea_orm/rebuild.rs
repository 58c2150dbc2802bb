//! Rebuilds rows that a restored database lost, and enqueues jobs whose messages may be lost.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QuerySelect};
use uuid::Uuid;

use super::call_error::CallError;
use super::entity::video_job::{Column, Entity};
use super::finish::End;
use super::{outbox, row};
use crate::clock::UnixMillis;
use crate::database::{Database, text};
use crate::jobs::event::EventOrder;
use crate::jobs::{
    JobId, JobRecord, JobRepoError, JobResult, JobStatus, OutboxDestination, OutboxMessage, Outcome, VideoJob,
};

pub(super) async fn rebuild(
    database: &Database,
    id: JobId,
    record: &JobRecord,
    result: Option<&(JobResult, UnixMillis)>,
) -> Result<bool, CallError> {
    let transaction = database.begin().await?;
    let job = record.to_job(id, UnixMillis(i64::MAX));
    let (object, order) = EventOrder::from_job(&record.to_new_job(id))
        .map(|event| (text(&event.object), event.order))
        .unzip();
    let limit = |limit: Option<i64>| Expr::val(limit);
    let status = match result {
        // Ended below, together with its notification.
        Some(_) => JobStatus::Processing,
        None => JobStatus::Pending,
    };
    let values: Vec<(Column, Expr)> = vec![
        (Column::Id, id.0.into()),
        (Column::IdempotencyKey, text(&job.idempotency_key).into()),
        (Column::PayloadHash, text(&job.payload_hash).into()),
        (Column::Source, job.source.json().to_string().into()),
        (Column::Options, job.options.json().to_string().into()),
        (Column::OutputKey, job.output_key.clone().into()),
        (
            Column::ClientMetadata,
            job.client_metadata.as_ref().map(ToString::to_string).into(),
        ),
        (Column::Sequencer, job.sequencer.as_deref().map(text).into()),
        (Column::Generation, row::small(job.generation).into()),
        (Column::Status, status.as_str().into()),
        (Column::FramesDone, 0_i64.into()),
        (Column::FramesTotal, 0_i64.into()),
        (Column::CancelRequested, false.into()),
        (Column::LeaseEpoch, 0_i64.into()),
        (Column::TimeLimitMs, limit(job.time_limit_ms)),
        (Column::DeadlineAt, deadline(database, &job)),
        (Column::Attempts, 0.into()),
        (Column::CrashCount, 0.into()),
        (Column::CreatedAt, job.created_at.0.into()),
        (Column::UpdatedAt, database.now()),
        (Column::EnqueuedAt, database.now()),
        (Column::SourceObject, object.into()),
        (Column::EventOrder, order.into()),
        (Column::WorkLimitMs, limit(job.work_limit_ms)),
        (
            Column::TraceContext,
            job.trace.as_ref().map(ToString::to_string).into(),
        ),
        (Column::Tenant, job.tenant.as_str().into()),
        (Column::Priority, job.priority.position().into()),
    ];
    let (columns, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
    let insert = Query::insert()
        .into_table(Entity)
        .columns(columns)
        .values_panic(values)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .returning_all()
        .to_owned();
    let Some(inserted) = transaction.query_one(&insert).await? else {
        let row: Option<Uuid> = Entity::find_by_id(id.0)
            .select_only()
            .column(Column::Id)
            .into_tuple()
            .one(&transaction)
            .await?;
        return match row {
            Some(_) => Ok(false),
            None => Err(JobRepoError::IdempotencyConflict(record.key.clone()).into()),
        };
    };
    if let Some((result, finished_at)) = result {
        let outcome = Outcome::Completed(result.clone(), None);
        let job = row::job(&inserted)?;
        let end = End::of(&job, &outcome, 0);
        end.at(*finished_at).write(database, &transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Returns the deadline of a job whose time starts now.
fn deadline(database: &Database, job: &VideoJob) -> Expr {
    match job.time_limit_ms {
        Some(limit) => database.now().add(limit),
        None => Expr::val(Option::<i64>::None),
    }
}

pub(super) async fn enqueue(database: &Database, jobs: &[JobId]) -> Result<u64, CallError> {
    let transaction = database.begin().await?;
    let change = Query::update()
        .table(Entity)
        .value(Column::EnqueuedAt, database.now())
        .value(Column::ParkedAt, Option::<i64>::None)
        .and_where(Column::Id.is_in(jobs.iter().map(|job| job.0)))
        .and_where(row::is_unset((Entity, Column::FinishedAt)))
        .and_where(outbox::has_no_message(Some(OutboxDestination::Input)))
        .returning_all()
        .to_owned();
    let mut messages = Vec::new();
    for changed in transaction.query_all(&change).await? {
        let now = UnixMillis(changed.try_get("", "enqueued_at")?);
        messages.push(OutboxMessage::to_workers(&row::job(&changed)?, now));
    }
    outbox::add(database, &transaction, &messages).await?;
    transaction.commit().await?;
    Ok(messages.len() as u64)
}
