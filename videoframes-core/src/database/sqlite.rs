//! Connections to SQLite files.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sea_orm::SqlxSqliteConnector;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::sqlx::{self, SqlitePool};

use super::retry::Retries;
use super::{DatabaseError, DatabaseOptions, Opened};

/// Returns the path of a file address; `None` for other addresses.
pub(super) fn path(address: &str) -> Option<PathBuf> {
    let path = match address.strip_prefix("sqlite:") {
        Some(path) => path.strip_prefix("//").unwrap_or(path),
        // A text with a colon is more likely another type of address.
        None if address.contains(':') => return None,
        None => address,
    };
    // An in-memory database would be separate for each connection.
    let file = !path.is_empty() && path != ":memory:";
    file.then(|| PathBuf::from(path))
}

/// Creates a missing file with access for its owner only, whatever the umask. SQLite copies the permissions
/// of the database to its auxiliary files, and reports errors of the path.
fn create_private(path: &Path) {
    let mut file = File::options();
    let created = file.write(true).create_new(true).mode(0o600).open(path);
    if let Err(error) = created {
        tracing::trace!(%error, "the database exists, or cannot be created");
    }
}

pub(super) async fn open(path: PathBuf, options: &DatabaseOptions) -> Result<Opened, DatabaseError> {
    create_private(&path);
    let connect = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // With less, a power failure may revert a commit.
        .synchronous(SqliteSynchronous::Full)
        // Shorter than the maximum time of a call, so that the error states the reason.
        .busy_timeout(options.patience / 2);
    let unavailable = |source: sqlx::Error| DatabaseError::Unavailable {
        database: format!("'{}'", path.display()),
        source: source.into(),
    };
    let pool = connect_first(options, &connect).await.map_err(unavailable)?;
    let reserved = self::pool(options, 1).connect_lazy_with(connect);
    Ok(Opened {
        name: path.display().to_string(),
        pool: SqlxSqliteConnector::from_sqlx_sqlite_pool(pool),
        reserved: SqlxSqliteConnector::from_sqlx_sqlite_pool(reserved),
        shared: false,
        retries: Retries::default(),
        renewal: None,
    })
}

fn pool(options: &DatabaseOptions, connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(options.patience)
        .test_before_acquire(false)
}

/// Changing the journal mode of a new file needs exclusive access, without a wait for it. Of several
/// processes that start at once, all but one have to retry.
async fn connect_first(
    options: &DatabaseOptions,
    connect: &SqliteConnectOptions,
) -> Result<SqlitePool, sqlx::Error> {
    let started = Instant::now();
    loop {
        let pool = pool(options, options.connections.max(1));
        match pool.connect_with(connect.clone()).await {
            Err(error) if is_busy(&error) && started.elapsed() < options.patience => {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(5..50))).await;
            }
            done => return done,
        }
    }
}

/// `SQLITE_BUSY` or one of its extended codes, which have the same lowest byte.
fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_addresses_are_distinguished_from_others() {
        for (address, expected) in [
            ("sqlite:jobs.db", Some("jobs.db")),
            ("sqlite:///var/lib/jobs.db", Some("/var/lib/jobs.db")),
            ("sqlite://jobs.db", Some("jobs.db")),
            ("/var/lib/jobs 100%.db", Some("/var/lib/jobs 100%.db")),
            ("sqlite::memory:", None),
            ("postgress://user:secret@host/db", None),
            ("", None),
        ] {
            assert_eq!(path(address), expected.map(PathBuf::from), "{address}");
        }
    }
}
