//! A queue in a database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{
    CommonTableExpression, Cond, Expr, ExprTrait, LockBehavior, LockType, OnConflict, Order, Query,
    SelectStatement, WithQuery,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, FromQueryResult};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::call_error::CallError;
use super::entity::Receipt;
use super::entity::row::{Column, Entity, Model};
use super::flows::{self, Maintained};
use crate::clock::UnixMillis;
use crate::database::{Database, Session, text, within};
use crate::queue::{
    DEAD_LETTER_REASON, Depth, MAX_VISIBILITY, MESSAGE_BYTES, Message, Outgoing, Queue, QueueError,
    ReceiptHandle,
};

/// Maximum number of messages per receive.
const MAX_RECEIVE: usize = 10;
/// Number of messages per statement, whose parameters are limited.
const CHUNK: usize = 500;
/// First and last interval at which a waiting receive checks for messages from other processes.
const POLL: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// A [`Queue`] in a [`Database`] with an up-to-date schema; the messages of one name form a queue.
///
/// Serves tenants and priorities fairly. Redelivers, counts and delays messages by the database's time. Detects stale receipts. Of messages with
/// the same deduplication id, the queue keeps one until it is deleted. A message from this process wakes its
/// own waiting receives at once; they poll for messages from other processes.
#[derive(Debug, Clone)]
pub struct DatabaseQueue {
    pub(super) database: Database,
    pub(super) name: String,
    dead_letter_queue: Option<DeadLetterQueue>,
    arrivals: Arc<Notify>,
    pub(super) maintained: Arc<Maintained>,
}

#[derive(Debug, Clone)]
struct DeadLetterQueue {
    queue: String,
    max_receives: u32,
}

impl DatabaseQueue {
    /// Returns the queue of that name in `database`, without a dead-letter queue.
    pub fn new(database: Database, name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            arrivals: database.arrivals(&name),
            database,
            name,
            dead_letter_queue: None,
            maintained: Arc::default(),
        }
    }

    /// Moves messages to the queue of that name after `max_receives` receipts (at least one) instead of
    /// redelivering them.
    ///
    /// The queue of that name must be a different queue.
    #[must_use]
    pub fn with_dead_letter_queue(self, queue: impl Into<String>, max_receives: u32) -> Self {
        let dead_letter_queue = Some(DeadLetterQueue {
            queue: queue.into(),
            max_receives: Ord::max(max_receives, 1),
        });
        Self {
            dead_letter_queue,
            ..self
        }
    }

    pub(super) async fn call<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, QueueError> {
        let done = within(self.database.patience(), work).await;
        done.map_err(|error| match error {
            CallError::Lost => QueueError::ReceiptLost,
            CallError::Database(source) => QueueError::unavailable(action, &self.name, source),
        })
    }

    /// Selects the messages of this queue.
    pub(super) fn own_messages(&self) -> Cond {
        Cond::all().add(Column::Queue.eq(self.name.as_str()))
    }

    /// Selects the message of a receipt, if this is the latest receipt.
    fn held(&self, receipt: Receipt) -> Cond {
        self.own_messages()
            .add(Column::Seq.eq(receipt.seq))
            .add(Column::ReceiveCount.eq(receipt.count))
    }

    /// Receives messages that are due.
    async fn take(&self, max_messages: usize, visibility: Duration) -> Result<Vec<Model>, CallError> {
        if self.database.has_none(&self.due(1)).await? {
            return Ok(Vec::new());
        }
        let rows = self
            .database
            .run(&self.take_statement(max_messages, visibility))
            .await?;
        let rows = rows.iter().map(|row| Model::from_query_result(row, ""));
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        rows.sort_by_key(|row| (row.rank, row.seq));
        Ok(rows)
    }

    /// Selects messages that can be received, in the order of their ranks.
    ///
    /// A worker of an older version hides messages only by their time.
    fn due(&self, max_messages: usize) -> SelectStatement {
        Query::select()
            .column(Column::Seq)
            .from(Entity)
            .cond_where(self.own_messages())
            .and_where(Expr::col(Column::Ready).eq(true))
            // The sum keeps planners from an index on the time, which would need a sort of all messages.
            .and_where(Expr::col(Column::VisibleAt).add(0_i64).lte(self.database.now()))
            .order_by(Column::Rank, Order::Asc)
            .order_by(Column::Seq, Order::Asc)
            .limit(max_messages.clamp(1, MAX_RECEIVE) as u64)
            .to_owned()
    }

    fn take_statement(&self, max_messages: usize, visibility: Duration) -> WithQuery {
        let due = self
            .due(max_messages)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .to_owned();
        // Postgres might run a subquery again for every row, and take more rows than the limit.
        let due = CommonTableExpression::new()
            .table_name("due")
            .query(due)
            .to_owned();
        let hidden = visibility.min(MAX_VISIBILITY);
        Query::update()
            .table(Entity)
            .value(Column::VisibleAt, self.database.later(hidden))
            .value(Column::ReceiveCount, Expr::col(Column::ReceiveCount).add(1))
            .value(Column::Ready, false)
            .and_where(
                Expr::col(Column::Seq)
                    .in_subquery(Query::select().column(Column::Seq).from("due").to_owned()),
            )
            .returning_all()
            .to_owned()
            .with(Query::with().cte(due).to_owned())
    }

    /// Moves messages that have been delivered too often to the dead-letter queue. Returns the others, and
    /// whether any were moved.
    ///
    /// This receipt was one more than the limit, which makes the messages invisible in the meantime.
    async fn dead_letter_exhausted(&self, rows: Vec<Model>) -> (Vec<Message>, bool) {
        let exhausted = |row: &Model| {
            let dead = self.dead_letter_queue.as_ref();
            dead.is_some_and(|dead| row.receive_count.unsigned_abs() > dead.max_receives)
        };
        let (mut messages, mut any) = (Vec::new(), false);
        for row in rows {
            let seq = row.seq;
            if exhausted(&row) {
                any = true;
                let reason = format!("received {} times", row.receive_count - 1);
                // A message that cannot be moved now is redelivered, and does not delay the others.
                if let Err(CallError::Database(error)) =
                    self.move_to_dead_letter_queue(row.receipt(), &reason).await
                {
                    tracing::warn!(queue = self.name, %error, "failed to dead-letter a message");
                }
                continue;
            }
            match row.message() {
                Ok(message) => messages.push(message),
                // An unreadable message is hidden like any other, and is dead-lettered after its last
                // receipt.
                Err(error) => {
                    tracing::warn!(queue = self.name, seq, %error, "skipped unreadable message");
                }
            }
        }
        (messages, any)
    }

    async fn move_to_dead_letter_queue(&self, receipt: Receipt, reason: &str) -> Result<(), CallError> {
        let Some(dead) = &self.dead_letter_queue else {
            return Err(DbErr::Custom("there is no dead-letter queue".to_owned()).into());
        };
        let remove = Query::delete()
            .from_table(Entity)
            .cond_where(self.held(receipt))
            .returning_all()
            .to_owned();
        let transaction = self.database.begin().await?;
        let row = transaction.query_one(&remove).await?.ok_or(CallError::Lost)?;
        let row = Model::from_query_result(&row, "")?;
        // Unreadable attributes do not prevent the move.
        let mut attributes = row.attributes().unwrap_or_default();
        attributes.insert(DEAD_LETTER_REASON.to_owned(), reason.to_owned());
        let dead_letter = Outgoing {
            body: row.body,
            attributes,
            ..Outgoing::default()
        };
        insert(&self.database, &transaction, &dead.queue, &[&dead_letter]).await?;
        transaction.commit().await?;
        self.database.arrivals(&dead.queue).notify_waiters();
        Ok(())
    }

    async fn receive_now(
        &self,
        max_messages: usize,
        visibility: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        self.call("receive from", self.maintain()).await?;
        loop {
            let take = |limit| self.call("receive from", self.take(limit, visibility));
            let mut taken = take(max_messages).await?;
            if taken.len() < max_messages && self.call("receive from", self.rank_due()).await? {
                taken.extend(take(max_messages - taken.len()).await?);
            }
            let sorted = async { Ok(self.dead_letter_exhausted(taken).await) };
            let (messages, moved) = self.call("receive from", sorted).await?;
            if !moved || !messages.is_empty() {
                return Ok(messages);
            }
        }
    }
}

async fn insert(
    database: &Database,
    transaction: &Session,
    queue: &str,
    messages: &[&Outgoing],
) -> Result<(), DbErr> {
    let flow = |message: &&Outgoing| (message.share.flow(), message.share.step());
    let ready = messages.iter().filter(|message| message.delay.is_zero());
    let ready: Vec<_> = ready.map(flow).collect();
    let mut ranks = flows::ranks(transaction, queue, &ready).await?.into_iter();
    for messages in messages.chunks(CHUNK) {
        let mut insert = Query::insert()
            .into_table(Entity)
            .columns([
                Column::Queue,
                Column::Body,
                Column::Attributes,
                Column::DeduplicationId,
                Column::SentAt,
                Column::VisibleAt,
                Column::ReceiveCount,
                Column::Flow,
                Column::Step,
                Column::Rank,
                Column::Ready,
            ])
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .to_owned();
        for message in messages {
            let rank = message.delay.is_zero().then(|| ranks.next()).flatten();
            insert.values_panic([
                queue.into(),
                text(&message.body).into(),
                json(&message.attributes).into(),
                message.deduplication_id.as_deref().map(text).into(),
                database.now(),
                database.later(message.delay.min(MAX_VISIBILITY)),
                0.into(),
                message.share.flow().into(),
                message.share.step().into(),
                rank.unwrap_or(0).into(),
                rank.is_some().into(),
            ]);
        }
        transaction.execute(&insert).await?;
    }
    Ok(())
}

fn json(attributes: &BTreeMap<String, String>) -> String {
    serde_json::json!(attributes).to_string()
}

#[async_trait]
impl Queue for DatabaseQueue {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let fits = |message: &&Outgoing| message.bytes() <= MESSAGE_BYTES;
        let fitting: Vec<&Outgoing> = messages.iter().filter(fits).collect();
        if !fitting.is_empty() {
            self.call("send to", async {
                let transaction = self.database.begin().await?;
                insert(&self.database, &transaction, &self.name, &fitting).await?;
                Ok(transaction.commit().await?)
            })
            .await?;
            self.arrivals.notify_waiters();
        }
        let answer = |message: &Outgoing| match message.bytes() {
            bytes if bytes > MESSAGE_BYTES => Err(QueueError::TooLarge {
                bytes,
                limit: MESSAGE_BYTES,
            }),
            _ => Ok(()),
        };
        Ok(messages.iter().map(answer).collect())
    }

    async fn receive(
        &self,
        max_messages: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        let end = Instant::now() + wait;
        let mut poll = POLL[0];
        loop {
            // Subscribes before the check, so that no message in between is missed.
            let arrival = self.arrivals.notified();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            let messages = self.receive_now(max_messages, visibility).await?;
            if !messages.is_empty() || Instant::now() >= end {
                return Ok(messages);
            }
            // Spreads the polls of several receivers.
            let pause = poll.mul_f64(0.75 + 0.5 * fastrand::f64());
            let _ = timeout_at(end.min(Instant::now() + pause), arrival).await;
            poll = POLL[1].min(poll.mul_f64(1.5));
        }
    }

    async fn set_visibility(&self, receipt: &ReceiptHandle, timeout: Duration) -> Result<(), QueueError> {
        let receipt = Receipt::read(receipt).ok_or(QueueError::ReceiptLost)?;
        let update = Query::update()
            .table(Entity)
            .value(
                Column::VisibleAt,
                self.database.later(timeout.min(MAX_VISIBILITY)),
            )
            // With its last rank, so that a message that was not processed keeps its position.
            .value(Column::Ready, timeout.is_zero())
            .cond_where(self.held(receipt))
            .returning_col(Column::Seq)
            .to_owned();
        self.call("change the visibility of a message in", async {
            match self.database.run(&update).await?.is_empty() {
                true => Err(CallError::Lost),
                false => Ok(()),
            }
        })
        .await?;
        if timeout.is_zero() {
            self.arrivals.notify_waiters();
        }
        Ok(())
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let known: Vec<Receipt> = receipts.iter().filter_map(Receipt::read).collect();
        for receipts in known.chunks(CHUNK) {
            let held = receipts.iter().fold(Cond::any(), |any, receipt| {
                let latest = Column::ReceiveCount.eq(receipt.count);
                any.add(Column::Seq.eq(receipt.seq).and(latest))
            });
            let delete = Query::delete()
                .from_table(Entity)
                .cond_where(self.own_messages().add(held))
                .returning_col(Column::Seq)
                .to_owned();
            self.call("delete from", async { Ok(self.database.run(&delete).await?) })
                .await?;
        }
        Ok(receipts.iter().map(|_| Ok(())).collect())
    }

    async fn dead_letter(&self, message: &Message, reason: &str) -> Result<(), QueueError> {
        let receipt = Receipt::read(&message.receipt).ok_or(QueueError::ReceiptLost)?;
        let work = self.move_to_dead_letter_queue(receipt, reason);
        self.call("move a message to the dead-letter queue of", work)
            .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let hidden = || Expr::col(Column::VisibleAt).gt(self.database.now());
        let received = || Expr::col(Column::ReceiveCount).gt(0);
        let count = |which: Expr| {
            let one: Expr = Expr::case(which, 1_i64).finally(0_i64).into();
            Expr::expr(one.sum()).cast_as("bigint")
        };
        // Null for other messages, which the minimum ignores.
        let sent_at: Expr = Expr::case(hidden().not(), Expr::col(Column::SentAt)).into();
        let depth = Query::select()
            .expr_as(count(hidden().not()), "visible")
            .expr_as(count(hidden().and(received())), "in_flight")
            .expr_as(count(hidden().and(received().not())), "delayed")
            .expr_as(Expr::expr(sent_at.min()).cast_as("bigint"), "sent_at")
            .expr_as(self.database.now(), "now")
            .from(Entity)
            .cond_where(self.own_messages())
            .to_owned();
        self.call("measure", async {
            let row = self.database.reader().await?.query_one(&depth).await?;
            let row = row.ok_or_else(|| DbErr::RecordNotFound("the count".to_owned()))?;
            // The sum of no rows is null.
            let number = |name| {
                row.try_get::<Option<i64>>("", name)
                    .map(Option::unwrap_or_default)
            };
            let sent_at = row.try_get::<Option<i64>>("", "sent_at")?.map(UnixMillis);
            let now = UnixMillis(row.try_get("", "now")?);
            Ok(Depth {
                oldest: sent_at.map(|sent_at| now.since(sent_at)),
                visible: number("visible")?.unsigned_abs(),
                in_flight: number("in_flight")?.unsigned_abs(),
                delayed: number("delayed")?.unsigned_abs(),
            })
        })
        .await
    }
}
