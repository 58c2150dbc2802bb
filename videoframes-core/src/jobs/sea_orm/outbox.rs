//! The outbox: messages from their creation until the end of their retention.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::sea_query::{
    CommonTableExpression, Cond, Expr, ExprTrait, Func, InsertStatement, LockBehavior, LockType, OnConflict,
    Order, Query, SelectStatement, UnionType,
};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Iterable, QueryResult};
use uuid::Uuid;

use super::call_error::CallError;
use super::entity::outbox::{Column, Entity, Model};
use super::entity::video_job::{Column as Job, Entity as Jobs};
use super::row;
use crate::database::{Database, Session, text};
use crate::jobs::{Backlog, OutboxDestination, OutboxMessage, RefusedMessage};

/// Number of messages per statement, whose parameters are limited.
const CHUNK: usize = 100;

pub(super) async fn add(
    database: &Database,
    transaction: &Session,
    messages: &[OutboxMessage],
) -> Result<(), DbErr> {
    for messages in messages.chunks(CHUNK) {
        transaction.execute(&insert(database, messages)).await?;
    }
    Ok(())
}

/// Builds the rows of a few messages.
pub(super) fn insert(database: &Database, messages: &[OutboxMessage]) -> InsertStatement {
    let mut insert = Query::insert()
        .into_table(Entity)
        .columns([
            Column::Id,
            Column::Destination,
            Column::JobId,
            Column::Body,
            Column::CreatedAt,
            Column::TraceContext,
            Column::Flow,
            Column::Rank,
        ])
        // An event with this identifier has been sent or will be.
        .on_conflict(OnConflict::column(Column::Id).do_nothing().to_owned())
        .to_owned();
    let mut steps = HashMap::new();
    for message in messages {
        let share = message.share();
        let flow = share.flow();
        let rank = match message.destination {
            OutboxDestination::Notifier => Expr::val(0_i64),
            OutboxDestination::Input => {
                let steps: &mut i64 = steps.entry(flow.clone()).or_default();
                *steps += share.step();
                rank(&flow, *steps)
            }
        };
        insert.values_panic([
            message.id.into(),
            message.destination.as_str().into(),
            message.job.0.into(),
            message.body.as_str().into(),
            database.now(),
            message.trace.as_ref().map(ToString::to_string).into(),
            flow.into(),
            rank,
        ]);
    }
    insert
}

/// Selects the messages to a destination that are neither sent nor rejected.
fn unsent(destination: OutboxDestination) -> SelectStatement {
    Query::select()
        .from(Entity)
        // A constant, since the planner estimates the number of messages by its value.
        .and_where(Expr::col(Column::Destination).eq(Expr::cust(format!("'{}'", destination.as_str()))))
        .and_where(Expr::col(Column::SentAt).is_null())
        .and_where(Expr::col(Column::RefusedAt).is_null())
        .to_owned()
}

/// Returns the condition that no message of the outer query's job is left to be sent, to one or any destination.
pub(super) fn has_no_message(destination: Option<OutboxDestination>) -> Expr {
    let mut message = Query::select();
    message
        .column((Entity, Column::Seq))
        .from(Entity)
        .and_where(Expr::col((Entity, Column::JobId)).equals((Jobs, Job::Id)))
        .and_where(row::is_unset((Entity, Column::SentAt)))
        .and_where(row::is_unset((Entity, Column::RefusedAt)))
        .limit(1);
    if let Some(destination) = destination {
        message.and_where(Expr::col((Entity, Column::Destination)).eq(destination.as_str()));
    }
    // Not EXISTS, since Postgres makes it a join. With old statistics, the join compares each job with all messages.
    Expr::SubQuery(None, Box::new(message.into())).is_null()
}

/// Returns the rank of a message to the workers: see [`next_rank`](crate::tenant::next_rank). `steps` is the sum of the
/// steps of this and all earlier messages of the flow in the statement.
///
/// Without a lock, which would serialize all submissions of a tenant: concurrent submissions may get the same rank. They
/// gain the number of their connections at most, until the exact ranks of the queue apply.
fn rank(flow: &str, steps: i64) -> Expr {
    let ranked = |order| {
        let mut select = unsent(OutboxDestination::Input);
        select.column(Column::Rank).order_by(Column::Rank, order).limit(1);
        select
    };
    let mut last = ranked(Order::Desc);
    last.and_where(Expr::col(Column::Flow).eq(flow));
    let first = ranked(Order::Asc);
    let known = [last, first].map(|select| {
        let rank = Expr::SubQuery(None, Box::new(select.into()));
        Func::coalesce([rank, Expr::val(0_i64)]).into()
    });
    Expr::expr(Func::greatest(known)).add(steps)
}

pub(super) async fn take(
    database: &Database,
    limit: u32,
    hold: Duration,
) -> Result<Vec<OutboxMessage>, CallError> {
    let free = |destination| {
        let mut free = unsent(destination);
        free.column(Column::Seq)
            .cond_where(
                Cond::any()
                    .add(Expr::col(Column::TakenAt).is_null())
                    .add(Expr::col(Column::TakenAt).lte(database.earlier(hold))),
            )
            .limit(limit.into());
        if destination == OutboxDestination::Input {
            free.order_by(Column::Rank, Order::Asc);
        }
        free.order_by(Column::Seq, Order::Asc);
        free
    };
    let [notifier, input] = [OutboxDestination::Notifier, OutboxDestination::Input];
    if database.has_none(&free(notifier)).await? && database.has_none(&free(input)).await? {
        return Ok(Vec::new());
    }
    let names = [(notifier, "notifications"), (input, "to_workers")];
    let mut with = Query::with();
    for (destination, name) in names {
        let mut free = free(destination);
        free.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        with.cte(once(name, free));
    }
    let [mut taken, other] = names.map(|(_, name)| Query::select().column(Column::Seq).from(name).to_owned());
    taken.union(UnionType::All, other);
    let take = Query::update()
        .table(Entity)
        .value(Column::TakenAt, database.now())
        .and_where(Expr::col(Column::Seq).in_subquery(taken))
        .returning_all()
        .to_owned()
        .with(with.to_owned());
    let rows = database.run(&take).await?;
    let mut rows: Vec<(Position, OutboxMessage)> = rows.iter().filter_map(message).collect();
    rows.sort_by_key(|(position, _)| *position);
    Ok(rows.into_iter().map(|(_, message)| message).collect())
}

/// Rank and number of a message.
type Position = (i64, i64);

/// Returns a message and its position in the outbox.
///
/// A message that this version cannot read, since a newer version may have written it, is skipped. The
/// message stays taken for a while like any other, so that it does not block those behind it.
fn message(row: &QueryResult) -> Option<(Position, OutboxMessage)> {
    let read = Model::from_query_result(row, "").and_then(|row| Ok(((row.rank, row.seq), row.try_into()?)));
    match read {
        Ok(message) => Some(message),
        Err(error) => {
            let seq: Option<i64> = row.try_get("", "seq").ok();
            tracing::warn!(seq, %error, "skipped unreadable message in the outbox");
            None
        }
    }
}

/// Wraps a query so that it runs once: Postgres may run a subquery again for every row, and then take more
/// rows than the limit.
fn once(name: &'static str, select: SelectStatement) -> CommonTableExpression {
    CommonTableExpression::new()
        .table_name(name)
        .query(select)
        .to_owned()
}

pub(super) async fn sent(database: &Database, messages: &[Uuid]) -> Result<(), CallError> {
    for messages in messages.chunks(CHUNK) {
        let mark = Query::update()
            .table(Entity)
            .value(Column::SentAt, database.now())
            .and_where(Expr::col(Column::Id).is_in(messages.iter().copied()))
            .and_where(Expr::col(Column::SentAt).is_null())
            .to_owned();
        database.run(&mark).await?;
    }
    Ok(())
}

pub(super) async fn refused(database: &Database, messages: &[(Uuid, String)]) -> Result<(), CallError> {
    for (id, reason) in messages {
        let refuse = Query::update()
            .table(Entity)
            .value(Column::RefusedAt, database.now())
            .value(Column::RefusedBecause, text(reason))
            .and_where(Expr::col(Column::Id).eq(*id))
            .and_where(row::is_unset(Column::SentAt))
            .and_where(row::is_unset(Column::RefusedAt))
            .to_owned();
        database.run(&refuse).await?;
    }
    Ok(())
}

pub(super) async fn list_refused(database: &Database, limit: u32) -> Result<Vec<RefusedMessage>, CallError> {
    let refused = Query::select()
        .columns(Column::iter())
        .from(Entity)
        .and_where(Expr::col(Column::RefusedAt).is_not_null())
        .order_by(Column::Seq, Order::Asc)
        .limit(limit.into())
        .to_owned();
    let rows = database.reader().await?.query_all(&refused).await?;
    let read = |row: &QueryResult| {
        let reason: Option<String> = row.try_get("", "refused_because").ok()?;
        let (_, message) = message(row)?;
        let reason = reason.unwrap_or_default();
        Some(RefusedMessage { message, reason })
    };
    Ok(rows.iter().filter_map(read).collect())
}

pub(super) async fn resend_refused(database: &Database) -> Result<u64, CallError> {
    let again = Query::update()
        .table(Entity)
        .value(Column::RefusedAt, Option::<i64>::None)
        .value(Column::RefusedBecause, Option::<String>::None)
        .value(Column::TakenAt, Option::<i64>::None)
        .and_where(Expr::col(Column::RefusedAt).is_not_null())
        .returning_col(Column::Seq)
        .to_owned();
    Ok(database.run(&again).await?.len() as u64)
}

pub(super) async fn backlog(database: &Database) -> Result<Backlog, CallError> {
    let waited = database.now().sub(Expr::col(Column::CreatedAt).min());
    let count = Query::select()
        .expr_as(Expr::col(Column::Seq).count(), "pending")
        .expr_as(waited, "oldest")
        .from(Entity)
        .and_where(Expr::col(Column::SentAt).is_null())
        .and_where(Expr::col(Column::RefusedAt).is_null())
        .to_owned();
    let refused = Query::select()
        .expr_as(Expr::col(Column::Seq).count(), "refused")
        .from(Entity)
        .and_where(Expr::col(Column::RefusedAt).is_not_null())
        .to_owned();
    let reader = database.reader().await?;
    let refused = reader.query_one(&refused).await?;
    let refused = refused.map_or(Ok(0), |row| row.try_get::<i64>("", "refused"))?;
    let row = reader.query_one(&count).await?;
    let Some(row) = row else {
        return Ok(Backlog::default());
    };
    let oldest: Option<i64> = row.try_get("", "oldest")?;
    Ok(Backlog {
        pending: row.try_get::<i64>("", "pending")?.unsigned_abs(),
        oldest: Duration::from_millis(u64::try_from(oldest.unwrap_or(0)).unwrap_or(0)),
        refused: refused.unsigned_abs(),
    })
}
