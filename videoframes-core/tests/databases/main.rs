//! Jobs and queues on real databases: a SQLite file, and the Postgres that `VF_TEST_POSTGRES` names.
#![allow(clippy::unwrap_used)]

mod connections;
mod jobs;
mod migrations;
mod queues;

use std::time::Duration;

use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use uuid::Uuid;
use videoframes_core::database::{Database, DatabaseOptions};

/// A database of a test's own, without tables.
struct Own {
    address: String,
    _folder: Option<TempDir>,
}

impl Own {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            address: format!("sqlite:{}", folder.path().join("jobs.db").display()),
            _folder: Some(folder),
        }
    }

    /// In the Postgres that is there for tests and thrown away with all that is left in it.
    async fn postgres() -> Option<Self> {
        let Ok(server) = std::env::var("VF_TEST_POSTGRES") else {
            eprintln!("skipped on Postgres: VF_TEST_POSTGRES is not set");
            return None;
        };
        let name = format!("vf_{}", Uuid::new_v4().simple());
        let maintenance = Database::connect(&server, &OPTIONS).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        maintenance
            .connection()
            .execute_unprepared(&create)
            .await
            .unwrap();
        maintenance.close().await;
        let (path, query) = server.split_once('?').unwrap_or((&server, ""));
        let (host, _) = path.rsplit_once('/').unwrap();
        Some(Self {
            address: format!("{host}/{name}?{query}"),
            _folder: None,
        })
    }

    /// One of each kind that there is.
    async fn each() -> Vec<Self> {
        let mut all = vec![Self::sqlite()];
        all.extend(Self::postgres().await);
        all
    }

    async fn connect(&self) -> Database {
        Database::connect(&self.address, &OPTIONS).await.unwrap()
    }

    async fn migrated(&self) -> Database {
        let database = self.connect().await;
        database.migrate().await.unwrap();
        database
    }
}

const OPTIONS: DatabaseOptions = DatabaseOptions {
    connections: 4,
    patience: Duration::from_secs(30),
};
