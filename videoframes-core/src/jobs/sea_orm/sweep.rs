//! Jobs that nobody looks after.

use std::sync::{Mutex, PoisonError};

use sea_orm::sea_query::{Cond, DeleteStatement, Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryOrder, QueryResult, QueryTrait};
use uuid::Uuid;

use super::entity::outbox::{Column as Message, Entity as Outbox};
use super::entity::video_job::{Column, Entity};
use super::{Stop, finish, outbox, row};
use crate::database::Database;
use crate::jobs::lease::{Decision, Standing, decide};
use crate::jobs::{JobId, JobStatus, OutboxDestination, OutboxMessage, Outcome, SweepTerms, Swept};

/// Rows that one transaction holds at most.
const BATCH: u64 = 200;

pub(super) async fn sweep(database: &Database, terms: &SweepTerms) -> Result<Swept, Stop> {
    let mut swept = Swept::default();
    let unreadable = Unreadable::default();
    while end_some(database, terms, &mut swept, &unreadable).await? {}
    swept.enqueued = batches(terms, |most| enqueue_some(database, terms, most, &unreadable)).await?;
    swept.forgotten = batches(terms, |most| forget_some(database, terms, most)).await?;
    batches(terms, |most| forget_sent(database, terms, most)).await?;
    Ok(swept)
}

/// Jobs that this version cannot read: a newer one may have written them. Others go on without them.
#[derive(Default)]
struct Unreadable {
    ids: Mutex<Vec<Uuid>>,
}

impl Unreadable {
    fn none_of_them(&self) -> Expr {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        Column::Id.is_not_in(ids.iter().copied())
    }

    /// How a row stands, if it can be read. It is told of once a pass.
    fn standing(&self, row: &QueryResult) -> Result<Option<Standing>, DbErr> {
        match row::standing(row) {
            Ok(standing) => Ok(Some(standing)),
            Err(error) => {
                let id: Uuid = row.try_get("", "id")?;
                tracing::warn!(job.id = %id, %error, "a job that cannot be read is passed over");
                self.ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
                Ok(None)
            }
        }
    }
}

/// Works in batches until one of them is not full, or [`SweepTerms::most`] is reached.
async fn batches<F: Future<Output = Result<u64, Stop>>>(
    terms: &SweepTerms,
    some: impl Fn(u64) -> F,
) -> Result<u64, Stop> {
    let mut done = 0;
    loop {
        let most = std::cmp::min(BATCH, u64::from(terms.most) - done);
        if most == 0 {
            return Ok(done);
        }
        let batch = some(most).await?;
        done += batch;
        if batch < most {
            return Ok(done);
        }
    }
}

fn is(status: JobStatus) -> Expr {
    Column::Status.eq(status.as_str())
}

/// Makes some of those terminal that a claim would; whether there may be more.
async fn end_some(
    database: &Database,
    terms: &SweepTerms,
    swept: &mut Swept,
    unreadable: &Unreadable,
) -> Result<bool, Stop> {
    let crashed =
        is(JobStatus::Processing).and(Column::CrashCount.gte(row::small(terms.crashes.saturating_sub(1))));
    let condition = Cond::all()
        .add(Column::FinishedAt.is_null())
        .add(unreadable.none_of_them())
        .add(
            is(JobStatus::Processing)
                .and(Expr::col(Column::LeaseExpiresAt).gt(database.now()))
                .not(),
        )
        .add(
            Cond::any()
                .add(Column::CancelRequested.eq(true))
                .add(Expr::col(Column::DeadlineAt).lte(database.now()))
                .add(row::superseded())
                .add(crashed),
        );
    let transaction = database.begin().await?;
    let select = row::lock_some(database, condition, BATCH).into_query();
    let rows = transaction.query_all(&select).await?;
    let mut changed = false;
    for row in &rows {
        let Some(standing) = unreadable.standing(row)? else {
            // It is not found again.
            changed = true;
            continue;
        };
        if let Decision::End { outcome, crash_count } = decide(&standing, terms.crashes) {
            finish::end(database, &transaction, &standing.job, &outcome, crash_count).await?;
            changed = true;
            match outcome {
                Outcome::Cancelled(_) => swept.cancelled += 1,
                _ => swept.failed += 1,
            }
        }
    }
    transaction.commit().await?;
    Ok(changed && rows.len() as u64 == BATCH)
}

/// Enqueues some again that have been due for too long and have no message on its way.
async fn enqueue_some(
    database: &Database,
    terms: &SweepTerms,
    most: u64,
    unreadable: &Unreadable,
) -> Result<u64, Stop> {
    let waiting = messages_of_job()
        .and_where(Expr::col(Message::Destination).eq(OutboxDestination::Input.as_str()))
        .to_owned();
    let since = Expr::case(is(JobStatus::RetryWait), Expr::col(Column::NextAttemptAt))
        .case(is(JobStatus::Processing), Expr::col(Column::LeaseExpiresAt))
        .finally(Expr::col(Column::UpdatedAt));
    let since: Expr = since.into();
    let condition = Cond::all()
        .add(Column::FinishedAt.is_null())
        .add(unreadable.none_of_them())
        .add(Expr::col(Column::EnqueuedAt).lt(database.earlier(terms.overdue)))
        .add(since.clone().lt(database.earlier(terms.overdue)))
        // Since its last message it has waited longer than before.
        .add(
            Expr::col(Column::EnqueuedAt)
                .sub(since.clone())
                .lt(database.now().sub(Expr::col(Column::EnqueuedAt))),
        )
        .add(Expr::exists(waiting).not());
    let transaction = database.begin().await?;
    let some = row::lock_some(database, condition, most).order_by_asc(since);
    let rows = transaction.query_all(&some.into_query()).await?;
    let jobs = rows.iter().map(|row| unreadable.standing(row));
    let jobs: Vec<Standing> = jobs.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let jobs: Vec<JobId> = jobs.into_iter().map(|standing| standing.job.id).collect();
    if !jobs.is_empty() {
        let enqueued = Query::update()
            .table(Entity)
            .value(Column::EnqueuedAt, database.now())
            .and_where(Column::Id.is_in(jobs.iter().map(|job| job.0)))
            .to_owned();
        transaction.execute(&enqueued).await?;
        let messages: Vec<_> = jobs.iter().map(|job| OutboxMessage::to_workers(*job)).collect();
        outbox::add(database, &transaction, &messages).await?;
        transaction.commit().await?;
    }
    Ok(jobs.len() as u64)
}

/// Forgets some that are past their retention, with what was told of them.
async fn forget_some(database: &Database, terms: &SweepTerms, most: u64) -> Result<u64, Stop> {
    let condition = Cond::all()
        .add(Column::FinishedAt.is_not_null())
        .add(Expr::col(Column::FinishedAt).lt(database.earlier(terms.retention)))
        .add(Expr::exists(messages_of_job()).not());
    let transaction = database.begin().await?;
    let some = row::lock_some(database, condition, most).order_by_asc(Column::FinishedAt);
    let rows = transaction.query_all(&some.into_query()).await?;
    let jobs = rows.iter().map(|row| row.try_get("", "id"));
    let jobs = jobs.collect::<Result<Vec<Uuid>, _>>()?;
    if !jobs.is_empty() {
        let told = delete(Outbox, Expr::col(Message::JobId).is_in(jobs.iter().copied()));
        transaction.execute(&told).await?;
        let told = delete(Entity, Column::Id.is_in(jobs.iter().copied()));
        transaction.execute(&told).await?;
        transaction.commit().await?;
    }
    Ok(jobs.len() as u64)
}

/// Forgets sent messages that are past their retention, of jobs that may live on.
async fn forget_sent(database: &Database, terms: &SweepTerms, most: u64) -> Result<u64, Stop> {
    let old = Query::select()
        .column(Message::Seq)
        .from(Outbox)
        .and_where(Expr::col(Message::SentAt).is_not_null())
        .and_where(Expr::col(Message::SentAt).lt(database.earlier(terms.retention)))
        .limit(most)
        .to_owned();
    let mut forget = delete(Outbox, Expr::col(Message::Seq).in_subquery(old));
    let forgotten = database.run(forget.returning_col(Message::Seq)).await?;
    Ok(forgotten.len() as u64)
}

/// The unsent messages of the job that the query around it looks at.
fn messages_of_job() -> SelectStatement {
    Query::select()
        .expr(Expr::val(1))
        .from(Outbox)
        .and_where(Expr::col((Outbox, Message::JobId)).equals((Entity, Column::Id)))
        .and_where(Expr::col((Outbox, Message::SentAt)).is_null())
        .to_owned()
}

fn delete(table: impl sea_orm::sea_query::IntoTableRef, rows: Expr) -> DeleteStatement {
    Query::delete().from_table(table).and_where(rows).to_owned()
}
