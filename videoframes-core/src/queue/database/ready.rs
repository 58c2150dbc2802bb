//! Messages whose delay or visibility timeout has passed get a rank.
//!
//! A message has a rank while it can be received (`ready`). A received or delayed message has none: it gets a new rank
//! when its time has come. A receive therefore reads the first rows of an index, however many messages are delayed.

use std::time::Duration;

use sea_orm::sea_query::{
    CaseStatement, Cond, Expr, ExprTrait, LockBehavior, LockType, Order, Query, SelectStatement,
};
use sea_orm::{ColumnTrait, ConnectionTrait};

use super::DatabaseQueue;
use super::call_error::CallError;
use super::entity::flow::{Column as Flow, Entity as Flows};
use super::entity::row::{Column, Entity};
use super::flows::{is_due, ranks, virtual_time};
use crate::tenant::redelivered;

/// Maximum number of messages that get a rank in one transaction.
const BATCH: u64 = 100;
/// Interval at which a busy queue looks for messages whose delay has passed.
const INTERVAL: Duration = Duration::from_millis(100);
/// Interval at which outdated flows are deleted.
const TIDY: Duration = Duration::from_secs(60);
/// Maximum number of flows that are deleted at once.
const TIDIED: u64 = 1000;

impl DatabaseQueue {
    /// Selects messages whose delay or visibility timeout has passed, and that have no rank.
    fn without_rank(&self) -> SelectStatement {
        Query::select()
            .columns([Column::Seq, Column::Flow, Column::Step, Column::ReceiveCount])
            .from(Entity)
            .cond_where(self.own_messages())
            // Without a parameter: the index has only such messages.
            .and_where(Expr::col(Column::Ready).not())
            .and_where(Expr::col(Column::VisibleAt).lte(self.database.now()))
            .order_by(Column::VisibleAt, Order::Asc)
            .order_by(Column::Seq, Order::Asc)
            .limit(BATCH)
            .to_owned()
    }

    /// Maintains the queue while receives find messages, at intervals.
    pub(super) async fn maintain(&self) -> Result<(), CallError> {
        if is_due(&self.maintained.looked, INTERVAL, self.database.instant()) {
            self.rank_due().await?;
        }
        Ok(())
    }

    /// Gives a rank to messages whose time has come; returns whether there were any.
    pub(super) async fn rank_due(&self) -> Result<bool, CallError> {
        if is_due(&self.maintained.tidied, TIDY, self.database.instant()) {
            self.forget_flows().await?;
        }
        let first = self.without_rank().limit(1).to_owned();
        if self.database.reader().await?.query_one(&first).await?.is_none() {
            return Ok(false);
        }
        let transaction = self.database.begin().await?;
        let mut due = self.without_rank();
        due.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        let rows = transaction.query_all(&due).await?;
        let mut numbers = Vec::with_capacity(rows.len());
        let mut messages = Vec::with_capacity(rows.len());
        for row in &rows {
            let flow: String = row.try_get("", "flow")?;
            let received = row.try_get::<i32>("", "receive_count")? > 0;
            let flow = if received { redelivered(&flow) } else { flow };
            numbers.push(row.try_get::<i64>("", "seq")?);
            messages.push((flow, row.try_get::<i64>("", "step")?));
        }
        if numbers.is_empty() {
            return Ok(false);
        }
        let ranks = ranks(&transaction, &self.name, &messages).await?;
        let mut rank = CaseStatement::new();
        for (seq, value) in numbers.iter().zip(ranks) {
            rank = rank.case(Cond::all().add(Column::Seq.eq(*seq)), value);
        }
        let update = Query::update()
            .table(Entity)
            .value(Column::Ready, true)
            .value(Column::Rank, rank.finally(Expr::col(Column::Rank)))
            .and_where(Column::Seq.is_in(numbers))
            .to_owned();
        transaction.execute(&update).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Deletes flows that are served like new ones: their last rank is before the virtual time.
    async fn forget_flows(&self) -> Result<(), CallError> {
        let outdated = || {
            Query::select()
                .column(Flow::Flow)
                .from(Flows)
                .and_where(Expr::col(Flow::Queue).eq(self.name.as_str()))
                .and_where(Expr::col(Flow::Rank).lt(virtual_time(&self.name)))
                .limit(TIDIED)
                .to_owned()
        };
        if self.database.has_none(&outdated()).await? {
            return Ok(());
        }
        let mut some = outdated();
        some.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        let delete = Query::delete()
            .from_table(Flows)
            .and_where(Expr::col(Flow::Queue).eq(self.name.as_str()))
            .and_where(Expr::col(Flow::Flow).in_subquery(some))
            .to_owned();
        self.database.run(&delete).await?;
        Ok(())
    }
}
