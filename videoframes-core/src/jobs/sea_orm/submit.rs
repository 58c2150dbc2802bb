//! Submission of jobs.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::sea_query::{Cond, Expr, InsertStatement, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use uuid::Uuid;

use super::call_error::CallError;
use super::entity::video_job::{Column, Entity};
use super::finish::End;
use super::restore::Checked;
use super::{outbox, parking, row};
use crate::clock::millis;
use crate::database::{Database, Session, text};
use crate::jobs::event::EventOrder;
use crate::jobs::lease::{Decision, decide};
use crate::jobs::{Enqueue, JobId, JobRepoError, JobStatus, NewJob, OutboxMessage, Submitted, VideoJob};
use crate::storage::ObjectKey;

/// Number of jobs per statement, whose parameters are limited.
const CHUNK: usize = 100;
/// Maximum number of jobs that a submission supersedes at once; claims and sweeps end the rest.
const MAX_SUPERSEDED: u64 = 1000;

pub(super) async fn submit(
    checked: &Checked,
    jobs: &[NewJob],
    enqueue: Enqueue,
) -> Result<Vec<Submitted>, CallError> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    // All submissions insert keys in the same order, so that submissions with the same keys do not deadlock.
    let mut ordered: Vec<&NewJob> = jobs.iter().collect();
    ordered.sort_by(|a, b| a.idempotency_key.cmp(&b.idempotency_key));
    let database = &checked.database;
    let transaction = database.begin().await?;
    let mut created = HashSet::new();
    let mut known = Known::default();
    let mut new = Vec::new();
    for jobs in ordered.chunks(CHUNK) {
        known.read_messages(&transaction, jobs).await?;
        let unknown: Vec<&NewJob> = jobs
            .iter()
            .copied()
            .filter(|job| !known.has_message(job))
            .collect();
        if unknown.is_empty() {
            continue;
        }
        let insert = insert(database, &unknown, &known);
        let rows = transaction.query_all(&insert).await?;
        let inserted = rows.iter().map(row::job).collect::<Result<Vec<_>, _>>()?;
        if inserted.len() < unknown.len() {
            known.read_messages(&transaction, &unknown).await?;
            known.read_keys(&transaction, &unknown).await?;
        }
        for job in inserted {
            created.insert(job.id);
            let same = (job.id, job.payload_hash.clone());
            known.keys.insert(job.idempotency_key.clone(), same);
            new.push(job);
        }
    }
    let superseded = supersede(checked, &transaction, jobs).await?;
    new.retain(|job| !superseded.contains(&job.id));
    outbox::add(database, &transaction, &messages(&new, enqueue)).await?;
    let answers = jobs
        .iter()
        .map(|job| known.answer(job, &mut created))
        .collect::<Result<Vec<_>, _>>()?;
    transaction.commit().await?;
    Ok(answers)
}

/// Ends waiting jobs of the same objects whose events are older than the newest one, new jobs included.
///
/// Skips jobs that are locked by other transactions; their next claim ends them.
async fn supersede(
    checked: &Checked,
    transaction: &Session,
    jobs: &[NewJob],
) -> Result<HashSet<JobId>, CallError> {
    let events = jobs.iter().filter_map(EventOrder::from_job);
    let objects: Vec<String> = events.map(|event| text(&event.object)).collect();
    let (mut superseded, mut freed) = (HashSet::new(), BTreeSet::new());
    for objects in objects.chunks(CHUNK) {
        let waiting = [JobStatus::Pending, JobStatus::RetryWait].map(JobStatus::as_str);
        let condition = Cond::all()
            .add(Column::SourceObject.is_in(objects.iter().map(String::as_str)))
            .add(Column::Status.is_in(waiting))
            .add(row::superseded());
        let select = row::lock_some(&checked.database, condition, MAX_SUPERSEDED).into_query();
        for row in transaction.query_all(&select).await? {
            let facts = row::facts(&row)?;
            if let Decision::End { outcome, crash_count } = decide(&facts, u32::MAX) {
                End::of(&facts.job, &outcome, crash_count)
                    .write(&checked.database, transaction)
                    .await?;
                superseded.insert(facts.job.id);
                if parking::frees_place(&facts.job) {
                    freed.insert(facts.job.tenant);
                }
            }
        }
    }
    parking::after_ends(checked, transaction, freed).await?;
    Ok(superseded)
}

/// Columns of a new job.
const COLUMNS: [Column; 31] = [
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
    Column::SourceObject,
    Column::EventOrder,
    Column::MessageId,
    Column::WorkLimitMs,
    Column::TraceContext,
    Column::Tenant,
    Column::Priority,
];

fn insert(database: &Database, jobs: &[&NewJob], known: &Known) -> InsertStatement {
    let mut insert = Query::insert()
        .into_table(Entity)
        .columns(COLUMNS)
        // Conflicts of the idempotency key and of the message.
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .returning_all()
        .to_owned();
    for job in jobs {
        let rejection = job.rejection.as_ref();
        let status = match rejection {
            Some(_) => JobStatus::Failed,
            None => JobStatus::Pending,
        };
        let (object, order) = EventOrder::from_job(job)
            .map(|event| (text(&event.object), event.order))
            .unzip();
        let never = || Expr::val(Option::<i64>::None);
        insert.values_panic([
            job.id.0.into(),
            text(&job.idempotency_key).into(),
            text(&job.payload_hash).into(),
            job.source.json().to_string().into(),
            job.options.json().to_string().into(),
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
            object.into(),
            order.into(),
            known.new_message(job).into(),
            job.work_limit.map(millis).into(),
            job.trace.as_ref().map(ToString::to_string).into(),
            job.tenant.as_str().into(),
            job.priority.position().into(),
        ]);
    }
    insert
}

/// Returns the messages for new jobs.
fn messages(new: &[VideoJob], enqueue: Enqueue) -> Vec<OutboxMessage> {
    let message = |job: &VideoJob| match (job.status.is_terminal(), enqueue) {
        (true, _) => Some(OutboxMessage::notification(job)),
        (false, Enqueue::ThroughOutbox) => Some(OutboxMessage::to_workers(job, job.created_at)),
        (false, Enqueue::AlreadyQueued) => None,
    };
    new.iter().filter_map(message).collect()
}

/// Identifier of an existing job, and the hash of its request.
type Existing = (JobId, String);

/// Existing jobs that match submitted ones.
#[derive(Default)]
struct Known {
    keys: HashMap<String, Existing>,
    messages: HashMap<String, Existing>,
}

impl Known {
    async fn read_keys(&mut self, transaction: &Session, jobs: &[&NewJob]) -> Result<(), DbErr> {
        let keys = jobs.iter().map(|job| text(&job.idempotency_key));
        self.keys
            .extend(read(transaction, Column::IdempotencyKey, keys).await?);
        Ok(())
    }

    async fn read_messages(&mut self, transaction: &Session, jobs: &[&NewJob]) -> Result<(), DbErr> {
        let messages: Vec<String> = jobs.iter().filter_map(|job| message(job)).collect();
        if !messages.is_empty() {
            self.messages
                .extend(read(transaction, Column::MessageId, messages).await?);
        }
        Ok(())
    }

    /// Returns the job that an earlier delivery of this message requested.
    ///
    /// A message always requests the same: with another payload hash, a different message has the same
    /// identifier.
    fn job_of_message(&self, job: &NewJob) -> Option<JobId> {
        let (id, payload) = self.messages.get(&message(job)?)?;
        (*payload == text(&job.payload_hash)).then_some(*id)
    }

    fn has_message(&self, job: &NewJob) -> bool {
        self.job_of_message(job).is_some()
    }

    /// Returns the message identifier to store; `None` if another message has the same identifier.
    fn new_message(&self, job: &NewJob) -> Option<String> {
        message(job).filter(|message| !self.messages.contains_key(message))
    }

    fn answer(&self, job: &NewJob, created: &mut HashSet<JobId>) -> Result<Submitted, CallError> {
        if let Some(id) = self.job_of_message(job) {
            let created = created.remove(&id);
            return Ok(Submitted { id, created });
        }
        let key = text(&job.idempotency_key);
        // Missing if the old job with this key is deleted at this moment.
        let (id, payload) = self.keys.get(&key).ok_or_else(|| DbErr::RecordNotFound(key))?;
        if *payload != text(&job.payload_hash) {
            return Err(JobRepoError::IdempotencyConflict(job.idempotency_key.clone()).into());
        }
        Ok(Submitted {
            id: *id,
            created: created.remove(id),
        })
    }
}

fn message(job: &NewJob) -> Option<String> {
    job.message_id.as_deref().map(text)
}

/// Returns the jobs with one of the values in a text column, together with the value.
async fn read(
    transaction: &Session,
    column: Column,
    values: impl IntoIterator<Item = String>,
) -> Result<Vec<(String, Existing)>, DbErr> {
    let rows: Vec<(String, Uuid, String)> = Entity::find()
        .select_only()
        .columns([column, Column::Id, Column::PayloadHash])
        .filter(column.is_in(values))
        .into_tuple()
        .all(transaction)
        .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(name, id, payload)| (name, (JobId(id), payload)))
        .collect())
}
