//! Checks of a backup: integrity, schema, and the number of rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sea_orm::SqlxSqliteConnector;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sea_orm::sqlx::{self, AssertSqlSafe, SqliteConnection, SqlitePool};
use serde::Serialize;

use super::BackupError;
use crate::database::migration::{self, MigrationError, MigrationStatus};

/// Maximum number of problems that an error lists.
const PROBLEMS: u32 = 3;

/// Facts about a checked backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackupFacts {
    /// Size in bytes.
    pub bytes: u64,
    /// The newest migration of the schema.
    pub schema: String,
    /// The number of rows by table.
    pub rows: BTreeMap<String, u64>,
}

/// Checks that a file is a complete and undamaged database of jobs, and that its schema is compatible with this
/// program. An older schema is compatible: workers migrate it.
///
/// # Errors
/// Returns [`BackupError::Backup`], [`BackupError::Unusable`] or [`BackupError::Schema`].
pub async fn check_backup(path: &Path) -> Result<BackupFacts, BackupError> {
    let opened = |source| BackupError::Backup {
        path: path.to_owned(),
        source,
    };
    let metadata = std::fs::metadata(path).map_err(opened)?;
    if !metadata.is_file() {
        return Err(unusable(path, "it is not a regular file"));
    }
    if std::fs::metadata(sibling(path, "-wal")).is_ok_and(|log| log.len() > 0) {
        // Such a file is a copy of a database in use, without a guarantee of consistency.
        return Err(unusable(
            path,
            "it has a write-ahead log, so it is no finished backup",
        ));
    }
    check_copy(path, path).await
}

/// Checks a copy of the backup at `path`, which errors name.
pub(super) async fn check_copy(copy: &Path, path: &Path) -> Result<BackupFacts, BackupError> {
    let connect = SqliteConnectOptions::new()
        .filename(copy)
        .read_only(true)
        // A finished backup does not change: SQLite needs no auxiliary files and no locks.
        .immutable(true);
    let damaged = |error: sqlx::Error| unusable(path, &describe(&error));
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(connect);
    let pool = pool.await.map_err(damaged)?;
    let checked = async {
        check_integrity(&pool, path).await?;
        let schema = check_schema(&pool, path).await?;
        let mut connection = pool.acquire().await.map_err(damaged)?;
        let rows = count_rows(&mut connection).await.map_err(damaged)?;
        let bytes = std::fs::metadata(copy).map_or(0, |metadata| metadata.len());
        Ok(BackupFacts { bytes, schema, rows })
    };
    let checked = checked.await;
    pool.close().await;
    checked
}

async fn check_integrity(pool: &SqlitePool, path: &Path) -> Result<(), BackupError> {
    let damaged = |error: sqlx::Error| unusable(path, &describe(&error));
    let check = format!("PRAGMA integrity_check({PROBLEMS})");
    let problems: Vec<String> = sqlx::query_scalar(AssertSqlSafe(check))
        .fetch_all(pool)
        .await
        .map_err(damaged)?;
    match problems.as_slice() {
        [only] if only == "ok" => Ok(()),
        _ => Err(unusable(path, &format!("it is damaged: {}", problems.join("; ")))),
    }
}

/// Returns the newest applied migration.
async fn check_schema(pool: &SqlitePool, path: &Path) -> Result<String, BackupError> {
    let database = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone());
    let failed = |source| BackupError::Schema {
        path: path.to_owned(),
        source,
    };
    let states = migration::status(&database).await.map_err(failed)?;
    let applied = states
        .iter()
        .filter(|state| state.status == MigrationStatus::Applied);
    let Some(newest) = applied.max_by(|a, b| a.name.cmp(&b.name)) else {
        return Err(unusable(path, "it has no tables of videoframes"));
    };
    match migration::check(&database).await {
        Ok(()) | Err(MigrationError::SchemaOlder { .. }) => Ok(newest.name.clone()),
        Err(error) => Err(failed(error)),
    }
}

/// Returns the number of rows of each table.
pub(super) async fn count_rows(
    connection: &mut SqliteConnection,
) -> Result<BTreeMap<String, u64>, sqlx::Error> {
    let tables =
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *connection).await?;
    let mut rows = BTreeMap::new();
    for table in tables {
        let count = format!("SELECT count(*) FROM main.\"{}\"", table.replace('"', "\"\""));
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(count))
            .fetch_one(&mut *connection)
            .await?;
        rows.insert(table, u64::try_from(count).unwrap_or_default());
    }
    Ok(rows)
}

fn unusable(path: &Path, reason: &str) -> BackupError {
    BackupError::Unusable {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Returns the message of SQLite, without its code.
fn describe(error: &sqlx::Error) -> String {
    let message = error.as_database_error().map(|error| error.message().to_owned());
    message.unwrap_or_else(|| error.to_string())
}

/// Returns the path of an auxiliary file of SQLite.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
