//! Finds abandoned jobs, ends jobs without a worker, and deletes rows past their retention.
//!
//! Every query follows an index in key order and continues after the last row of the previous query. This way
//! it neither reads rows of jobs that only wait, nor is blocked by unreadable rows.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Cond, DeleteStatement, Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, Iden, QueryOrder, QueryResult, QueryTrait};
use uuid::Uuid;

use super::call_error::CallError;
use super::entity::attempt::{Column as History, Entity as Attempts};
use super::entity::outbox::{Column as Message, Entity as Outbox};
use super::entity::video_job::{Column, Entity};
use super::finish::End;
use super::restore::Checked;
use super::{outbox, parking, row};
use crate::clock::UnixMillis;
use crate::database::Database;
use crate::jobs::lease::{Decision, Delivery, JobFacts, LOST_AFTER, abandoned_before, decide};
use crate::jobs::{JobStatus, OutboxDestination, OutboxMessage, SweepTerms, Swept};

/// Maximum number of rows that one transaction locks.
const BATCH: u64 = 200;
/// Maximum number of batches per kind of row in one sweep; the next sweep continues.
const BATCHES: u64 = 20;

pub(super) async fn sweep(checked: &Checked, terms: &SweepTerms) -> Result<Swept, CallError> {
    let database = &checked.database;
    let mut sweep = Sweep {
        checked,
        database,
        terms,
        swept: Swept::default(),
        unreadable: Vec::new(),
    };
    for rows in [late(database), to_be_cancelled(), without_worker()] {
        sweep.each(&rows, Abandoned::No).await?;
    }
    for rows in abandoned_rows(checked, terms).await? {
        sweep.each(&rows, Abandoned::Yes).await?;
    }
    let Sweep {
        mut swept,
        unreadable,
        ..
    } = sweep;
    if let Some(first) = unreadable.first() {
        tracing::warn!(job.id = %first, count = unreadable.len(), "skipped unreadable jobs");
    }
    swept.unparked += parking::unpark_left(checked, u64::from(terms.most)).await?;
    swept.forgotten = batches(terms, |limit| delete_jobs(checked, terms, limit)).await?;
    batches(terms, |limit| delete_sent(database, terms, limit)).await?;
    Ok(swept)
}

/// A query for rows, in the order of an index on a time and the id.
struct Rows {
    condition: Cond,
    key: Column,
    /// Maximum number of rows.
    most: u64,
}

impl Rows {
    fn new(condition: Cond, key: Column) -> Self {
        Self {
            condition,
            key,
            most: BATCH * BATCHES,
        }
    }

    /// Restricts the rows to a tenant and priority.
    fn of(self, flow: &Flow) -> Self {
        let (tenant, priority) = flow;
        Self {
            condition: self
                .condition
                .add(Expr::col((Entity, Column::Tenant)).eq(tenant.as_str()))
                .add(Expr::col((Entity, Column::Priority)).eq(*priority)),
            ..self
        }
    }
}

/// Whether to enqueue jobs that do not end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Abandoned {
    Yes,
    No,
}

fn has_status(status: JobStatus) -> Expr {
    // A constant, since the planner does not use partial indexes for parameters.
    Expr::col((Entity, Column::Status)).eq(Expr::cust(format!("'{}'", status.as_str())))
}

/// Returns the condition that no worker holds an unexpired lease.
fn not_held(database: &Database) -> Expr {
    let held = Expr::col((Entity, Column::LeaseExpiresAt)).gt(database.now());
    has_status(JobStatus::Processing).and(held).not()
}

/// Selects jobs past their deadline.
fn late(database: &Database) -> Rows {
    let condition = Cond::all()
        .add(Column::FinishedAt.is_null())
        .add(Expr::col((Entity, Column::DeadlineAt)).lte(database.now()));
    Rows::new(condition, Column::DeadlineAt)
}

/// Selects jobs with a request to cancel.
fn to_be_cancelled() -> Rows {
    let condition = Cond::all()
        .add(Column::FinishedAt.is_null())
        .add(Expr::col((Entity, Column::CancelRequested)));
    Rows::new(condition, Column::CreatedAt)
}

/// Selects jobs that may have lost too many workers: all jobs that are being processed, which are few.
fn without_worker() -> Rows {
    let condition = Cond::all().add(has_status(JobStatus::Processing));
    Rows::new(condition, Column::CreatedAt)
}

/// Selects the abandoned jobs.
async fn abandoned_rows(checked: &Checked, terms: &SweepTerms) -> Result<Vec<Rows>, CallError> {
    let database = &checked.database;
    let delivery = delivery(database, terms).await?;
    let mut rows = Vec::new();
    let drained = Delivery {
        in_work: None,
        ..delivery
    };
    if let Some(before) = abandoned_before(&drained, terms.overdue) {
        rows.push(waiting_since(database, before, PENDING));
    }
    // A queue delivers the messages of a flow in order, and those of different flows in any order.
    for (flow, in_work) in flows_in_work(checked).await? {
        let delivery = Delivery {
            in_work: Some(in_work),
            drained: None,
            ..delivery
        };
        if let Some(before) = abandoned_before(&delivery, terms.overdue) {
            rows.push(waiting_since(database, before, PENDING).of(&flow));
        }
    }
    // No job of a small flow may be in work for long, while others always are.
    if let Some(before) = abandoned_before(&delivery, terms.overdue.max(LOST_AFTER)) {
        for flow in waiting_flows(checked).await? {
            rows.push(Rows {
                most: LOST_JOBS,
                ..waiting_since(database, before, PENDING).of(&flow)
            });
        }
    }
    // The order of redelivered messages is unknown. A job that is not abandoned may get one more message, which does
    // not change its result.
    if let Some(before) = abandoned_before(&delivery, terms.overdue) {
        rows.push(waiting_since(database, before, RETRY_WAIT));
        rows.push(waiting_since(database, before, LOST));
    }
    Ok(rows)
}

/// The status of waiting jobs, the column with the start of the wait, and the column in the order of an index.
type Wait = (JobStatus, Column, Column);

const PENDING: Wait = (JobStatus::Pending, Column::UpdatedAt, Column::EnqueuedAt);
const RETRY_WAIT: Wait = (JobStatus::RetryWait, Column::NextAttemptAt, Column::NextAttemptAt);
const LOST: Wait = (JobStatus::Processing, Column::LeaseExpiresAt, Column::CreatedAt);

/// Selects jobs that have waited for a message since before a moment.
fn waiting_since(database: &Database, before: UnixMillis, (status, since, key): Wait) -> Rows {
    let col = |column| Expr::col((Entity, column));
    // The job has waited longer since its last message than before that message.
    let longer = col(Column::EnqueuedAt)
        .sub(col(since))
        .lt(database.now().sub(col(Column::EnqueuedAt)));
    let condition = Cond::all()
        .add(has_status(status))
        .add(Column::EnqueuedAt.lt(before.0))
        // A parked job without a message is not abandoned.
        .add(Column::EnqueuedAt.gt(parking::NO_MESSAGE))
        .add(col(since).lt(before.0))
        .add(longer)
        .add(outbox::has_no_message(Some(OutboxDestination::Input)));
    Rows::new(condition, key)
}

/// Maximum number of flows with jobs in work whose abandoned jobs one sweep looks for.
const FLOWS: u64 = 100;
/// Maximum number of flows whose lost messages one sweep looks for without evidence of the flow itself.
const LOST_FLOWS: usize = 10;
/// Maximum number of such jobs per flow.
const LOST_JOBS: u64 = 10;

/// A tenant and the position of a priority.
type Flow = (String, i32);

/// Returns the next flows with jobs in work that were claimed by their first message, each with the submission time of
/// the oldest of these jobs.
///
/// Continues after the last flow of the previous sweep, so that all flows have their turn.
async fn flows_in_work(checked: &Checked) -> Result<Vec<(Flow, UnixMillis)>, CallError> {
    let columns = || [(Entity, Column::Tenant), (Entity, Column::Priority)];
    let flows = in_work(&checked.database)
        .columns(columns())
        .expr_as(Expr::col((Entity, Column::CreatedAt)).min(), "in_work")
        .and_where(after(JobStatus::Processing, checked.swept.in_work.get()))
        .group_by_columns(columns())
        .order_by((Entity, Column::Tenant), Order::Asc)
        .order_by((Entity, Column::Priority), Order::Asc)
        .limit(FLOWS)
        .to_owned();
    let rows = checked.database.reader().await?.query_all(&flows).await?;
    let flow = |row: &QueryResult| {
        let in_work = UnixMillis(row.try_get("", "in_work")?);
        Ok::<_, DbErr>((flow(row)?, in_work))
    };
    let flows = rows.iter().map(flow).collect::<Result<Vec<_>, _>>()?;
    let last = flows.last().filter(|_| flows.len() as u64 == FLOWS);
    checked.swept.in_work.set(last.map(|(flow, _)| flow));
    Ok(flows)
}

/// Returns the next flows with pending jobs. Every query reads one row of an index.
async fn waiting_flows(checked: &Checked) -> Result<Vec<Flow>, CallError> {
    let reader = checked.database.reader().await?;
    let mut flows = Vec::new();
    let mut last = checked.swept.waiting.get();
    while flows.len() < LOST_FLOWS {
        let next = Query::select()
            .columns([(Entity, Column::Tenant), (Entity, Column::Priority)])
            .from(Entity)
            .and_where(has_status(JobStatus::Pending))
            .and_where(after(JobStatus::Pending, last.take()))
            .order_by((Entity, Column::Tenant), Order::Asc)
            .order_by((Entity, Column::Priority), Order::Asc)
            .limit(1)
            .to_owned();
        let Some(row) = reader.query_one(&next).await? else {
            break;
        };
        let next = flow(&row)?;
        flows.push(next.clone());
        last = Some(next);
    }
    checked.swept.waiting.set(last.as_ref());
    Ok(flows)
}

fn flow(row: &QueryResult) -> Result<Flow, DbErr> {
    Ok((row.try_get("", "tenant")?, row.try_get("", "priority")?))
}

/// Returns the condition for flows after a flow; for all flows after `None`.
fn after(status: JobStatus, flow: Option<Flow>) -> Expr {
    let (tenant, priority) = flow.unwrap_or((String::new(), i32::MIN));
    // The indexes begin with the status. Postgres drops an equality that the condition of an index implies, and would then
    // read the whole index.
    let position = Expr::tuple([
        Expr::col((Entity, Column::Status)),
        Expr::col((Entity, Column::Tenant)),
        Expr::col((Entity, Column::Priority)),
    ]);
    position.gt(Expr::tuple([
        status.as_str().into(),
        tenant.into(),
        priority.into(),
    ]))
}

/// Selects jobs in work that were claimed by their first message: for other jobs, the time of their message is unknown.
fn in_work(database: &Database) -> SelectStatement {
    let col = |column| Expr::col((Entity, column));
    Query::select()
        .from(Entity)
        .and_where(has_status(JobStatus::Processing))
        .and_where(col(Column::LeaseExpiresAt).gt(database.now()))
        .and_where(col(Column::EnqueuedAt).eq(col(Column::CreatedAt)))
        .and_where(Column::MessageId.is_null())
        .to_owned()
}

/// Returns the state of the delivery of messages to the workers.
async fn delivery(database: &Database, terms: &SweepTerms) -> Result<Delivery, CallError> {
    let in_work = in_work(database)
        .column((Entity, Column::CreatedAt))
        .order_by((Entity, Column::CreatedAt), Order::Asc)
        .limit(1)
        .to_owned();
    let input = OutboxDestination::Input.as_str();
    let unsent = Query::select()
        .column(Message::CreatedAt)
        .from(Outbox)
        .and_where(Expr::col(Message::Destination).eq(Expr::cust(format!("'{input}'"))))
        .and_where(Expr::col(Message::SentAt).is_null())
        .and_where(Expr::col(Message::RefusedAt).is_null())
        .order_by(Message::Seq, Order::Asc)
        .limit(1)
        .to_owned();
    let facts = Query::select()
        .expr_as(database.now(), "now")
        .expr_as(subquery(in_work), "in_work")
        .expr_as(subquery(unsent), "unsent")
        .to_owned();
    let row = database.reader().await?.query_one(&facts).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?;
    let time = |name| Ok::<_, DbErr>(row.try_get::<Option<i64>>("", name)?.map(UnixMillis));
    Ok(Delivery {
        now: UnixMillis(row.try_get("", "now")?),
        in_work: time("in_work")?,
        drained: terms.drained,
        unsent: time("unsent")?,
    })
}

fn subquery(select: SelectStatement) -> Expr {
    Expr::SubQuery(None, Box::new(select.into()))
}

struct Sweep<'a> {
    checked: &'a Checked,
    database: &'a Database,
    terms: &'a SweepTerms,
    swept: Swept,
    /// Jobs that this version cannot read: a newer version may have written them.
    unreadable: Vec<Uuid>,
}

impl Sweep<'_> {
    /// Ends jobs that a claim would end, and enqueues the others if they are abandoned.
    async fn each(&mut self, rows: &Rows, abandoned: Abandoned) -> Result<(), CallError> {
        let (mut after, mut left) = (None, rows.most);
        while left > 0 {
            let limit = Ord::min(left, BATCH);
            let (last, full) = self.batch(rows, abandoned, after, limit).await?;
            if !full {
                return Ok(());
            }
            after = last;
            left -= limit;
        }
        Ok(())
    }

    /// Processes one batch in one transaction; returns the position of the last row, and whether there may be
    /// more rows.
    async fn batch(
        &mut self,
        rows: &Rows,
        abandoned: Abandoned,
        after: Option<(i64, Uuid)>,
        limit: u64,
    ) -> Result<(Option<(i64, Uuid)>, bool), CallError> {
        let position = Expr::tuple([Expr::col((Entity, rows.key)), Expr::col((Entity, Column::Id))]);
        let mut condition = rows.condition.clone().add(not_held(self.database));
        if let Some((key, id)) = after {
            condition = condition.add(position.gt(Expr::tuple([key.into(), id.into()])));
        }
        let some = row::lock_some(self.database, condition, limit)
            .order_by_asc(rows.key)
            .order_by_asc(Column::Id);
        let (transaction, _) = self.checked.begin().await?;
        let found = transaction.query_all(&some.into_query()).await?;
        let left = u64::from(self.terms.most).saturating_sub(self.swept.enqueued);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let mut enqueue = Vec::new();
        let mut freed = BTreeSet::new();
        for row in &found {
            let Some(facts) = self.facts(row)? else {
                continue;
            };
            match decide(&facts, self.terms.crashes) {
                Decision::End { outcome, crash_count } => {
                    End::of(&facts.job, &outcome, crash_count)
                        .write(self.database, &transaction)
                        .await?;
                    self.swept.count(&outcome);
                    if parking::frees_place(&facts.job) {
                        freed.insert(facts.job.tenant);
                    }
                }
                _ if abandoned == Abandoned::Yes && enqueue.len() < left => {
                    let message = OutboxMessage::to_workers(&facts.job, facts.now);
                    enqueue.push(message);
                }
                _ => {}
            }
        }
        if !enqueue.is_empty() {
            let enqueued = Query::update()
                .table(Entity)
                .value(Column::EnqueuedAt, self.database.now())
                .and_where(Column::Id.is_in(enqueue.iter().map(|message| message.job.0)))
                .to_owned();
            transaction.execute(&enqueued).await?;
            outbox::add(self.database, &transaction, &enqueue).await?;
        }
        let unparked = parking::after_ends(self.checked, &transaction, freed).await?;
        transaction.commit().await?;
        self.swept.unparked += unparked;
        self.swept.enqueued += enqueue.len() as u64;
        let last = found.last().map(|row| {
            let key = row.try_get("", rows.key.unquoted())?;
            Ok::<_, DbErr>((key, row.try_get("", "id")?))
        });
        let full = found.len() as u64 == limit && (abandoned == Abandoned::No || enqueue.len() < left);
        Ok((last.transpose()?, full))
    }

    /// Returns the job of a row with the facts for a decision, or `None` if the row is unreadable.
    fn facts(&mut self, row: &QueryResult) -> Result<Option<JobFacts>, DbErr> {
        match row::facts(row) {
            Ok(facts) => Ok(Some(facts)),
            Err(error) => {
                let id: Uuid = row.try_get("", "id")?;
                tracing::debug!(job.id = %id, %error, "failed to read job");
                if !self.unreadable.contains(&id) {
                    self.unreadable.push(id);
                }
                Ok(None)
            }
        }
    }
}

/// Runs batches until a batch is not full, or until [`SweepTerms::most`] is reached.
async fn batches<F: Future<Output = Result<u64, CallError>>>(
    terms: &SweepTerms,
    some: impl Fn(u64) -> F,
) -> Result<u64, CallError> {
    let mut done = 0;
    loop {
        let limit = std::cmp::min(BATCH, u64::from(terms.most) - done);
        if limit == 0 {
            return Ok(done);
        }
        let batch = some(limit).await?;
        done += batch;
        if batch < limit {
            return Ok(done);
        }
    }
}

/// Deletes a batch of jobs past their retention, with their messages.
async fn delete_jobs(checked: &Checked, terms: &SweepTerms, limit: u64) -> Result<u64, CallError> {
    let database = &checked.database;
    let condition = Cond::all()
        .add(Column::FinishedAt.is_not_null())
        .add(Expr::col(Column::FinishedAt).lt(database.earlier(terms.retention)))
        .add(Column::KeptAt.is_null())
        .add(outbox::has_no_message(None));
    let (transaction, _) = checked.begin().await?;
    let some = row::lock_some(database, condition, limit).order_by_asc(Column::FinishedAt);
    let rows = transaction.query_all(&some.into_query()).await?;
    let jobs = rows.iter().map(|row| row.try_get("", "id"));
    let jobs = jobs.collect::<Result<Vec<Uuid>, _>>()?;
    if !jobs.is_empty() {
        let messages = delete(Outbox, Expr::col(Message::JobId).is_in(jobs.iter().copied()));
        transaction.execute(&messages).await?;
        // The foreign key is missing after a restore of only a part of the tables.
        let history = delete(Attempts, History::JobId.is_in(jobs.iter().copied()));
        transaction.execute(&history).await?;
        let rows = delete(Entity, Column::Id.is_in(jobs.iter().copied()));
        transaction.execute(&rows).await?;
        transaction.commit().await?;
    }
    Ok(jobs.len() as u64)
}

/// Deletes a batch of sent messages past their retention, even if their jobs still exist.
async fn delete_sent(database: &Database, terms: &SweepTerms, limit: u64) -> Result<u64, CallError> {
    let old = Query::select()
        .column(Message::Seq)
        .from(Outbox)
        .and_where(Expr::col(Message::SentAt).is_not_null())
        .and_where(Expr::col(Message::SentAt).lt(database.earlier(terms.retention)))
        .limit(limit)
        .to_owned();
    let mut delete = delete(Outbox, Expr::col(Message::Seq).in_subquery(old));
    let deleted = database.run(delete.returning_col(Message::Seq)).await?;
    Ok(deleted.len() as u64)
}

fn delete(table: impl sea_orm::sea_query::IntoTableRef, rows: Expr) -> DeleteStatement {
    Query::delete().from_table(table).and_where(rows).to_owned()
}
