//! The database server, its crashes, and its standby.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use videoframes_core::testing::Upstream;

use super::script::script;
use crate::wait::until;

/// Maximum time of a query of the harness itself.
const QUERY_TIME: Duration = Duration::from_secs(10);

/// A private Postgres.
#[derive(Debug)]
pub(crate) struct Postgres {
    /// Folder of the server that is the primary now.
    folder: Mutex<PathBuf>,
    root: PathBuf,
}

impl Postgres {
    pub(crate) async fn start(root: &Path) -> anyhow::Result<Self> {
        let folder = root.join("pg-0");
        script("postgres", &["start", text(&folder)]).await?;
        Ok(Self {
            folder: Mutex::new(folder),
            root: root.to_owned(),
        })
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the socket of the primary.
    pub(crate) fn upstream(&self) -> Upstream {
        Upstream::Unix(self.folder().join(".s.PGSQL.5432"))
    }

    /// Returns the address for programs that connect without a link.
    pub(crate) fn direct_url(&self) -> String {
        let folder = self.folder();
        format!(
            "postgres:///postgres?host={}&port=5432&user=postgres",
            folder.display()
        )
    }

    async fn connect(&self) -> anyhow::Result<PgConnection> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(self.folder())
            .port(5432)
            .username("postgres")
            .database("postgres")
            .disable_statement_logging();
        Ok(options.connect().await?)
    }

    /// Executes statements.
    pub(crate) async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        for statement in sql.split(';').filter(|statement| !statement.trim().is_empty()) {
            sqlx::query(AssertSqlSafe(statement.to_owned()))
                .execute(&mut connection)
                .await?;
        }
        Ok(connection.close().await?)
    }

    /// Returns the rows of a query as JSON objects.
    pub(crate) async fn rows(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        let sql = format!("SELECT coalesce(json_agg(row_to_json(r)), '[]')::text FROM ({query}) r");
        let read = async {
            let mut connection = self.connect().await?;
            let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok(serde_json::from_str(row.try_get::<&str, _>(0)?)?)
        };
        tokio::time::timeout(QUERY_TIME, read)
            .await
            .context("the database does not respond")?
    }

    /// Returns the number of rows of a query.
    pub(crate) async fn count(&self, query: &str) -> anyhow::Result<u64> {
        let rows = self
            .rows(&format!("SELECT count(*) AS n FROM ({query}) c"))
            .await?;
        Ok(rows[0]["n"].as_u64().unwrap_or_default())
    }

    /// Kills all processes of the primary.
    fn kill(&self) -> anyhow::Result<()> {
        let file = self.folder().join("data/postmaster.pid");
        let content = std::fs::read_to_string(&file).context("Postgres does not run")?;
        let main: i32 = content.lines().next().unwrap_or_default().parse()?;
        let children = crate::workers::processes::children(main);
        // The main process would restart its children.
        for process in [main].into_iter().chain(children) {
            if let Some(process) = Pid::from_raw(process) {
                let _ = kill_process(process, Signal::KILL);
            }
        }
        Ok(())
    }

    /// Kills all processes of the server and starts it.
    pub(crate) async fn crash(&self, pause: Duration) -> anyhow::Result<()> {
        self.kill()?;
        tokio::time::sleep(pause).await;
        script("postgres", &["restart", text(&self.folder())]).await?;
        Ok(())
    }

    /// Starts a standby that has every commit, kills the primary, and promotes the standby.
    pub(crate) async fn fail_over(&self) -> anyhow::Result<()> {
        let old = self.folder();
        let number = (1..).map(|number| self.root.join(format!("pg-{number}")));
        let Some(new) = number.into_iter().find(|folder| !folder.exists()) else {
            bail!("no name is free for a standby");
        };
        script("postgres", &["standby", text(&old), text(&new)]).await?;
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()")
            .await?;
        // Without a synchronous standby, the failover could lose commits, as a restore to an earlier moment does.
        let synchronous = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
        until("the standby is synchronous", async || {
            Ok(self.count(synchronous).await? > 0)
        })
        .await?;
        self.kill()?;
        script("postgres", &["promote", text(&new)]).await?;
        *self.folder.lock().unwrap_or_else(PoisonError::into_inner) = new;
        script("postgres", &["stop", text(&old)]).await?;
        Ok(())
    }

    /// Stops every server in `root`.
    pub(crate) async fn stop_all(root: &Path) {
        let Ok(entries) = std::fs::read_dir(root) else {
            return;
        };
        for folder in entries.flatten().map(|entry| entry.path()) {
            let name = folder
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if name.starts_with("pg-") && folder.join("data").exists() {
                let _ = script("postgres", &["stop", text(&folder)]).await;
            }
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
