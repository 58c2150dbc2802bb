//! Messages in a database, for those who have one and need no broker.

mod entity;
mod view;

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

use self::entity::Receipt;
use self::entity::row::{Column, Entity, Model};
use super::{
    DEAD_LETTER_REASON, Depth, LONGEST_VISIBILITY, MESSAGE_BYTES, Message, Outgoing, Queue, QueueError,
    ReceiptHandle,
};
use crate::database::{Database, Session, text, within};

pub use view::{Arrival, Waiting};

/// Most messages that one receive gives.
const MOST: usize = 10;
/// Messages written by one statement: its parameters are limited.
const CHUNK: usize = 500;
/// How often a waiting receive looks for what other programs sent: at first, and at last.
const POLL: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// A [`Database`]'s messages of one name as a [`Queue`]; its schema has to be up to date.
///
/// Delivers again, counts and delays by the database's time. Stale receipts are told from valid ones. Of
/// messages with the same deduplication id it keeps one as long as that one has not been deleted. What
/// this program sends wakes its own waiting receives at once; for what others send they look again and
/// again.
#[derive(Debug, Clone)]
pub struct DatabaseQueue {
    database: Database,
    name: String,
    dead_letters: Option<DeadLetters>,
    arrivals: Arc<Notify>,
}

#[derive(Debug, Clone)]
struct DeadLetters {
    queue: String,
    max_receives: u32,
}

impl DatabaseQueue {
    /// The messages of that name in `database`, without dead letters.
    pub fn new(database: Database, name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            arrivals: database.arrivals(&name),
            database,
            name,
            dead_letters: None,
        }
    }

    /// Moves messages that have been received `max_receives` times (at least once) to the queue of that
    /// name, another one than this, instead of delivering them once more.
    #[must_use]
    pub fn with_dead_letters(self, queue: impl Into<String>, max_receives: u32) -> Self {
        let dead_letters = Some(DeadLetters {
            queue: queue.into(),
            max_receives: Ord::max(max_receives, 1),
        });
        Self { dead_letters, ..self }
    }

    async fn call<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, Stop>>,
    ) -> Result<T, QueueError> {
        let done = within(self.database.patience(), work).await;
        done.map_err(|stop| match stop {
            Stop::Lost => QueueError::ReceiptLost,
            Stop::Database(source) => self.unavailable(action, source),
        })
    }

    fn unavailable(
        &self,
        action: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> QueueError {
        QueueError::Unavailable {
            action,
            queue: self.name.clone(),
            source: source.into(),
        }
    }

    /// This queue's messages.
    fn ours(&self) -> Cond {
        Cond::all().add(Column::Queue.eq(self.name.as_str()))
    }

    /// The message of a receipt, as long as that is its latest.
    fn held(&self, receipt: Receipt) -> Cond {
        self.ours()
            .add(Column::Seq.eq(receipt.seq))
            .add(Column::ReceiveCount.eq(receipt.count))
    }

    /// Receives what can be received now.
    async fn take(&self, most: usize, visibility: Duration) -> Result<Vec<Model>, Stop> {
        if self.database.has_none(&self.due(1)).await? {
            return Ok(Vec::new());
        }
        let rows = self.database.run(&self.taking(most, visibility)).await?;
        let rows = rows.iter().map(|row| Model::from_query_result(row, ""));
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        rows.sort_by_key(|row| row.seq);
        Ok(rows)
    }

    /// What can be received now, what has waited longest first.
    fn due(&self, most: usize) -> SelectStatement {
        Query::select()
            .column(Column::Seq)
            .from(Entity)
            .cond_where(self.ours())
            .and_where(Expr::col(Column::VisibleAt).lte(self.database.now()))
            .order_by(Column::VisibleAt, Order::Asc)
            .order_by(Column::Seq, Order::Asc)
            .limit(most.clamp(1, MOST) as u64)
            .to_owned()
    }

    fn taking(&self, most: usize, visibility: Duration) -> WithQuery {
        let due = self
            .due(most)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .to_owned();
        // As a subquery, Postgres might ask it for every row anew, and take more than its limit.
        let due = CommonTableExpression::new()
            .table_name("due")
            .query(due)
            .to_owned();
        let hidden = visibility.min(LONGEST_VISIBILITY);
        Query::update()
            .table(Entity)
            .value(Column::VisibleAt, self.database.later(hidden))
            .value(Column::ReceiveCount, Expr::col(Column::ReceiveCount).add(1))
            .and_where(
                Expr::col(Column::Seq)
                    .in_subquery(Query::select().column(Column::Seq).from("due").to_owned()),
            )
            .returning_all()
            .to_owned()
            .with(Query::with().cte(due).to_owned())
    }

    /// Moves what has been delivered often enough to the dead letters and gives the rest, and whether anything
    /// was moved. It was received once more for that, which hides it meanwhile.
    async fn bury_spent(&self, rows: Vec<Model>) -> (Vec<Message>, bool) {
        let spent = |row: &Model| {
            let dead = self.dead_letters.as_ref();
            dead.is_some_and(|dead| row.receive_count.unsigned_abs() > dead.max_receives)
        };
        let (mut messages, mut any) = (Vec::new(), false);
        for row in rows {
            let seq = row.seq;
            if spent(&row) {
                any = true;
                let reason = format!("received {} times", row.receive_count - 1);
                // What cannot be moved now comes again, and its neighbours are not held up.
                if let Err(Stop::Database(error)) = self.bury(row.receipt(), &reason).await {
                    tracing::warn!(queue = self.name, %error, "cannot move a message to the dead letters");
                }
                continue;
            }
            match row.message() {
                Ok(message) => messages.push(message),
                // It is hidden like any other, and a dead letter once it has come often enough.
                Err(error) => {
                    tracing::warn!(queue = self.name, seq, %error, "a message that cannot be read is passed over");
                }
            }
        }
        (messages, any)
    }

    async fn bury(&self, receipt: Receipt, reason: &str) -> Result<(), Stop> {
        let Some(dead) = &self.dead_letters else {
            return Err(DbErr::Custom("it has no dead letters".to_owned()).into());
        };
        let remove = Query::delete()
            .from_table(Entity)
            .cond_where(self.held(receipt))
            .returning_all()
            .to_owned();
        let transaction = self.database.begin().await?;
        let row = transaction.query_one(&remove).await?.ok_or(Stop::Lost)?;
        let row = Model::from_query_result(&row, "")?;
        // Whatever is wrong with them, it has to go.
        let mut attributes = row.attributes().unwrap_or_default();
        attributes.insert(DEAD_LETTER_REASON.to_owned(), reason.to_owned());
        let letter = Outgoing {
            body: row.body,
            attributes,
            ..Outgoing::default()
        };
        insert(&self.database, &transaction, &dead.queue, &[&letter]).await?;
        transaction.commit().await?;
        self.database.arrivals(&dead.queue).notify_waiters();
        Ok(())
    }

    async fn receive_now(&self, most: usize, visibility: Duration) -> Result<Vec<Message>, QueueError> {
        loop {
            let taken = self.call("receive from", self.take(most, visibility)).await?;
            let sorted = async { Ok(self.bury_spent(taken).await) };
            let (messages, buried) = self.call("receive from", sorted).await?;
            if !buried || !messages.is_empty() {
                return Ok(messages);
            }
        }
    }
}

/// Why nothing was done.
enum Stop {
    Lost,
    Database(DbErr),
}

impl From<DbErr> for Stop {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

async fn insert(
    database: &Database,
    transaction: &Session,
    queue: &str,
    messages: &[&Outgoing],
) -> Result<(), DbErr> {
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
            ])
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .to_owned();
        for message in messages {
            insert.values_panic([
                queue.into(),
                text(&message.body).into(),
                json(&message.attributes).into(),
                message.deduplication_id.as_deref().map(text).into(),
                database.now(),
                database.later(message.delay.min(LONGEST_VISIBILITY)),
                0.into(),
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
        most: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        let end = Instant::now() + wait;
        let mut poll = POLL[0];
        loop {
            // Listens before it looks: what is sent in between is not missed.
            let arrival = self.arrivals.notified();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            let messages = self.receive_now(most, visibility).await?;
            if !messages.is_empty() || Instant::now() >= end {
                return Ok(messages);
            }
            // Not all at the same moment.
            let pause = poll.mul_f64(0.75 + 0.5 * fastrand::f64());
            let _ = timeout_at(end.min(Instant::now() + pause), arrival).await;
            poll = POLL[1].min(poll.mul_f64(1.5));
        }
    }

    async fn set_visibility(&self, receipt: &ReceiptHandle, timeout: Duration) -> Result<(), QueueError> {
        let receipt = Receipt::read(receipt).ok_or(QueueError::ReceiptLost)?;
        let hide = Query::update()
            .table(Entity)
            .value(
                Column::VisibleAt,
                self.database.later(timeout.min(LONGEST_VISIBILITY)),
            )
            .cond_where(self.held(receipt))
            .returning_col(Column::Seq)
            .to_owned();
        self.call("hide a message of", async {
            match self.database.run(&hide).await?.is_empty() {
                true => Err(Stop::Lost),
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
                .cond_where(self.ours().add(held))
                .returning_col(Column::Seq)
                .to_owned();
            self.call("delete from", async { Ok(self.database.run(&delete).await?) })
                .await?;
        }
        Ok(receipts.iter().map(|_| Ok(())).collect())
    }

    async fn dead_letter(&self, message: &Message, reason: &str) -> Result<(), QueueError> {
        let receipt = Receipt::read(&message.receipt).ok_or(QueueError::ReceiptLost)?;
        let bury = self.bury(receipt, reason);
        self.call("move a message to the dead letters of", bury).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let hidden = || Expr::col(Column::VisibleAt).gt(self.database.now());
        let received = || Expr::col(Column::ReceiveCount).gt(0);
        let count = |which: Expr| {
            let one: Expr = Expr::case(which, 1_i64).finally(0_i64).into();
            Expr::expr(one.sum()).cast_as("bigint")
        };
        let depth = Query::select()
            .expr_as(count(hidden().not()), "visible")
            .expr_as(count(hidden().and(received())), "in_flight")
            .expr_as(count(hidden().and(received().not())), "delayed")
            .from(Entity)
            .cond_where(self.ours())
            .to_owned();
        self.call("count", async {
            let row = self.database.reader().await?.query_one(&depth).await?;
            let row = row.ok_or_else(|| DbErr::RecordNotFound("the count".to_owned()))?;
            // The sum of no rows is no number.
            let number = |name| {
                row.try_get::<Option<i64>>("", name)
                    .map(Option::unwrap_or_default)
            };
            Ok(Depth {
                visible: number("visible")?.unsigned_abs(),
                in_flight: number("in_flight")?.unsigned_abs(),
                delayed: number("delayed")?.unsigned_abs(),
            })
        })
        .await
    }
}
