//! Parked jobs: jobs over the limit of their tenant, which wait for a place.
//!
//! A parked job is pending, and stays parked until an attempt starts. The first parked jobs of a tenant, as many as the
//! tenant may start, have a message. For the others, the time of the last message is before all others: a version without
//! limits takes them for abandoned and writes a message.
//!
//! A transaction that counts the jobs in work of a tenant holds a lock on the tenant until its end. The transaction takes
//! the lock after the lock on the job, and then locks only parked jobs that nobody has locked.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Cond, Expr, ExprTrait, Func, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, DbErr, QueryOrder, QueryTrait, Select};
use uuid::Uuid;

use super::call_error::CallError;
use super::entity::video_job::{Column, Entity};
use super::restore::Checked;
use super::{attempts, outbox, row};
use crate::database::{Database, Session};
use crate::digest;
use crate::jobs::lease::{Turn, turn};
use crate::jobs::{JobEvent, JobId, JobRepoError, JobStatus, OutboxMessage, VideoJob};
use crate::tenant::{Tenant, free_places};

/// Time of the last message of a parked job without a message.
pub(super) const NO_MESSAGE: i64 = 0;
/// First key of the advisory locks of tenants in Postgres ("vft1").
const LOCKS: i32 = 0x7666_7431;
/// Number of unreadable rows before a readable one that are skipped.
const UNREADABLE: u64 = 10;
/// Maximum number of parked jobs that one change of a job enqueues. The sweep enqueues the rest.
const MAX_UNPARKED: u64 = 100;
/// Maximum number of tenants whose parked jobs one sweep enqueues.
const TENANTS: usize = 100;

/// Returns the condition for a status as a constant, since the planner does not use partial indexes for parameters.
fn is(status: JobStatus) -> Expr {
    Expr::col((Entity, Column::Status)).eq(Expr::cust(format!("'{}'", status.as_str())))
}

fn parked() -> Cond {
    Cond::all()
        .add(is(JobStatus::Pending))
        .add(Expr::col((Entity, Column::ParkedAt)).is_not_null())
}

/// Decides whether a locked job may start. Locks the tenant if it has a limit.
///
/// The parked jobs before the job have a message afterwards, as many as the tenant may start.
pub(super) async fn admit(
    checked: &Checked,
    transaction: &Session,
    job: &VideoJob,
) -> Result<Turn, CallError> {
    let Some(places) = places(checked, transaction, &job.tenant, Some(job)).await? else {
        return Ok(Turn::Now);
    };
    if places == 0 {
        return Ok(Turn::Wait(None));
    }
    let places = Ord::min(places, MAX_UNPARKED);
    let position = |column| Expr::col((Entity, column));
    let before = Expr::tuple([
        position(Column::Priority),
        position(Column::CreatedAt),
        position(Column::Id),
    ])
    .lt(Expr::tuple([
        job.priority.position().into(),
        job.created_at.0.into(),
        job.id.0.into(),
    ]));
    let limit = places.saturating_add(UNREADABLE);
    let select = row::some(&checked.database, parked_of(&job.tenant).add(before), limit);
    let before = first(transaction, (select, places)).await?;
    let before: Vec<JobId> = before.into_iter().map(|parked| parked.job).collect();
    if !before.is_empty() {
        unpark(&checked.database, transaction, &job.tenant, places).await?;
    }
    Ok(turn(places, &before))
}

/// Returns how many jobs of the tenant may start, besides `except`; `None` for any number.
async fn places(
    checked: &Checked,
    transaction: &Session,
    tenant: &Tenant,
    except: Option<&VideoJob>,
) -> Result<Option<u64>, CallError> {
    let Some(max_jobs) = checked.tenants.terms(tenant).max_jobs else {
        return Ok(None);
    };
    lock(transaction, tenant).await?;
    let mut count = Query::select()
        .expr_as(Expr::val(1_i64).count(), "in_work")
        .from(Entity)
        .and_where(is(JobStatus::Processing))
        .and_where(Expr::col((Entity, Column::Tenant)).eq(tenant.as_str()))
        .and_where(Expr::col((Entity, Column::LeaseExpiresAt)).gt(checked.database.now()))
        .to_owned();
    if let Some(job) = except {
        count.and_where(Expr::col((Entity, Column::Id)).ne(job.id.0));
    }
    let row = transaction.query_one(&count).await?;
    let in_work = row.map_or(Ok(0), |row| row.try_get::<i64>("", "in_work"))?;
    Ok(free_places(Some(max_jobs), in_work.unsigned_abs()))
}

/// Locks a tenant until the end of the transaction. SQLite has one writer at a time.
async fn lock(transaction: &Session, tenant: &Tenant) -> Result<(), DbErr> {
    if transaction.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    // Tenants with the same number only wait for each other.
    let hash = digest::of_json(&serde_json::json!(tenant));
    let number = hash.get(..8).and_then(|hash| u32::from_str_radix(hash, 16).ok());
    let number = number.unwrap_or_default().cast_signed();
    let lock = Func::cust("pg_advisory_xact_lock").arg(LOCKS).arg(number);
    transaction
        .query_all(&Query::select().expr(lock).to_owned())
        .await?;
    Ok(())
}

/// Parks a locked job that can be claimed, and whose message is deleted.
pub(super) async fn park(
    database: &Database,
    transaction: &Session,
    job: &VideoJob,
    crash_count: u32,
) -> Result<(), CallError> {
    if job.parked_at.is_some() {
        let without_message = Query::update()
            .table(Entity)
            .value(Column::EnqueuedAt, NO_MESSAGE)
            .and_where(Column::Id.eq(job.id.0))
            .to_owned();
        transaction.execute(&without_message).await?;
        return Ok(());
    }
    if let Some(lost) = attempts::lost(job) {
        transaction.execute(&lost).await?;
    }
    let mut change = row::change(database, row::unchanged(job, JobEvent::Park));
    row::clear_lease(&mut change)
        .value(Column::Status, JobStatus::Pending.as_str())
        .value(Column::CrashCount, row::small(crash_count))
        .value(Column::NextAttemptAt, Option::<i64>::None)
        .value(Column::EnqueuedAt, NO_MESSAGE)
        .value(Column::ParkedAt, database.now());
    // The row is locked: only a bug can make this fail.
    row::apply(transaction, &change)
        .await?
        .ok_or(JobRepoError::LeaseLost)?;
    Ok(())
}

/// Enqueues the parked jobs that may start after the lease of a job has ended in this transaction.
pub(super) async fn after_lease(
    checked: &Checked,
    transaction: &Session,
    job: &VideoJob,
) -> Result<(), CallError> {
    unpark_for(checked, transaction, &job.tenant, Some(job)).await?;
    Ok(())
}

/// Does the same as [`after_lease`] after the end of a job that had, as `before`, a lost lease or the message for a place.
pub(super) async fn after_end(
    checked: &Checked,
    transaction: &Session,
    before: &VideoJob,
) -> Result<(), CallError> {
    match frees_place(before) {
        true => after_lease(checked, transaction, before).await,
        false => Ok(()),
    }
}

/// Returns whether the end of a job may let another job of its tenant start.
pub(super) fn frees_place(before: &VideoJob) -> bool {
    before.status == JobStatus::Processing || before.parked_at.is_some()
}

/// Does the same as [`after_end`] after the ends of several jobs of these tenants, and returns the number of enqueued
/// jobs. The order of the locks is that of the names in every transaction.
pub(super) async fn after_ends(
    checked: &Checked,
    transaction: &Session,
    tenants: BTreeSet<Tenant>,
) -> Result<u64, CallError> {
    let mut unparked = 0;
    for tenant in tenants {
        unparked += unpark_for(checked, transaction, &tenant, None).await?;
    }
    Ok(unparked)
}

/// Enqueues the parked jobs of a tenant that may start, besides `except`, and returns their number.
async fn unpark_for(
    checked: &Checked,
    transaction: &Session,
    tenant: &Tenant,
    except: Option<&VideoJob>,
) -> Result<u64, CallError> {
    match places(checked, transaction, tenant, except).await? {
        Some(places @ 1..) => {
            unpark(
                &checked.database,
                transaction,
                tenant,
                Ord::min(places, MAX_UNPARKED),
            )
            .await
        }
        _ => Ok(0),
    }
}

/// A parked job, in the order in which parked jobs of a tenant start.
struct Parked {
    job: JobId,
    /// The message that enqueues the job, unless the job has one.
    message: Option<OutboxMessage>,
}

fn parked_of(tenant: &Tenant) -> Cond {
    parked().add(Expr::col((Entity, Column::Tenant)).eq(tenant.as_str()))
}

/// Reads the first parked jobs of a selection, up to its limit without the unreadable ones.
async fn first(
    transaction: &Session,
    (select, limit): (Select<Entity>, u64),
) -> Result<Vec<Parked>, CallError> {
    let select = select
        .order_by_asc(Column::Priority)
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id);
    let mut found = Vec::new();
    for row in transaction.query_all(&select.into_query()).await? {
        if found.len() as u64 == limit {
            break;
        }
        match row::facts(&row) {
            Ok(facts) => {
                let has_message = row.try_get::<i64>("", "enqueued_at")? != NO_MESSAGE;
                let message = || OutboxMessage::to_workers(&facts.job, facts.now).redelivery();
                found.push(Parked {
                    job: facts.job.id,
                    message: (!has_message).then(message),
                });
            }
            // A newer version may have written the row. The row must not keep other jobs from their end.
            Err(error) => {
                let id: Option<Uuid> = row.try_get("", "id").ok();
                tracing::warn!(job.id = ?id, %error, "skipped unreadable parked job");
            }
        }
    }
    Ok(found)
}

/// Writes messages about those of the first `limit` parked jobs of a tenant that have none, and returns their number.
async fn unpark(
    database: &Database,
    transaction: &Session,
    tenant: &Tenant,
    limit: u64,
) -> Result<u64, CallError> {
    let select = row::lock_some(database, parked_of(tenant), limit.saturating_add(UNREADABLE));
    let first = first(transaction, (select, limit)).await?;
    let messages: Vec<OutboxMessage> = first.into_iter().filter_map(|row| row.message).collect();
    if messages.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = messages.iter().map(|message| message.job.0).collect();
    let update = Query::update()
        .table(Entity)
        .value(Column::UpdatedAt, database.now())
        .value(Column::EnqueuedAt, database.now())
        .and_where(Column::Id.is_in(ids))
        .to_owned();
    transaction.execute(&update).await?;
    outbox::add(database, transaction, &messages).await?;
    Ok(messages.len() as u64)
}

/// Enqueues parked jobs of tenants with fewer jobs in work than their limit, at most `most`, and returns their number.
///
/// Continues after the last tenant of the previous sweep, so that all tenants have their turn.
pub(super) async fn unpark_left(checked: &Checked, most: u64) -> Result<u64, CallError> {
    let mut unparked = 0;
    for tenant in tenants(checked).await? {
        if unparked >= most {
            break;
        }
        checked.swept.parked.set(Some(&tenant.as_str().to_owned()));
        let (transaction, _) = checked.begin().await?;
        let places = places(checked, &transaction, &tenant, None).await?;
        let limit = std::cmp::min(places.unwrap_or(u64::MAX), most - unparked);
        if limit > 0 {
            unparked += unpark(&checked.database, &transaction, &tenant, limit).await?;
            transaction.commit().await?;
        }
    }
    Ok(unparked)
}

/// Returns up to [`TENANTS`] tenants with parked jobs, those after the last one first. Every query reads one row of an index.
async fn tenants(checked: &Checked) -> Result<Vec<Tenant>, CallError> {
    let last = checked.swept.parked.get().unwrap_or_default();
    let reader = checked.database.reader().await?;
    let mut found: Vec<String> = Vec::new();
    // With the status, since the index begins with it: see `sweep::after`.
    let position = || {
        Expr::tuple([
            Expr::col((Entity, Column::Status)),
            Expr::col((Entity, Column::Tenant)),
        ])
    };
    let of = |tenant: &str| Expr::tuple([JobStatus::Pending.as_str().into(), tenant.into()]);
    let mut condition = position().gt(of(&last));
    let mut wrapped = false;
    while found.len() < TENANTS {
        let next = Query::select()
            .column((Entity, Column::Tenant))
            .from(Entity)
            .cond_where(parked().add(condition))
            .order_by((Entity, Column::Tenant), sea_orm::sea_query::Order::Asc)
            .limit(1)
            .to_owned();
        let row = reader.query_one(&next).await?;
        match row.map(|row| row.try_get::<String>("", "tenant")).transpose()? {
            Some(tenant) if found.contains(&tenant) => break,
            Some(tenant) => {
                condition = position().gt(of(&tenant));
                found.push(tenant);
            }
            None if wrapped => break,
            None => {
                wrapped = true;
                condition = position().gte(of(""));
            }
        }
    }
    Ok(found.iter().map(|name| Tenant::stored(name)).collect())
}
