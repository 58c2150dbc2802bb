//! Migrations up and down, applied once even by concurrent programs.

use std::process::{Command, Stdio};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use videoframes_core::database::Database;
use videoframes_core::database::migration::{self, MigrationError, MigrationStatus};
use videoframes_core::queue::{DatabaseQueue, Outgoing, Queue};

use crate::Own;

const MIGRATIONS: &[&str] = &[
    "m20261124_000001_jobs",
    "m20261124_000002_events",
    "m20261125_000003_renditions",
    "m20261128_000004_waiting",
    "m20261128_000005_traces",
    "m20261128_000006_restore",
    "m20261128_000007_legal_hold",
    "m20261129_000008_fleet",
    "m20261129_000009_outputs",
    "m20261129_000010_slots",
    "m20261130_000011_tokens",
    "m20261130_000012_attempts",
    "m20261130_000013_tenants",
    "m20261130_000014_tenant_indexes",
    "m20261201_000015_statistics",
];

#[tokio::test]
async fn migrations_apply_and_revert() {
    for own in Own::each().await {
        let database = own.connect().await;
        for _ in 0..2 {
            let older = database.check_schema().await.unwrap_err();
            assert!(
                matches!(&older, MigrationError::SchemaOlder { pending } if pending.len() == MIGRATIONS.len())
            );
            for name in MIGRATIONS {
                assert!(older.to_string().contains(name), "{older}");
            }
            for _ in 0..2 {
                database.migrate().await.unwrap();
                database.check_schema().await.unwrap();
            }
            let states = migration::status(database.connection()).await.unwrap();
            assert!(
                states
                    .iter()
                    .all(|state| state.known && state.status == MigrationStatus::Applied)
            );
            migration::down(database.connection(), 1).await.unwrap();
            let older = database.check_schema().await.unwrap_err();
            assert!(matches!(&older, MigrationError::SchemaOlder { pending } if pending.len() == 1));
            let jobs = "SELECT id FROM video_jobs";
            database.connection().execute_unprepared(jobs).await.unwrap();
            migration::down(
                database.connection(),
                u32::try_from(MIGRATIONS.len()).unwrap() - 1,
            )
            .await
            .unwrap();
        }
        let tables = "SELECT 1 FROM video_jobs";
        assert!(database.connection().execute_unprepared(tables).await.is_err());
    }
}

#[tokio::test]
async fn postgres_soon_updates_the_statistics_of_a_new_backlog() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let connection = database.connection();
        if connection.get_database_backend() != DbBackend::Postgres {
            continue;
        }
        let tables = "SELECT relname FROM pg_class WHERE 'autovacuum_analyze_scale_factor=0' = ANY(reloptions) \
            AND 'autovacuum_analyze_threshold=1000' = ANY(reloptions) ORDER BY relname";
        let statement = Statement::from_string(DbBackend::Postgres, tables);
        let rows = connection.query_all_raw(statement).await.unwrap();
        let names: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert_eq!(names, ["outbox", "queue_messages", "video_jobs"]);
    }
}

/// Inserts a message as a version without ranks does, visible after some seconds.
async fn insert_message(database: &Database, body: &str, seconds: i64) {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    let insert = format!(
        "INSERT INTO queue_messages (queue, body, attributes, sent_at, visible_at, receive_count) \
         VALUES ('work', '{body}', '{{}}', {now}, {}, 0)",
        now + seconds * 1000
    );
    database.connection().execute_unprepared(&insert).await.unwrap();
}

/// Reverts a migration, and all after it.
async fn revert(database: &Database, migration: &str) {
    let position = MIGRATIONS.iter().position(|name| *name == migration).unwrap();
    let steps = u32::try_from(MIGRATIONS.len() - position).unwrap();
    migration::down(database.connection(), steps).await.unwrap();
}

/// Messages that were hidden during the migration wait for their time, and then for their turn.
#[tokio::test]
async fn hidden_messages_of_the_previous_version_do_not_overtake_others() {
    for own in Own::each().await {
        let database = own.migrated().await;
        revert(&database, "m20261130_000013_tenants").await;
        insert_message(&database, "hidden", 3600).await;
        insert_message(&database, "visible", 0).await;
        database.migrate().await.unwrap();
        let queue = DatabaseQueue::new(database.clone(), "work");
        let received = async || {
            let received = queue.receive(10, Duration::from_secs(7200), Duration::ZERO).await;
            let received = received.unwrap().into_iter().map(|message| message.body);
            received.collect::<Vec<_>>()
        };
        assert_eq!(received().await, ["visible"]);
        queue
            .send(&[Outgoing::new("first"), Outgoing::new("second")])
            .await
            .unwrap();
        database.advance(Duration::from_secs(3601));
        let received = received().await;
        assert_eq!(received.len(), 3, "{received:?}");
        assert_ne!(received[0], "hidden");
    }
}

/// A newer program whose migration declares a removal.
const INCOMPATIBLE: [&str; 2] = [
    "INSERT INTO videoframes_migrations VALUES ('m99990101_000001_later', 0)",
    "UPDATE videoframes_schema SET compatible_since = 'm99990101_000001_later'",
];

/// In a rolling upgrade, workers of the old version restart next to workers of the new version.
#[tokio::test]
async fn accepts_a_newer_schema_with_additions_only() {
    for own in Own::each_and_pooled().await {
        let database = own.migrated().await;
        let [newer, _] = INCOMPATIBLE;
        database.connection().execute_unprepared(newer).await.unwrap();
        database.check_schema().await.unwrap();
        own.migrated().await.check_schema().await.unwrap();
        if own.direct.is_none() {
            let down = migration::down(database.connection(), 1).await;
            assert!(
                matches!(down, Err(MigrationError::SchemaNewer { .. })),
                "{down:?}"
            );
        }
    }
}

#[tokio::test]
async fn rejects_a_newer_schema_with_removals() {
    for own in Own::each().await {
        let database = own.migrated().await;
        for newer in INCOMPATIBLE {
            database.connection().execute_unprepared(newer).await.unwrap();
        }
        let down = migration::down(database.connection(), 1).await;
        for refused in [database.check_schema().await, database.migrate().await, down] {
            let refused = refused.unwrap_err();
            assert!(
                matches!(&refused, MigrationError::SchemaNewer { unknown } if unknown[..] == ["m99990101_000001_later"]),
                "{refused}"
            );
        }
        let states = migration::status(database.connection()).await.unwrap();
        assert_eq!(states.iter().filter(|state| !state.known).count(), 1);
    }
}

#[tokio::test]
async fn concurrent_programs_migrate_once() {
    for own in Own::each().await {
        let start = || {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "migrations::another_program_migrates"])
                .env("VF_TEST_MIGRATE", &own.address)
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let programs: Vec<_> = (0..4).map(|_| start()).collect();
        for mut program in programs {
            assert!(program.wait().unwrap().success());
        }
        own.connect().await.check_schema().await.unwrap();
    }
}

/// Not a test, but the program that the test above starts in separate processes.
#[tokio::test]
async fn another_program_migrates() {
    let Ok(address) = std::env::var("VF_TEST_MIGRATE") else {
        return;
    };
    let database = videoframes_core::database::Database::connect(&address, &crate::OPTIONS).await;
    let database = database.unwrap();
    database.migrate().await.unwrap();
    database.check_schema().await.unwrap();
}
