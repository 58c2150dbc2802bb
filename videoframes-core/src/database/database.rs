//! A database, its time and its transactions.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, SqliteTransactionMode,
    StatementBuilder, TransactionOptions, TransactionTrait,
};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

#[cfg(feature = "postgres")]
use super::postgres;
use super::retry::{Effect, Retries, is_lost};
#[cfg(feature = "sqlite")]
use super::sqlite;
use super::{DatabaseError, DatabaseOptions, Opened, PoolStatus, Session, migration};
use crate::clock::millis;

/// Upper limit of the configured patience.
const MAX_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A database; clones share their connections.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    pool: DatabaseConnection,
    /// Connection reserved for lease renewals: a lease that is not renewed in time is lost work.
    reserved: DatabaseConnection,
    /// Whether a pooler may run each transaction in a different session.
    shared: bool,
    patience: Duration,
    retries: Retries,
    /// Renews the password of new connections, until the last clone is dropped.
    _renewal: Option<AbortOnDropHandle<()>>,
    /// Lock for SQLite, which has one writer at a time. Writers in this process queue here, which is fair and
    /// wakes the next writer at once; SQLite's own busy handler is neither.
    write_lock: Option<Arc<Mutex<()>>>,
    /// Notifies receives in this process of new messages, by queue.
    arrivals: std::sync::Mutex<HashMap<String, Arc<Notify>>>,
    #[cfg(feature = "testing")]
    offset: std::sync::atomic::AtomicI64,
}

impl Database {
    /// Connects to `postgres://user:password@host:port/database?…`, or opens `sqlite:path` or a plain path.
    /// Creates a missing file.
    ///
    /// # Errors
    /// Returns a [`DatabaseError`]; only [`DatabaseError::Unavailable`] may be temporary.
    pub async fn connect(address: &str, options: &DatabaseOptions) -> Result<Self, DatabaseError> {
        let options = &DatabaseOptions {
            // Both databases store milliseconds in an `i32`, and Postgres treats zero as unlimited.
            patience: options.patience.clamp(Duration::from_millis(1), MAX_PATIENCE),
            ..options.clone()
        };
        let opened = open(address, options).await?;
        let sqlite = opened.pool.get_database_backend() == DbBackend::Sqlite;
        Ok(Self {
            shared: Arc::new(Shared {
                name: opened.name,
                pool: opened.pool,
                reserved: opened.reserved,
                shared: opened.shared,
                patience: options.patience,
                retries: opened.retries,
                _renewal: opened.renewal,
                write_lock: sqlite.then(Arc::default),
                arrivals: std::sync::Mutex::default(),
                #[cfg(feature = "testing")]
                offset: std::sync::atomic::AtomicI64::new(0),
            }),
        })
    }

    /// Updates the schema if necessary; see [`migration::migrate`].
    ///
    /// # Errors
    /// Returns a [`migration::MigrationError`]: [`migration::MigrationError::SchemaOlder`] through a pooler,
    /// since a migration needs a session.
    pub async fn migrate(&self) -> Result<(), migration::MigrationError> {
        match self.shared.shared {
            true => self.check_schema().await,
            false => migration::migrate(&self.shared.pool).await,
        }
    }

    /// Checks that this program is compatible with the schema; see [`migration::check`].
    ///
    /// # Errors
    /// Returns a [`migration::MigrationError`] if it is not.
    pub async fn check_schema(&self) -> Result<(), migration::MigrationError> {
        let reader = self.reader().await;
        let reader = reader.map_err(|source| migration::MigrationError::Database {
            action: "read the state of the migrations",
            source,
        })?;
        migration::check(&reader).await
    }

    /// Returns the number of migrations that are applied to the database.
    ///
    /// # Errors
    /// Returns [`MigrationError::Database`](migration::MigrationError::Database) if the database does not respond.
    pub async fn schema_version(&self) -> Result<usize, migration::MigrationError> {
        let reader = self.reader().await;
        let reader = reader.map_err(|source| migration::MigrationError::Database {
            action: "read the state of the migrations",
            source,
        })?;
        let states = migration::status(&reader).await?;
        let applied =
            |state: &&migration::MigrationState| state.status == migration::MigrationStatus::Applied;
        Ok(states.iter().filter(applied).count())
    }

    /// Returns whether a pooler may run each transaction in a different session.
    pub fn is_pooled(&self) -> bool {
        self.shared.shared
    }

    /// Returns the pool, for statements outside this library.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.shared.pool
    }

    /// Returns the number of open connections, and how many of them are idle.
    pub fn pool_status(&self) -> PoolStatus {
        let pools = [&self.shared.pool, &self.shared.reserved];
        let (mut open, mut idle) = (0, 0);
        for pool in pools {
            let (size, free) = match pool.get_database_backend() {
                #[cfg(feature = "postgres")]
                DbBackend::Postgres => {
                    let pool = pool.get_postgres_connection_pool();
                    (pool.size(), pool.num_idle())
                }
                #[cfg(feature = "sqlite")]
                DbBackend::Sqlite => {
                    let pool = pool.get_sqlite_connection_pool();
                    (pool.size(), pool.num_idle())
                }
                _ => (0, 0),
            };
            open += u64::from(size);
            idle += free as u64;
        }
        PoolStatus { open, idle }
    }

    /// Pings the database.
    ///
    /// # Errors
    /// Returns [`DatabaseError::Unavailable`] if the database does not respond.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        let answer = self
            .shared
            .retries
            .run(Effect::Repeatable, || self.shared.pool.ping());
        let answer = within(self.shared.patience, answer).await;
        answer.map_err(|source| DatabaseError::Unavailable {
            database: self.shared.name.clone(),
            source: source.into(),
        })
    }

    /// Waits for running statements and closes all connections. Later calls fail.
    pub async fn close(&self) {
        for pool in [&self.shared.pool, &self.shared.reserved] {
            // The connections close in any case; an error here has no consequence.
            let _ = pool.clone().close().await;
        }
    }

    /// Advances the time of this value and its clones.
    #[cfg(feature = "testing")]
    pub fn advance(&self, by: Duration) {
        let offset = &self.shared.offset;
        offset.fetch_add(millis(by), std::sync::atomic::Ordering::SeqCst);
    }

    /// Returns the database's time in milliseconds since the epoch, constant within one statement.
    ///
    /// On Postgres this is `statement_timestamp()`: the time of a transaction would not advance, and
    /// `clock_timestamp()` would change within a statement.
    pub(crate) fn now(&self) -> Expr {
        let now = match self.shared.pool.get_database_backend() {
            DbBackend::Postgres => {
                Expr::cust("CAST(FLOOR(EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP()) * 1000) AS bigint)")
            }
            _ => Expr::cust("CAST(ROUND(UNIXEPOCH('subsec') * 1000) AS integer)"),
        };
        #[cfg(feature = "testing")]
        let now = now.add(self.shared.offset.load(std::sync::atomic::Ordering::SeqCst));
        now
    }

    /// Returns the monotonic time for intervals. Tests advance it together with the time of the database.
    pub(crate) fn instant(&self) -> Instant {
        let now = Instant::now();
        #[cfg(feature = "testing")]
        let now = {
            let offset = self.shared.offset.load(std::sync::atomic::Ordering::SeqCst);
            now + Duration::from_millis(offset.unsigned_abs())
        };
        now
    }

    /// Returns the time `by` from now.
    pub(crate) fn later(&self, by: Duration) -> Expr {
        self.now().add(millis(by.min(FAR)))
    }

    /// Returns the time `by` ago.
    pub(crate) fn earlier(&self, by: Duration) -> Expr {
        self.now().sub(millis(by.min(FAR)))
    }

    pub(crate) fn patience(&self) -> Duration {
        self.shared.patience
    }

    /// Begins a transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Session, DbErr> {
        #[cfg(feature = "postgres")]
        if self.shared.shared {
            return self.begin_shared(&self.shared.pool).await;
        }
        let write_guard = self.write_guard().await;
        // With a deferred transaction, SQLite does not upgrade a reader with an old snapshot to a writer,
        // however long the busy timeout is.
        let immediate = write_guard.is_some().then_some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions {
            sqlite_transaction_mode: immediate,
            ..TransactionOptions::default()
        };
        let begin = || self.shared.pool.begin_with_options(options);
        let transaction = self.shared.retries.run(Effect::Repeatable, begin).await?;
        Ok(Session::transaction(transaction, write_guard))
    }

    /// Returns a session for reads.
    pub(crate) async fn reader(&self) -> Result<Session, DbErr> {
        #[cfg(feature = "postgres")]
        if self.shared.shared {
            return self.begin_shared(&self.shared.pool).await;
        }
        Ok(Session::pool(&self.shared.pool, &self.shared.retries))
    }

    #[cfg(feature = "postgres")]
    async fn begin_shared(&self, pool: &DatabaseConnection) -> Result<Session, DbErr> {
        let pool = pool.get_postgres_connection_pool();
        let begin = async || {
            let transaction = postgres::begin_shared(pool, self.shared.patience).await;
            transaction.map_err(super::session::query_error)
        };
        let transaction = self.shared.retries.run(Effect::Repeatable, begin).await?;
        Ok(Session::shared(transaction))
    }

    /// Runs one write statement in its own transaction, and returns its rows.
    pub(crate) async fn run<S: StatementBuilder + Sync>(
        &self,
        statement: &S,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let _write_guard = self.write_guard().await;
        self.run_on(&self.shared.pool, Effect::Once, statement).await
    }

    /// Runs like [`Self::run`], on the reserved connection. Repeats the statement if its connection was lost: a
    /// second run must change nothing.
    pub(crate) async fn run_reserved<S: StatementBuilder + Sync>(
        &self,
        statement: &S,
    ) -> Result<Vec<QueryResult>, DbErr> {
        self.run_on(&self.shared.reserved, Effect::Repeatable, statement)
            .await
    }

    async fn run_on<S: StatementBuilder + Sync>(
        &self,
        pool: &DatabaseConnection,
        effect: Effect,
        statement: &S,
    ) -> Result<Vec<QueryResult>, DbErr> {
        #[cfg(feature = "postgres")]
        if self.shared.shared {
            let session = self.begin_shared(pool).await?;
            let rows = session.query_all(statement).await?;
            session.commit().await?;
            return Ok(rows);
        }
        // Fetches all rows, even if there can be only one: the commit has succeeded only after the last row.
        let query = || pool.query_all(statement);
        let rows = self.shared.retries.run(effect, query).await;
        if rows.as_ref().is_err_and(is_lost) {
            // The server probably ended other idle connections too, and each would fail another call. The ping
            // discards them.
            let _ = self.ping().await;
        }
        rows
    }

    /// Returns whether `query` finds no rows, so that the write can be skipped.
    ///
    /// Queries only SQLite, where every writer blocks all others.
    pub(crate) async fn has_none<S: StatementBuilder + Sync>(&self, query: &S) -> Result<bool, DbErr> {
        Ok(self.shared.write_lock.is_some() && self.shared.pool.query_one(query).await?.is_none())
    }

    async fn write_guard(&self) -> Option<OwnedMutexGuard<()>> {
        match &self.shared.write_lock {
            Some(write_lock) => Some(Arc::clone(write_lock).lock_owned().await),
            None => None,
        }
    }

    /// Returns the notifier for messages that this process sends to `queue`.
    pub(crate) fn arrivals(&self, queue: &str) -> Arc<Notify> {
        let mut arrivals = self
            .shared
            .arrivals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(arrivals.entry(queue.to_owned()).or_default())
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

/// A thousand years: adding or subtracting this cannot overflow the time.
const FAR: Duration = Duration::from_secs(1000 * 366 * 24 * 3600);

/// Returns the output of `work`, or an error after `patience`: a vanished peer does not close its connection.
pub(crate) async fn within<T, E: From<DbErr>>(
    patience: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => done,
        Err(_) => Err(DbErr::Custom(format!("no answer within {patience:?}")).into()),
    }
}

async fn open(address: &str, options: &DatabaseOptions) -> Result<Opened, DatabaseError> {
    #[cfg(feature = "postgres")]
    if address.starts_with("postgres://") || address.starts_with("postgresql://") {
        return postgres::open(address, options).await;
    }
    #[cfg(feature = "sqlite")]
    if let Some(path) = sqlite::path(address) {
        return sqlite::open(path, options).await;
    }
    // The address is not shown: it may contain a password and a typing error.
    let _ = options;
    Err(DatabaseError::Unsupported)
}
