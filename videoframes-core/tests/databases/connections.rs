//! Settings of connections, and errors of failed connections.

use std::error::Error;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement};
use videoframes_core::database::{Database, DatabaseError, DatabaseOptions};

use crate::{OPTIONS, Own};

#[tokio::test]
async fn errors_never_show_a_password() {
    let options = DatabaseOptions::default().patience(Duration::from_millis(50));
    for address in [
        "postgres://user:s3cret@127.0.0.1:1/jobs",
        "postgres://user:s3cret@127.0.0.1:port/jobs",
        "postgres://user:s3cret@127.0.0.1/jobs?sslmode=maybe",
        "postgress://user:s3cret@127.0.0.1/jobs",
        "mysql://user:s3cret@127.0.0.1/jobs",
    ] {
        let error = Database::connect(address, &options).await.unwrap_err();
        let mut reported = format!("{error:?}");
        let mut cause: Option<&dyn Error> = Some(&error);
        while let Some(error) = cause {
            reported += &error.to_string();
            cause = error.source();
        }
        assert!(!reported.contains("s3cret"), "{reported}");
    }
    let unreachable = Database::connect("postgres://user:s3cret@127.0.0.1:1/jobs", &options).await;
    let error = unreachable.unwrap_err();
    assert!(matches!(error, DatabaseError::Unavailable { .. }));
    assert_eq!(
        error.to_string(),
        "failed to connect to the database 'jobs' at 127.0.0.1:1"
    );
}

#[tokio::test]
async fn commits_of_sqlite_survive_a_power_failure() {
    let own = Own::sqlite();
    let database = own.connect().await;
    let pragma = async |name: &str| {
        let statement = Statement::from_string(sea_orm::DbBackend::Sqlite, format!("PRAGMA {name}"));
        let row = database
            .connection()
            .query_one_raw(statement)
            .await
            .unwrap()
            .unwrap();
        row.try_get_by_index::<String>(0)
            .or_else(|_| row.try_get_by_index::<i32>(0).map(|n| n.to_string()))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode").await, "wal");
    assert_eq!(pragma("synchronous").await, "2");
    assert_eq!(pragma("busy_timeout").await, "15000");
}

/// Each program changes the journal mode of the new file, which requires exclusive access.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn programs_may_open_a_new_file_at_once() {
    for _ in 0..100 {
        let own = Own::sqlite();
        let programs: Vec<_> = (0..16)
            .map(|_| {
                let address = own.address.clone();
                tokio::spawn(async move { Database::connect(&address, &OPTIONS).await })
            })
            .collect();
        for program in programs {
            program.await.unwrap().unwrap().ping().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_closed_database_rejects_calls() {
    for own in Own::each().await {
        let database = own.connect().await;
        database.ping().await.unwrap();
        database.close().await;
        assert!(database.ping().await.is_err());
    }
}
