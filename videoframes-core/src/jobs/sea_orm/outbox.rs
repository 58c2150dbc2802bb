//! The outbox: messages from their creation until the end of their retention.

use std::time::Duration;

use sea_orm::sea_query::{
    CommonTableExpression, Cond, Expr, ExprTrait, InsertStatement, LockBehavior, LockType, OnConflict, Order,
    Query, SelectStatement, WithClause,
};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Iterable, QueryResult};
use uuid::Uuid;

use super::call_error::CallError;
use super::entity::outbox::{Column, Entity, Model};
use crate::database::{Database, Session, text};
use crate::jobs::{Backlog, OutboxMessage, RefusedMessage};

/// Number of messages per statement, whose parameters are limited.
const CHUNK: usize = 500;

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
        ])
        // An event with this identifier has been sent or will be.
        .on_conflict(OnConflict::column(Column::Id).do_nothing().to_owned())
        .to_owned();
    for message in messages {
        insert.values_panic([
            message.id.into(),
            message.destination.as_str().into(),
            message.job.0.into(),
            message.body.as_str().into(),
            database.now(),
            message.trace.as_ref().map(ToString::to_string).into(),
        ]);
    }
    insert
}

pub(super) async fn take(
    database: &Database,
    limit: u32,
    hold: Duration,
) -> Result<Vec<OutboxMessage>, CallError> {
    let free = || {
        Query::select()
            .column(Column::Seq)
            .from(Entity)
            .and_where(Expr::col(Column::SentAt).is_null())
            .and_where(Expr::col(Column::RefusedAt).is_null())
            .cond_where(
                Cond::any()
                    .add(Expr::col(Column::TakenAt).is_null())
                    .add(Expr::col(Column::TakenAt).lte(database.earlier(hold))),
            )
            .order_by(Column::Seq, Order::Asc)
            .limit(limit.into())
            .to_owned()
    };
    if database.has_none(&free()).await? {
        return Ok(Vec::new());
    }
    let free = free()
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    let take = Query::update()
        .table(Entity)
        .value(Column::TakenAt, database.now())
        .and_where(
            Expr::col(Column::Seq).in_subquery(Query::select().column(Column::Seq).from("free").to_owned()),
        )
        .returning_all()
        .to_owned()
        .with(once("free", free));
    let rows = database.run(&take).await?;
    let mut rows: Vec<(i64, OutboxMessage)> = rows.iter().filter_map(message).collect();
    rows.sort_by_key(|(seq, _)| *seq);
    Ok(rows.into_iter().map(|(_, message)| message).collect())
}

/// Returns a message and its position in the outbox.
///
/// A message that this version cannot read, since a newer version may have written it, is skipped. The
/// message stays taken for a while like any other, so that it does not block those behind it.
fn message(row: &QueryResult) -> Option<(i64, OutboxMessage)> {
    let read = Model::from_query_result(row, "").and_then(|row| Ok((row.seq, row.try_into()?)));
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
fn once(name: &'static str, select: SelectStatement) -> WithClause {
    let query = CommonTableExpression::new()
        .table_name(name)
        .query(select)
        .to_owned();
    Query::with().cte(query).to_owned()
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
            .and_where(Expr::col(Column::SentAt).is_null())
            .and_where(Expr::col(Column::RefusedAt).is_null())
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
