//! Operations for operators: reading, purging and cleaning up a queue.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use super::DatabaseQueue;
use super::entity::row::{Column, Entity, Model};
use crate::clock::UnixMillis;
use crate::queue::QueueError;

/// A position in a queue's order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrival(i64);

impl Arrival {
    /// Returns the position with this number.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Returns the number of the position.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// A message in the queue, read without receiving it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// Position of the message.
    pub arrival: Arrival,
    /// Body of the message.
    pub body: String,
    /// Attributes of the message; empty if they are unreadable.
    pub attributes: BTreeMap<String, String>,
    /// Time at which the message was sent.
    pub sent_at: UnixMillis,
    /// Time from which the message can be received.
    pub visible_at: UnixMillis,
    /// Number of times that the message has been received.
    pub receive_count: u32,
}

impl DatabaseQueue {
    /// Returns up to `limit` messages after position `after`, or from the start, in order of arrival. Does
    /// not receive them.
    ///
    /// # Errors
    /// Returns [`QueueError::Unavailable`] if the database does not respond.
    pub async fn browse(&self, after: Option<Arrival>, limit: u32) -> Result<Vec<Waiting>, QueueError> {
        let mut messages = Entity::find()
            .filter(Column::Queue.eq(self.name.as_str()))
            .order_by_asc(Column::Seq)
            .limit(u64::from(limit));
        if let Some(Arrival(after)) = after {
            messages = messages.filter(Column::Seq.gt(after));
        }
        self.call("read", async {
            let rows = messages.all(&self.database.reader().await?).await?;
            Ok(rows.into_iter().map(waiting).collect())
        })
        .await
    }

    /// Deletes messages older than `older_than` and returns their number. For queues that may have no
    /// consumer.
    ///
    /// # Errors
    /// Returns [`QueueError::Unavailable`] if the database does not respond.
    pub async fn forget(&self, older_than: Duration) -> Result<u64, QueueError> {
        let old = || Expr::col(Column::SentAt).lt(self.database.earlier(older_than));
        // The oldest message expires first: if it stays, the scan of all others is unnecessary.
        let first = Entity::find()
            .filter(Column::Queue.eq(self.name.as_str()))
            .order_by_asc(Column::Seq)
            .expr_as(old(), "old")
            .limit(1)
            .into_query();
        let any = self.call("read", async {
            let row = self.database.reader().await?.query_one(&first).await?;
            Ok(row.map_or(Ok(false), |row| row.try_get("", "old"))?)
        });
        if !any.await? {
            return Ok(0);
        }
        self.remove("delete old messages from", Some(old())).await
    }

    /// Deletes all messages, including received ones, and returns their number.
    ///
    /// # Errors
    /// Returns [`QueueError::Unavailable`] if the database does not respond.
    pub async fn purge(&self) -> Result<u64, QueueError> {
        self.remove("purge", None).await
    }

    async fn remove(&self, action: &'static str, which: Option<Expr>) -> Result<u64, QueueError> {
        let mut remove = Query::delete()
            .from_table(Entity)
            .and_where(Expr::col(Column::Queue).eq(self.name.as_str()))
            .to_owned();
        if let Some(which) = which {
            remove.and_where(which);
        }
        self.call(action, async {
            let transaction = self.database.begin().await?;
            let removed = transaction.execute(&remove).await?.rows_affected();
            transaction.commit().await?;
            Ok(removed)
        })
        .await
    }
}

fn waiting(row: Model) -> Waiting {
    let attributes = row.attributes().unwrap_or_else(|error| {
        tracing::warn!(seq = row.seq, %error, "failed to read the attributes of a message");
        BTreeMap::new()
    });
    Waiting {
        arrival: Arrival(row.seq),
        attributes,
        sent_at: UnixMillis(row.sent_at),
        visible_at: UnixMillis(row.visible_at),
        receive_count: row.receive_count.unsigned_abs(),
        body: row.body,
    }
}
