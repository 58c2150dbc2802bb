//! Replaces a database with a backup.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sea_orm::sqlx::{ConnectOptions, Connection};

use super::check::{check_backup, check_copy, sibling};
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
/// Returns a [`BackupError`]: [`BackupError::InUse`] while another process has the database open.
pub async fn restore(
    backup: &Path,
    database: &Path,
    if_exists: IfExists,
) -> Result<BackupFacts, BackupError> {
    check_backup(backup).await?;
    let sink = FileSink::create(database, if_exists)?;
    let partial = sink.partial_path().to_owned();
    let target_error = |error| StorageError::from_io("write", &database.to_string_lossy(), error);
    let (from, to) = (backup.to_owned(), partial.clone());
    let copied = tokio::task::spawn_blocking(move || {
        fs::copy(from, &to)?;
        fs::set_permissions(&to, Permissions::from_mode(0o600))
    });
    copied
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(target_error)?;
    // The copy may differ from the backup that was checked.
    let facts = check_copy(&partial, backup).await?;
    let old = match if_exists {
        IfExists::Replace => Old::settle(database).await?,
        IfExists::Refuse => None,
    };
    Box::new(sink).finish().await?;
    if let Some(old) = old {
        old.invalidate();
    }
    Ok(facts)
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
        match connect.connect().await {
            // A failed close leaves a log, which is removed below.
            Ok(connection) => drop(connection.close().await),
            Err(error) => {
                tracing::warn!(%error, "failed to close the old database; it may be damaged");
            }
        }
        let Some(file) = lock(database)? else {
            return Ok(None);
        };
        for suffix in ["-wal", "-shm", "-journal"] {
            remove(&sibling(database, suffix))?;
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
