//! What an operator sees of a queue, and may do to it.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use super::DatabaseQueue;
use super::entity::row::{Column, Entity, Model};
use crate::clock::UnixMillis;
use crate::queue::QueueError;

/// A place in a queue's order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrival(pub i64);

/// A message as it lies in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its place.
    pub arrival: Arrival,
    /// What was sent.
    pub body: String,
    /// Short facts beside the body; none where they cannot be read.
    pub attributes: BTreeMap<String, String>,
    /// When it came.
    pub sent_at: UnixMillis,
    /// From when on it can be received.
    pub visible_at: UnixMillis,
    /// How often it has been received.
    pub receive_count: u32,
}

impl DatabaseQueue {
    /// Up to `most` messages that came behind `after`, or from the first on, in order of arrival. They
    /// are not received by it.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`].
    pub async fn browse(&self, after: Option<Arrival>, most: u32) -> Result<Vec<Waiting>, QueueError> {
        let mut messages = Entity::find()
            .filter(Column::Queue.eq(self.name.as_str()))
            .order_by_asc(Column::Seq)
            .limit(u64::from(most));
        if let Some(Arrival(after)) = after {
            messages = messages.filter(Column::Seq.gt(after));
        }
        self.call("read", async {
            let rows = messages.all(&self.database.reader().await?).await?;
            Ok(rows.into_iter().map(waiting).collect())
        })
        .await
    }

    /// Deletes messages that were sent longer ago; how many there were. For queues that nobody may listen to.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`].
    pub async fn forget(&self, older_than: Duration) -> Result<u64, QueueError> {
        let old = || Expr::col(Column::SentAt).lt(self.database.earlier(older_than));
        // The oldest is the first to go: where it stays, nobody has to wait for a look at all others.
        let first = Entity::find()
            .filter(Column::Queue.eq(self.name.as_str()))
            .order_by_asc(Column::Seq)
            .expr_as(old(), "old")
            .limit(1)
            .into_query();
        let any = self.call("look into", async {
            let row = self.database.reader().await?.query_one(&first).await?;
            Ok(row.map_or(Ok(false), |row| row.try_get("", "old"))?)
        });
        if !any.await? {
            return Ok(0);
        }
        self.remove("tidy up", Some(old())).await
    }

    /// Deletes all messages, received ones too; how many there were.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`].
    pub async fn purge(&self) -> Result<u64, QueueError> {
        self.remove("empty", None).await
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
        tracing::warn!(seq = row.seq, %error, "a message's attributes cannot be read");
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
