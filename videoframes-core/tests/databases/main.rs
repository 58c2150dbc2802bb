//! Jobs and queues in real databases: a SQLite file, and the Postgres server in `VF_TEST_POSTGRES`.
#![allow(clippy::unwrap_used)]

mod connections;
mod fleet;
mod jobs;
mod migrations;
mod passwords;
mod plans;
mod pooler;
mod queues;
#[path = "../resources/mod.rs"]
mod resources;
mod tokens;

use std::sync::LazyLock;
use std::time::Duration;

use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use uuid::Uuid;
use videoframes_core::database::{Database, DatabaseOptions, Pooler};

/// A separate database of a test, without tables.
struct Own {
    address: String,
    /// Address that bypasses the pooler, if there is one.
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

    /// Creates a database in the disposable Postgres server for tests.
    async fn postgres() -> Option<Self> {
        let server = resources::named("VF_TEST_POSTGRES", "skipped on Postgres")?;
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

    /// Creates a database behind the PgBouncer in `VF_TEST_PGBOUNCER`.
    async fn pooled() -> Option<Self> {
        let pooler = resources::named("VF_TEST_PGBOUNCER", "skipped through PgBouncer")?;
        let Self { address, .. } = Self::postgres().await?;
        let (path, _) = address.split_once('?').unwrap_or((&address, ""));
        let (_, name) = path.rsplit_once('/').unwrap();
        Some(Self {
            address: named(&pooler, name),
            direct: Some(address),
            _folder: None,
        })
    }

    /// Creates a database of each available kind.
    async fn each() -> Vec<Self> {
        let mut all = vec![Self::sqlite()];
        all.extend(Self::postgres().await);
        all
    }

    /// Creates a database of each available kind and one behind a pooler, for tests of the library's own
    /// statements.
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

/// Returns the address of a database with this name on the same server.
fn named(server: &str, name: &str) -> String {
    let (path, query) = server.split_once('?').unwrap_or((server, ""));
    let (host, _) = path.rsplit_once('/').unwrap();
    format!("{host}/{name}?{query}")
}

static OPTIONS: LazyLock<DatabaseOptions> = LazyLock::new(|| {
    DatabaseOptions::default()
        .connections(4)
        .patience(Duration::from_secs(30))
        .pooler(Pooler::Detect)
});
