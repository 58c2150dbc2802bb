//! Ranks of messages: see [`Share`](crate::tenant::Share).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, OnConflict, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};
use tokio::time::Instant;

use super::entity::flow::{Column as Flow, Entity as Flows};
use super::entity::row::{Column, Entity};
use crate::database::Session;
use crate::tenant::ranks as ranks_of;

/// Number of flows per statement, whose parameters are limited.
const CHUNK: usize = 500;
/// Times of the last maintenance of a queue by this process.
#[derive(Debug, Default)]
pub(super) struct Maintained {
    pub(super) looked: Mutex<Option<Instant>>,
    pub(super) tidied: Mutex<Option<Instant>>,
}

/// Returns whether `interval` has passed at `now`, and sets the time in that case.
pub(super) fn is_due(last: &Mutex<Option<Instant>>, interval: Duration, now: Instant) -> bool {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= interval);
    if is_due {
        *last = Some(now);
    }
    is_due
}

/// Returns the virtual time of a queue: see [`virtual_time`](crate::tenant::virtual_time).
pub(super) fn virtual_time(queue: &str) -> Expr {
    let message = |ready: bool, value: Expr, order| {
        Query::select()
            .expr(value)
            .from(Entity)
            .and_where(Expr::col(Column::Queue).eq(queue))
            .and_where(Expr::col(Column::Ready).eq(ready))
            .order_by(Column::Rank, order)
            .limit(1)
            .to_owned()
    };
    let received = message(false, Expr::col(Column::Rank), Order::Desc);
    let first = Expr::col(Column::Rank).sub(Expr::col(Column::Step));
    let first = message(true, first, Order::Asc);
    let last = Query::select()
        .column(Flow::Rank)
        .from(Flows)
        .and_where(Expr::col(Flow::Queue).eq(queue))
        .order_by(Flow::Rank, Order::Desc)
        .limit(1)
        .to_owned();
    let subquery = |select: SelectStatement| Expr::SubQuery(None, Box::new(select.into()));
    let zero = || Expr::val(0_i64);
    let waiting = Func::coalesce([subquery(first), subquery(last), zero()]);
    let received = Func::coalesce([subquery(received), zero()]);
    Func::greatest([waiting.into(), received.into()]).into()
}

/// Returns the last rank of an existing flow: [`next_rank`](crate::tenant::next_rank), where the inserted value is that
/// of a new flow.
fn rank_after_conflict(queue: &str) -> Expr {
    let ahead = Expr::col((Flows, Flow::Rank)).sub(virtual_time(queue));
    let ahead = Expr::expr(Func::greatest([ahead, Expr::val(0_i64)]));
    Expr::col((Alias::new("excluded"), Flow::Rank)).add(ahead)
}

/// Returns the ranks of messages with these flows and steps, in order.
///
/// Locks the rows of the flows until the end of the transaction, in the order of their names, so that parallel senders
/// of a flow get different ranks. A transaction calls this once, after all other locks.
pub(super) async fn ranks(
    transaction: &Session,
    queue: &str,
    messages: &[(String, i64)],
) -> Result<Vec<i64>, DbErr> {
    let mut steps: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (flow, step) in messages {
        steps.entry(flow).or_default().push(*step);
    }
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let mut last = BTreeMap::new();
    for flows in steps.iter().collect::<Vec<_>>().chunks(CHUNK) {
        let mut upsert = Query::insert()
            .into_table(Flows)
            .columns([Flow::Queue, Flow::Flow, Flow::Rank])
            .on_conflict(
                OnConflict::columns([Flow::Queue, Flow::Flow])
                    .value(Flow::Rank, rank_after_conflict(queue))
                    .to_owned(),
            )
            .returning(Query::returning().columns([Flow::Flow, Flow::Rank]))
            .to_owned();
        for (flow, steps) in flows {
            let sum: i64 = steps.iter().sum();
            upsert.values_panic([queue.into(), (**flow).into(), virtual_time(queue).add(sum)]);
        }
        for row in transaction.query_all(&upsert).await? {
            let flow: String = row.try_get("", "flow")?;
            let steps = steps.get(flow.as_str()).map(Vec::as_slice).unwrap_or_default();
            let ranks = ranks_of(row.try_get("", "rank")?, steps);
            last.insert(flow, ranks.into_iter());
        }
    }
    let next = |(flow, _): &(String, i64)| last.get_mut(flow.as_str()).and_then(Iterator::next);
    let ranks: Vec<i64> = messages.iter().filter_map(next).collect();
    Ok(ranks)
}
