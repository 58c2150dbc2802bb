//! Migrations up and down, applied once even by concurrent programs.

use std::process::{Command, Stdio};

use sea_orm::ConnectionTrait;
use videoframes_core::database::migration::{self, MigrationError, MigrationStatus};

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
