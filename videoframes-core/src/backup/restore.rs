//! Replaces a database with a backup.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use tokio_util::sync::CancellationToken;

use super::check::{check_backup, check_copy, sibling};
use super::stop::unless_cancelled;
use super::{BackupError, BackupFacts};
use crate::storage::{FileSink, IfExists, Sink, StorageError};

/// Content of a replaced database file, which SQLite refuses to open.
const REPLACED: &[u8] = b"replaced by a restore";

/// Replaces the database at `database` with a checked copy of the backup.
///
/// The replacement is one rename: after an error, a crash or a dropped future, the database is either the old one or
/// the restored one.
///
/// # Errors
/// Returns a [`BackupError`]: [`BackupError::InUse`] while another process has the database open. After `stop` is
/// cancelled, returns [`BackupError::Cancelled`], unless the last step has begun.
pub async fn restore(
    backup: &Path,
    database: &Path,
    if_exists: IfExists,
    stop: &CancellationToken,
) -> Result<BackupFacts, BackupError> {
    check_backup(backup).await?;
    let sink = FileSink::create(database, if_exists)?;
    let prepared = async {
        copy(backup, sink.partial_path(), database).await?;
        // The copy may differ from the backup that was checked.
        let facts = check_copy(sink.partial_path(), backup).await?;
        let old = match if_exists {
            IfExists::Replace => Old::settle(database).await?,
            IfExists::Refuse => None,
        };
        Ok((facts, old))
    };
    let (facts, old) = unless_cancelled(stop, prepared).await?;
    Box::new(sink).finish().await?;
    if let Some(old) = old {
        old.invalidate();
    }
    Ok(facts)
}

async fn copy(backup: &Path, partial: &Path, database: &Path) -> Result<(), BackupError> {
    let (from, to) = (backup.to_owned(), partial.to_owned());
    let copied = tokio::task::spawn_blocking(move || {
        fs::copy(from, &to)?;
        fs::set_permissions(&to, Permissions::from_mode(0o600))
    });
    let copied = copied.await.map_err(io::Error::other).flatten();
    copied.map_err(|error| StorageError::from_io("write", &database.to_string_lossy(), error).into())
}

/// The database to be replaced, locked against all other processes.
struct Old {
    file: File,
}

impl Old {
    /// Locks an existing database, and removes its auxiliary files. SQLite would apply these to the new database.
    async fn settle(database: &Path) -> Result<Option<Self>, BackupError> {
        match lock(database)? {
            // SQLite needs the lock itself.
            Some(file) => drop(file),
            None => return Ok(None),
        }
        // Moves the write-ahead log into the database: until the rename, the old database is complete without it.
        let connect = SqliteConnectOptions::new()
            .filename(database)
            .journal_mode(SqliteJournalMode::Delete)
            .busy_timeout(std::time::Duration::ZERO);
        let settled = async { connect.connect().await?.close().await };
        let is_damaged = match settled.await {
            Ok(()) => false,
            Err(error) if is_damage(&error) => {
                tracing::warn!(%error, "the old database is damaged");
                true
            }
            Err(error) => {
                return Err(BackupError::Database {
                    path: database.to_owned(),
                    source: error.into(),
                });
            }
        };
        let Some(file) = lock(database)? else {
            return Ok(None);
        };
        let logs = ["-wal", "-journal"].map(|suffix| sibling(database, suffix));
        if let Some(log) = logs.iter().find(|log| !is_damaged && has_content(log)) {
            let error = io::Error::other("it contains changes that are not in the database");
            return Err(in_database(log, error));
        }
        for file in logs.iter().chain([&sibling(database, "-shm")]) {
            remove(file)?;
        }
        sync_folder(database)?;
        Ok(Some(Self { file }))
    }

    /// Makes the replaced file unusable, for a process that opened it before the rename and waits for its lock.
    fn invalidate(&self) {
        // Another name of the file is a copy that a user keeps.
        if self.file.metadata().is_ok_and(|file| file.nlink() == 0) {
            let written = self.file.write_all_at(REPLACED, 0);
            if let Err(error) = written {
                tracing::warn!(%error, "failed to invalidate the replaced database");
            }
        }
    }
}

/// Locks all bytes of an existing database. Each SQLite connection holds a lock on some bytes, at the latest from its
/// first statement until it is closed, since the database has a write-ahead log.
fn lock(database: &Path) -> Result<Option<File>, BackupError> {
    let failed = |error| in_database(database, error);
    let file = match File::options().read(true).write(true).open(database) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => Err(BackupError::InUse(database.to_owned())),
        Err(error) => Err(failed(error.into())),
    }
}

/// Returns whether an error shows that SQLite can never read the database. After any other error, the database may be
/// complete with its log.
fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse().ok())
        .is_some_and(is_damage_code)
}

/// Returns whether a result code, which may be extended, is `SQLITE_CORRUPT` or `SQLITE_NOTADB`.
fn is_damage_code(code: u32) -> bool {
    matches!(code & 0xff, 11 | 26)
}

fn has_content(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.len() > 0)
}

fn remove(path: &PathBuf) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(in_database(path, error)),
        _ => Ok(()),
    }
}

/// Syncs the removal of auxiliary files before the rename.
fn sync_folder(database: &Path) -> Result<(), BackupError> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
    synced.map_err(|error| in_database(database, error))
}

fn in_database(path: &Path, error: io::Error) -> BackupError {
    BackupError::Database {
        path: path.to_owned(),
        source: error.into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_damage_permits_the_removal_of_a_log() {
        // Corrupt, corrupt index, no database; busy, I/O error, I/O error of a write, full, cannot open, read-only.
        for (code, expected) in [
            (11, true),
            (779, true),
            (26, true),
            (5, false),
            (10, false),
            (778, false),
        ] {
            assert_eq!(is_damage_code(code), expected, "{code}");
        }
        for code in [13, 14, 8] {
            assert!(!is_damage_code(code), "{code}");
        }
    }

    /// Creates a database whose last rows are only in its log, as after a kill.
    async fn with_log(folder: &Path) -> PathBuf {
        let (live, database) = (folder.join("live"), folder.join("database"));
        let options = SqliteConnectOptions::new()
            .filename(&live)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let mut connection = options.connect().await.unwrap();
        for statement in ["CREATE TABLE t (n)", "INSERT INTO t VALUES (1)"] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        for suffix in ["", "-wal"] {
            fs::copy(sibling(&live, suffix), sibling(&database, suffix)).unwrap();
        }
        assert!(has_content(&sibling(&database, "-wal")));
        database
    }

    #[tokio::test]
    async fn an_old_database_keeps_its_log_unless_the_log_was_applied() {
        let folder = tempfile::tempdir().unwrap();
        let database = with_log(folder.path()).await;
        // SQLite cannot use the log without this file.
        let shared = sibling(&database, "-shm");
        fs::create_dir(&shared).unwrap();
        let failed = Old::settle(&database).await;
        assert!(matches!(failed, Err(BackupError::Database { .. })));
        assert!(has_content(&sibling(&database, "-wal")));
        fs::remove_dir(&shared).unwrap();
        assert!(Old::settle(&database).await.unwrap().is_some());
        assert!(!sibling(&database, "-wal").exists());
        let options = SqliteConnectOptions::new().filename(&database);
        let mut connection = options.connect().await.unwrap();
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM t")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(rows, 1);
    }

    #[tokio::test]
    async fn a_damaged_database_can_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let database = with_log(folder.path()).await;
        fs::write(&database, [0xff; 4096]).unwrap();
        assert!(Old::settle(&database).await.unwrap().is_some());
        assert!(!sibling(&database, "-wal").exists());
    }
}
