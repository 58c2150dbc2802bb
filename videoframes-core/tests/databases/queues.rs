//! Queues in databases pass the conformance suite of their trait and list their messages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::ConnectionTrait;
use uuid::Uuid;
use videoframes_core::database::Database;
use videoframes_core::queue::{DatabaseQueue, Outgoing, Queue};
use videoframes_core::testing::{QueueAbilities, QueueHarness, queue_conformance};

use crate::Own;

const HOUR: Duration = Duration::from_secs(3600);

struct InDatabase {
    database: Database,
}

#[async_trait]
impl QueueHarness for InDatabase {
    async fn fresh(&self) -> (Arc<dyn Queue>, Arc<dyn Queue>) {
        let (work, dead) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
        let queue = DatabaseQueue::new(self.database.clone(), work).with_dead_letter_queue(&dead, 4);
        (
            Arc::new(queue),
            Arc::new(DatabaseQueue::new(self.database.clone(), dead)),
        )
    }

    async fn advance(&self, by: Duration) {
        self.database.advance(by);
    }

    fn unit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn in_real_time(&self) -> bool {
        false
    }

    fn abilities(&self) -> QueueAbilities {
        QueueAbilities {
            fair: true,
            deduplicates: true,
            keeps_order: false,
            delays: true,
            detects_stale_receipts: true,
            counts_exactly: true,
            max_receives: Some(4),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queues_in_sqlite_conform() {
    let own = Own::sqlite();
    let database = own.migrated().await;
    queue_conformance(&InDatabase { database }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queues_in_postgres_conform() {
    if let Some(own) = Own::postgres().await {
        let database = own.migrated().await;
        queue_conformance(&InDatabase { database }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queues_behind_a_pooler_conform() {
    if let Some(own) = Own::pooled().await {
        let database = own.migrated().await;
        queue_conformance(&InDatabase { database }).await;
    }
}

async fn send(queue: &DatabaseQueue, bodies: &[&str]) {
    let messages: Vec<_> = bodies.iter().map(|body| Outgoing::new(*body)).collect();
    let sent = queue.send(&messages).await.unwrap();
    assert!(sent.iter().all(Result::is_ok));
}

#[tokio::test]
async fn lists_messages_in_order_without_receiving_them() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let queue = DatabaseQueue::new(database.clone(), "work");
        send(&DatabaseQueue::new(database, "other"), &["x"]).await;
        send(&queue, &["a", "b", "c"]).await;
        queue.receive(1, HOUR, Duration::ZERO).await.unwrap();
        let first = queue.browse(None, 2).await.unwrap();
        let rest = queue.browse(Some(first[1].arrival), 2).await.unwrap();
        let shown: Vec<_> = first.iter().chain(&rest).collect();
        let bodies: Vec<_> = shown.iter().map(|waiting| waiting.body.as_str()).collect();
        assert_eq!(bodies, ["a", "b", "c"]);
        let counts: Vec<_> = shown.iter().map(|waiting| waiting.receive_count).collect();
        assert_eq!(counts, [1, 0, 0]);
        assert_eq!(shown[0].visible_at.since(shown[0].sent_at).as_secs() / 3600, 1);
        assert_eq!(queue.browse(None, 0).await.unwrap(), []);
    }
}

#[tokio::test]
async fn purging_empties_one_queue() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let queue = DatabaseQueue::new(database.clone(), "work");
        let other = DatabaseQueue::new(database, "other");
        send(&other, &["x"]).await;
        send(&queue, &["a", "b"]).await;
        queue.receive(1, HOUR, Duration::ZERO).await.unwrap();
        assert_eq!(queue.purge().await.unwrap(), 2);
        assert_eq!(queue.purge().await.unwrap(), 0);
        assert_eq!(other.depth().await.unwrap().visible, 1);
    }
}

#[tokio::test]
async fn a_receive_finds_messages_of_another_program() {
    for own in Own::each().await {
        let queue = DatabaseQueue::new(own.migrated().await, "work");
        let other = DatabaseQueue::new(own.connect().await, "work");
        // The message is sent after the first query of the receive, and no notification within this program wakes
        // it.
        let later = Outgoing::new("a").delay(Duration::from_millis(100));
        other.send(&[later]).await.unwrap();
        let begun = Instant::now();
        let received = queue.receive(1, HOUR, HOUR).await.unwrap();
        assert_eq!(received[0].body, "a");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn an_unreadable_message_does_not_block_others() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let dead = DatabaseQueue::new(database.clone(), "dead");
        let queue = DatabaseQueue::new(database.clone(), "work").with_dead_letter_queue("dead", 1);
        send(&queue, &["a", "b"]).await;
        let spoil = "UPDATE queue_messages SET attributes = '{' WHERE body = 'a'";
        database.connection().execute_unprepared(spoil).await.unwrap();
        let received = queue.receive(10, HOUR, Duration::ZERO).await.unwrap();
        let bodies: Vec<_> = received.iter().map(|message| message.body.as_str()).collect();
        assert_eq!(bodies, ["b"]);
        let shown = queue.browse(None, 10).await.unwrap();
        assert_eq!(shown.len(), 2, "only readable messages are listed");
        queue.delete(&[received[0].receipt.clone()]).await.unwrap();
        database.advance(HOUR * 2);
        let received = queue.receive(10, HOUR, Duration::ZERO).await.unwrap();
        assert!(received.is_empty(), "{received:?}");
        let dead_lettered = dead.receive(10, HOUR, Duration::ZERO).await.unwrap();
        assert_eq!(dead_lettered.len(), 1, "the message is dead-lettered");
    }
}
