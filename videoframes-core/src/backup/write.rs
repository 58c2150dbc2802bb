//! Writes a backup while others write to the database.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::check::{check_copy, count_rows, sibling};
use super::stop::unless_cancelled;
use super::{BackupError, BackupFacts};
use crate::stale;
use crate::storage::{FileSink, IfExists, Sink, StorageError};

/// Maximum wait for a lock. A backup only reads, so it waits only while a process recovers the database.
const BUSY: Duration = Duration::from_secs(15);

/// Tables with the key and the order of their rows. A later transaction never adds a row before existing rows:
/// numbers are never reused, and times are read inside the transaction.
const TABLES: [(&str, &str, &str, &str); 3] = [
    ("video_jobs", "id", "created_at", "<"),
    ("outbox", "seq", "seq", "<="),
    ("queue_messages", "seq", "seq", "<="),
];

/// Writes a consistent copy of the database to `target`, checks the copy, and renames it to its name.
///
/// The copy is the state of the database at one moment (`VACUUM INTO`, one read transaction). Writers are not blocked.
/// If the future is dropped, no unfinished file remains.
///
/// # Errors
/// Returns a [`BackupError`]: [`BackupError::Target`] if the target exists and must not be replaced, or cannot be
/// written. After `stop` is cancelled, returns [`BackupError::Cancelled`], unless the last step has begun.
pub async fn back_up(
    database: &Path,
    target: &Path,
    if_exists: IfExists,
    stop: &CancellationToken,
) -> Result<BackupFacts, BackupError> {
    refuse_database_files(database, target)?;
    let sink = FileSink::create(target, if_exists)?;
    let staging = Staging::create(target)?;
    let facts = unless_cancelled(stop, copy(database, target, &staging)).await?;
    let _copy = staging.finish(sink.partial_path())?;
    Box::new(sink).finish().await?;
    Ok(facts)
}

/// Writes the copy of the database into the folder, and checks the copy.
async fn copy(database: &Path, target: &Path, staging: &Staging) -> Result<BackupFacts, BackupError> {
    let failed = |error: sqlx::Error| BackupError::Database {
        path: database.to_owned(),
        source: error.into(),
    };
    let copy = staging.copy();
    let connect = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(false)
        .busy_timeout(BUSY);
    let mut source = connect.connect().await.map_err(failed)?;
    let before = Marks::read(&mut source).await.map_err(failed)?;
    let copied = sqlx::query("VACUUM main INTO ?")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut source)
        .await;
    copied.map_err(|error| copy_error(error, database, target))?;
    let facts = check_copy(&copy, target).await?;
    let lacking = match compare(&mut source, &copy, &before).await.map_err(failed)? {
        None => compare_all(&mut source, &facts, &before).await.map_err(failed)?,
        lacking => lacking,
    };
    if let Some((table, rows)) = lacking {
        return Err(BackupError::Incomplete {
            path: database.to_owned(),
            table,
            rows,
        });
    }
    // An error here has no consequence for the copy.
    let _ = source.close().await;
    Ok(facts)
}

/// A folder next to the target, for the copy and the journal that SQLite keeps beside the copy. Removed on drop.
struct Staging {
    folder: TempDir,
    target: PathBuf,
    /// Protects the folder from [`stale::sweep`] in other processes.
    _lock: Option<File>,
}

impl Staging {
    fn create(target: &Path) -> Result<Self, StorageError> {
        let parent = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = stale::PARTIAL
            .builder()
            .tempdir_in(parent.unwrap_or(Path::new(".")));
        let folder = folder.map_err(|error| in_target(target, error))?;
        // A file system without locks has no sweeps either.
        let lock = File::open(folder.path()).ok();
        let _ = lock.as_ref().map(stale::lock);
        Ok(Self {
            folder,
            target: target.to_owned(),
            _lock: lock,
        })
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("copy")
    }

    /// Makes the copy durable and moves it to `partial`. Returns the locked copy.
    fn finish(self, partial: &Path) -> Result<File, StorageError> {
        let finish = || {
            let copy = File::open(self.copy())?;
            // Requests of clients are private, as in the database.
            copy.set_permissions(Permissions::from_mode(0o600))?;
            copy.sync_all()?;
            let _ = stale::lock(&copy);
            fs::rename(self.copy(), partial)?;
            Ok(copy)
        };
        finish().map_err(|error| in_target(&self.target, error))
    }
}

fn in_target(target: &Path, error: io::Error) -> StorageError {
    StorageError::from_io("write", &target.to_string_lossy(), error)
}

/// Refuses a target that is a file of the database itself.
fn refuse_database_files(database: &Path, target: &Path) -> Result<(), BackupError> {
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let files = ["", "-wal", "-shm"].map(|suffix| identity(&sibling(database, suffix)));
    match identity(target).is_some_and(|target| files.contains(&Some(target))) {
        true => {
            Err(StorageError::invalid(&target.to_string_lossy(), "is a file of the database itself").into())
        }
        false => Ok(()),
    }
}

/// The position of the last rows at some time.
struct Marks {
    /// Changes with each commit of another connection.
    version: i64,
    /// The last row of each table in [`TABLES`], if it has rows.
    last: Vec<Option<i64>>,
}

impl Marks {
    async fn read(source: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let version = data_version(source).await?;
        let mut last = Vec::with_capacity(TABLES.len());
        for (table, _, order, _) in TABLES {
            let max = format!("SELECT max({order}) FROM main.{table}");
            last.push(
                sqlx::query_scalar(AssertSqlSafe(max))
                    .fetch_one(&mut *source)
                    .await?,
            );
        }
        Ok(Self { version, last })
    }
}

async fn data_version(source: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA main.data_version")
        .fetch_one(source)
        .await
}

/// Returns the first table of which the copy lacks rows, with their number: rows that are older than the marks and
/// still exist.
async fn compare(
    source: &mut SqliteConnection,
    copy: &Path,
    before: &Marks,
) -> Result<Option<(String, u64)>, sqlx::Error> {
    sqlx::query("ATTACH ? AS backup")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut *source)
        .await?;
    let mut lacking = None;
    for ((table, key, order, operator), last) in TABLES.iter().zip(&before.last) {
        let Some(last) = last else { continue };
        let query = format!(
            "SELECT count(*) FROM main.{table} AS row WHERE row.{order} {operator} ? \
             AND NOT EXISTS (SELECT 1 FROM backup.{table} AS kept WHERE kept.{key} = row.{key})"
        );
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(query))
            .bind(last)
            .fetch_one(&mut *source)
            .await?;
        if rows > 0 {
            lacking = Some(((*table).to_owned(), u64::try_from(rows).unwrap_or_default()));
            break;
        }
    }
    sqlx::query("DETACH backup").execute(&mut *source).await?;
    Ok(lacking)
}

/// Returns the first table with another number of rows than the copy. Compares only if nothing has changed since
/// before the copy.
async fn compare_all(
    source: &mut SqliteConnection,
    copy: &BackupFacts,
    before: &Marks,
) -> Result<Option<(String, u64)>, sqlx::Error> {
    let rows = count_rows(source).await?;
    if data_version(source).await? != before.version {
        return Ok(None);
    }
    let differs = |(table, count): &(String, u64)| copy.rows.get(table) != Some(count);
    let table = rows.into_iter().find(differs);
    Ok(table.map(|(table, count)| {
        let copied = copy.rows.get(&table).copied().unwrap_or_default();
        (table, count.abs_diff(copied))
    }))
}

/// Returns the error of a failed copy. A full disk and errors of writes concern the target: a copy only reads the
/// database.
fn copy_error(error: sqlx::Error, database: &Path, target: &Path) -> BackupError {
    const FULL: u32 = 13;
    // `SQLITE_IOERR` with `_WRITE`, `_FSYNC`, `_DIR_FSYNC` or `_TRUNCATE`.
    const WRITES: [u32; 4] = [778, 1034, 1290, 1546];
    let code = error.as_database_error().and_then(|error| error.code());
    let code: Option<u32> = code.and_then(|code| code.parse().ok());
    let target = target.to_string_lossy();
    let written =
        |kind| StorageError::from_io("write", &target, std::io::Error::new(kind, error.to_string()));
    match code {
        Some(FULL) => written(ErrorKind::StorageFull).into(),
        Some(code) if WRITES.contains(&code) => written(ErrorKind::Other).into(),
        _ => BackupError::Database {
            path: database.to_owned(),
            source: error.into(),
        },
    }
}
