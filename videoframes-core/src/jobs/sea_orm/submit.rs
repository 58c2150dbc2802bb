//! New jobs.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::{Expr, InsertStatement, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::entity::video_job::{Column, Entity};
use super::{Stop, outbox, row};
use crate::clock::millis;
use crate::database::{Database, Transaction, text};
use crate::jobs::{Enqueue, JobId, JobRepoError, JobStatus, NewJob, OutboxMessage, Submitted, VideoJob};
use crate::storage::ObjectKey;

/// Jobs written by one statement: its parameters are limited.
const CHUNK: usize = 100;

pub(super) async fn submit(
    database: &Database,
    jobs: &[NewJob],
    enqueue: Enqueue,
) -> Result<Vec<Submitted>, Stop> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    // Everyone goes through the keys in the same order: two who bring the same ones wait for each other
    // once, and not both for ever.
    let mut ordered: Vec<&NewJob> = jobs.iter().collect();
    ordered.sort_by(|a, b| a.idempotency_key.cmp(&b.idempotency_key));
    let transaction = database.begin().await?;
    let mut created = HashSet::new();
    let mut known = HashMap::new();
    for jobs in ordered.chunks(CHUNK) {
        let rows = transaction.query_all(&insert(database, jobs)).await?;
        let new = rows.iter().map(row::job).collect::<Result<Vec<_>, _>>()?;
        outbox::add(database, &transaction, &messages(&new, enqueue)).await?;
        if new.len() < jobs.len() {
            known.extend(read(&transaction, jobs).await?);
        }
        for job in new {
            created.insert(job.id);
            known.insert(job.idempotency_key, (job.id, job.payload_hash));
        }
    }
    let answers = jobs
        .iter()
        .map(|job| answer(job, &known, &mut created))
        .collect::<Result<Vec<_>, _>>()?;
    transaction.commit().await?;
    Ok(answers)
}

fn insert(database: &Database, jobs: &[&NewJob]) -> InsertStatement {
    let mut insert = Query::insert()
        .into_table(Entity)
        .columns([
            Column::Id,
            Column::IdempotencyKey,
            Column::PayloadHash,
            Column::Source,
            Column::Options,
            Column::OutputKey,
            Column::ClientMetadata,
            Column::Sequencer,
            Column::Generation,
            Column::Status,
            Column::FramesDone,
            Column::FramesTotal,
            Column::CancelRequested,
            Column::LeaseEpoch,
            Column::TimeLimitMs,
            Column::DeadlineAt,
            Column::Attempts,
            Column::CrashCount,
            Column::ErrorCode,
            Column::ErrorMessage,
            Column::CreatedAt,
            Column::UpdatedAt,
            Column::FinishedAt,
            Column::EnqueuedAt,
        ])
        .on_conflict(OnConflict::column(Column::IdempotencyKey).do_nothing().to_owned())
        .returning_all()
        .to_owned();
    for job in jobs {
        let rejection = job.rejection.as_ref();
        let status = match rejection {
            Some(_) => JobStatus::Failed,
            None => JobStatus::Pending,
        };
        let never = || Expr::val(Option::<i64>::None);
        insert.values_panic([
            job.id.0.into(),
            text(&job.idempotency_key).into(),
            text(&job.payload_hash).into(),
            job.source.to_string().into(),
            job.options.to_string().into(),
            job.output_key.as_ref().map(ObjectKey::to_string).into(),
            job.client_metadata.as_ref().map(|value| value.to_string()).into(),
            job.sequencer.as_deref().map(text).into(),
            0.into(),
            status.as_str().into(),
            0_i64.into(),
            0_i64.into(),
            false.into(),
            0_i64.into(),
            job.time_limit.map(millis).into(),
            job.time_limit.map_or_else(never, |limit| database.later(limit)),
            0.into(),
            0.into(),
            rejection.map(|error| text(&error.code)).into(),
            rejection.map(|error| text(&error.message)).into(),
            database.now(),
            database.now(),
            rejection.map_or_else(never, |_| database.now()),
            database.now(),
        ]);
    }
    insert
}

/// What new jobs have to be told of.
fn messages(new: &[VideoJob], enqueue: Enqueue) -> Vec<OutboxMessage> {
    let message = |job: &VideoJob| match (job.status.is_terminal(), enqueue) {
        (true, _) => Some(OutboxMessage::notification(job)),
        (false, Enqueue::ThroughOutbox) => Some(OutboxMessage::to_workers(job.id)),
        (false, Enqueue::AlreadyQueued) => None,
    };
    new.iter().filter_map(message).collect()
}

/// Id and payload hash of everything that has one of the keys, by key.
async fn read(transaction: &Transaction, jobs: &[&NewJob]) -> Result<Vec<(String, (JobId, String))>, DbErr> {
    let rows: Vec<(String, Uuid, String)> = Entity::find()
        .select_only()
        .columns([Column::IdempotencyKey, Column::Id, Column::PayloadHash])
        .filter(Column::IdempotencyKey.is_in(jobs.iter().map(|job| text(&job.idempotency_key))))
        .into_tuple()
        .all(&**transaction)
        .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(key, id, payload)| (key, (JobId(id), payload)))
        .collect())
}

fn answer(
    job: &NewJob,
    known: &HashMap<String, (JobId, String)>,
    created: &mut HashSet<JobId>,
) -> Result<Submitted, Stop> {
    let key = text(&job.idempotency_key);
    // Missing where the old job with this key is being forgotten at this moment.
    let (id, payload) = known.get(&key).ok_or_else(|| DbErr::RecordNotFound(key))?;
    if *payload != text(&job.payload_hash) {
        return Err(JobRepoError::IdempotencyConflict(job.idempotency_key.clone()).into());
    }
    Ok(Submitted {
        id: *id,
        created: created.remove(id),
    })
}
