//! Jobs and queues on real databases: a SQLite file, and the Postgres that `VF_TEST_POSTGRES` names.
#![allow(clippy::unwrap_used)]

mod connections;
mod jobs;
mod migrations;
mod plans;
mod pooler;
mod queues;

use std::time::Duration;

use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use uuid::Uuid;
use videoframes_core::database::{Database, DatabaseOptions, Pooler};

/// A database of a test's own, without tables.
struct Own {
    address: String,
    /// Past the pooler, where the address is that of one.
    direct: Option<String>,
    _folder: Option<TempDir>,
}

impl Own {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            address: format!("sqlite:{}", folder.path().join("jobs.db").display()),
            direct: None,
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
        Some(Self {
            address: named(&server, &name),
            direct: None,
            _folder: None,
        })
    }

    /// The same through the PgBouncer that `VF_TEST_PGBOUNCER` names.
    async fn pooled() -> Option<Self> {
        let Ok(pooler) = std::env::var("VF_TEST_PGBOUNCER") else {
            eprintln!("skipped through PgBouncer: VF_TEST_PGBOUNCER is not set");
            return None;
        };
        let Self { address, .. } = Self::postgres().await?;
        let (path, _) = address.split_once('?').unwrap_or((&address, ""));
        let (_, name) = path.rsplit_once('/').unwrap();
        Some(Self {
            address: named(&pooler, name),
            direct: Some(address),
            _folder: None,
        })
    }

    /// One of each kind that there is.
    async fn each() -> Vec<Self> {
        let mut all = vec![Self::sqlite()];
        all.extend(Self::postgres().await);
        all
    }

    /// One of each kind, and one through a pooler: for what the library does with its own statements.
    async fn each_and_pooled() -> Vec<Self> {
        let mut all = Self::each().await;
        all.extend(Self::pooled().await);
        all
    }

    async fn connect(&self) -> Database {
        Database::connect(&self.address, &OPTIONS).await.unwrap()
    }

    async fn migrated(&self) -> Database {
        if let Some(direct) = &self.direct {
            let direct = Database::connect(direct, &OPTIONS).await.unwrap();
            direct.migrate().await.unwrap();
            direct.close().await;
        }
        let database = self.connect().await;
        database.migrate().await.unwrap();
        database
    }
}

/// The address of a database of this name at the same server.
fn named(server: &str, name: &str) -> String {
    let (path, query) = server.split_once('?').unwrap_or((server, ""));
    let (host, _) = path.rsplit_once('/').unwrap();
    format!("{host}/{name}?{query}")
}

const OPTIONS: DatabaseOptions = DatabaseOptions {
    connections: 4,
    patience: Duration::from_secs(30),
    pooler: Pooler::Detect,
};
