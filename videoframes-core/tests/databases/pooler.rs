//! Postgres behind a pooler that assigns another session to every transaction.

use std::sync::Arc;
use std::time::Duration;

use videoframes_core::database::Database;
use videoframes_core::database::migration::MigrationError;
use videoframes_core::jobs::{JobRepo, SeaOrmJobRepo};
use videoframes_core::queue::{DatabaseQueue, Outgoing, Queue};

use crate::{OPTIONS, Own};

#[tokio::test]
async fn distinguishes_a_pooler_from_a_server() {
    let Some(pooled) = Own::pooled().await else { return };
    assert!(pooled.connect().await.is_pooled());
    let direct = Database::connect(pooled.direct.as_ref().unwrap(), &OPTIONS)
        .await
        .unwrap();
    assert!(!direct.is_pooled());
    assert!(!Own::sqlite().connect().await.is_pooled());
}

#[tokio::test]
async fn does_not_migrate_through_a_pooler() {
    let Some(pooled) = Own::pooled().await else { return };
    let database = pooled.connect().await;
    let refused = database.migrate().await.unwrap_err();
    assert!(matches!(refused, MigrationError::SchemaOlder { .. }), "{refused}");
    pooled.migrated().await.check_schema().await.unwrap();
}

/// Many more connections than sessions of the pooler, so that each session serves all connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn programs_share_the_sessions_of_a_pooler() {
    let Some(pooled) = Own::pooled().await else { return };
    pooled.migrated().await;
    let options = OPTIONS.clone().connections(10);
    let mut tasks = Vec::new();
    for program in 0..4 {
        let database = Database::connect(&pooled.address, &options).await.unwrap();
        for task in 0..6 {
            let database = database.clone();
            tasks.push(tokio::spawn(async move {
                let queue = DatabaseQueue::new(database.clone(), format!("{program}/{task}"));
                let repo = SeaOrmJobRepo::new(database);
                for n in 0..20 {
                    let sent = queue.send(&[Outgoing::new(n.to_string())]).await.unwrap();
                    assert!(sent.iter().all(Result::is_ok));
                    let hidden = Duration::from_secs(60);
                    let received = queue.receive(1, hidden, Duration::ZERO).await.unwrap();
                    assert_eq!(received[0].body, n.to_string());
                    queue.delete(&[received[0].receipt.clone()]).await.unwrap();
                    assert_eq!(repo.unfinished().await.unwrap().total(), 0);
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// State in a session would be visible to another program in its next transaction.
#[tokio::test]
async fn leaves_no_state_in_a_session() {
    let Some(pooled) = Own::pooled().await else { return };
    let database = pooled.migrated().await;
    let repo: Arc<dyn JobRepo> = Arc::new(SeaOrmJobRepo::new(database.clone()));
    for _ in 0..10 {
        repo.unfinished().await.unwrap();
        let left = "DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_prepared_statements) \
                    OR current_setting('statement_timeout') <> '0' THEN RAISE 'left over'; END IF; END $$";
        use sea_orm::ConnectionTrait;
        database.connection().execute_unprepared(left).await.unwrap();
    }
}
