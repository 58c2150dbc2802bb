//! Databases that jobs and queues are kept in: Postgres, or a SQLite file.
//!
//! Time is the database's own, read inside the statement that compares or writes it: programs on several
//! machines agree on it, whatever their clocks say.

#[cfg(feature = "postgres")]
mod postgres;
mod session;
#[cfg(feature = "sqlite")]
mod sqlite;

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

pub use videoframes_migration as migration;

pub(crate) use self::session::Session;
use crate::clock::millis;

/// More than this is not waited for an answer, whatever the options say.
const LONGEST_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How a database is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseOptions {
    /// Most connections, besides the one that is kept for renewing leases. At least one.
    pub connections: u32,
    /// How long one call may take altogether before it counts as failed.
    pub patience: Duration,
    /// The connection pooler in front of Postgres, if any.
    pub pooler: Pooler,
}

/// The connection pooler in front of a Postgres server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooler {
    /// To be found out when connecting: a server takes a parameter that poolers refuse or ignore.
    #[default]
    Detect,
    /// A pooler such as PgBouncer, which may give each transaction another session.
    Transaction,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            connections: 8,
            patience: Duration::from_secs(30),
            pooler: Pooler::Detect,
        }
    }
}

/// Why there is no connection. Never shows a password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address is of no kind that this program was built for.
    #[error(
        "the database's address is neither postgres://… nor sqlite:… nor the path of a file, or support for \
         it was not built in"
    )]
    Unsupported,
    /// The address cannot be read.
    #[error("the database's address cannot be read")]
    InvalidAddress {
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database cannot be reached, or does not answer as it should.
    #[error("cannot connect to the database {database}")]
    Unavailable {
        /// The database, without a password.
        database: String,
        /// What its client said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A database; clones share their connections.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    pool: DatabaseConnection,
    /// One connection that nothing else can keep busy: a lease that is not renewed is lost work.
    reserved: DatabaseConnection,
    /// Whether a pooler gives each transaction another session.
    shared: bool,
    patience: Duration,
    /// SQLite has one writer at a time. Inside this program they queue here, which is fair and wakes the
    /// next one at once; its own waiting is neither.
    turns: Option<Arc<Mutex<()>>>,
    /// By queue: tells those who wait for a message in this program that there is one.
    arrivals: std::sync::Mutex<HashMap<String, Arc<Notify>>>,
    #[cfg(feature = "testing")]
    offset: std::sync::atomic::AtomicI64,
}

/// What a backend gives: its name for people, the pool, the reserved connection, and whether a pooler gives
/// each transaction another session.
struct Opened {
    name: String,
    pool: DatabaseConnection,
    reserved: DatabaseConnection,
    shared: bool,
}

impl Database {
    /// Connects to `postgres://user:password@host:port/database?…`, or opens `sqlite:path` or just a path;
    /// a missing file is made.
    ///
    /// # Errors
    /// [`DatabaseError`]; of these only [`DatabaseError::Unavailable`] may go away by itself.
    pub async fn connect(address: &str, options: &DatabaseOptions) -> Result<Self, DatabaseError> {
        let options = &DatabaseOptions {
            // Both databases count milliseconds in an `i32`, and Postgres takes none for no limit.
            patience: options.patience.clamp(Duration::from_millis(1), LONGEST_PATIENCE),
            ..*options
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
                turns: sqlite.then(Arc::default),
                arrivals: std::sync::Mutex::default(),
                #[cfg(feature = "testing")]
                offset: std::sync::atomic::AtomicI64::new(0),
            }),
        })
    }

    /// Brings the schema up to date; see [`migration::migrate`]. Does nothing where that is not needed.
    ///
    /// # Errors
    /// [`migration::MigrationError`]; [`migration::MigrationError::SchemaOlder`] through a pooler, which has no
    /// session to migrate in.
    pub async fn migrate(&self) -> Result<(), migration::MigrationError> {
        match self.shared.shared {
            true => self.check_schema().await,
            false => migration::migrate(&self.shared.pool).await,
        }
    }

    /// Whether this program can work with the schema; see [`migration::check`].
    ///
    /// # Errors
    /// [`migration::MigrationError`].
    pub async fn check_schema(&self) -> Result<(), migration::MigrationError> {
        let reader = self.reader().await;
        let reader = reader.map_err(|source| migration::MigrationError::Database {
            action: "read the state of the migrations",
            source,
        })?;
        migration::check(&reader).await
    }

    /// Whether a pooler gives each transaction another session.
    pub fn is_pooled(&self) -> bool {
        self.shared.shared
    }

    /// The pool, for what this library does not do itself.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.shared.pool
    }

    /// Asks for an answer.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`].
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        let answer = within(self.shared.patience, self.shared.pool.ping()).await;
        answer.map_err(|source| DatabaseError::Unavailable {
            database: self.shared.name.clone(),
            source: source.into(),
        })
    }

    /// Waits for what is under way and closes all connections. Calls that come later fail.
    pub async fn close(&self) {
        for pool in [&self.shared.pool, &self.shared.reserved] {
            // It closes them in any case; what a connection still has to say helps nobody.
            let _ = pool.clone().close().await;
        }
    }

    /// Moves this database's time forward, for this value and its clones only.
    #[cfg(feature = "testing")]
    pub fn advance(&self, by: Duration) {
        let offset = &self.shared.offset;
        offset.fetch_add(millis(by), std::sync::atomic::Ordering::SeqCst);
    }

    /// The database's time in milliseconds since the epoch: the same everywhere in one statement.
    ///
    /// Of Postgres' clocks `statement_timestamp()` is read: a transaction's would stand still, and
    /// `clock_timestamp()` would give one row several times that should be one.
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

    /// The time in so much time.
    pub(crate) fn later(&self, by: Duration) -> Expr {
        self.now().add(millis(by.min(FAR)))
    }

    /// The time so much time ago.
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
        let turn = self.turn().await;
        // Without it, SQLite refuses to make a writer of a reader whose view is old, however long it
        // may wait.
        let immediate = turn.is_some().then_some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions {
            sqlite_transaction_mode: immediate,
            ..TransactionOptions::default()
        };
        let transaction = self.shared.pool.begin_with_options(options).await?;
        Ok(Session::transaction(transaction, turn))
    }

    /// Where to read from.
    pub(crate) async fn reader(&self) -> Result<Session, DbErr> {
        #[cfg(feature = "postgres")]
        if self.shared.shared {
            return self.begin_shared(&self.shared.pool).await;
        }
        Ok(Session::pool(&self.shared.pool))
    }

    #[cfg(feature = "postgres")]
    async fn begin_shared(&self, pool: &DatabaseConnection) -> Result<Session, DbErr> {
        let pool = pool.get_postgres_connection_pool();
        let transaction = postgres::begin_shared(pool, self.shared.patience).await;
        transaction.map(Session::shared).map_err(session::query_error)
    }

    /// Runs one statement that writes, as a transaction of its own, and gives what it returns.
    pub(crate) async fn run<S: StatementBuilder + Sync>(
        &self,
        statement: &S,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let _turn = self.turn().await;
        self.run_on(&self.shared.pool, statement).await
    }

    /// Like [`Self::run`], on the connection that nothing else uses.
    pub(crate) async fn run_reserved<S: StatementBuilder + Sync>(
        &self,
        statement: &S,
    ) -> Result<Vec<QueryResult>, DbErr> {
        self.run_on(&self.shared.reserved, statement).await
    }

    async fn run_on<S: StatementBuilder + Sync>(
        &self,
        pool: &DatabaseConnection,
        statement: &S,
    ) -> Result<Vec<QueryResult>, DbErr> {
        #[cfg(feature = "postgres")]
        if self.shared.shared {
            let session = self.begin_shared(pool).await?;
            let rows = session.query_all(statement).await?;
            session.commit().await?;
            return Ok(rows);
        }
        // All rows, even where there can be but one: only behind the last one it is known that the
        // commit was no failure.
        pool.query_all(statement).await
    }

    /// Whether it is not even worth to ask for a change, as `look` finds nothing that would be changed. Only
    /// asked of SQLite, where whoever wants to write keeps all others from writing.
    pub(crate) async fn has_none<S: StatementBuilder + Sync>(&self, look: &S) -> Result<bool, DbErr> {
        Ok(self.shared.turns.is_some() && self.shared.pool.query_one(look).await?.is_none())
    }

    async fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        match &self.shared.turns {
            Some(turns) => Some(Arc::clone(turns).lock_owned().await),
            None => None,
        }
    }

    /// What tells this program of messages that it sends to `queue` itself.
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

/// A thousand years: what is added to or taken from the time cannot overflow it.
const FAR: Duration = Duration::from_secs(1000 * 366 * 24 * 3600);

/// What `work` gives, or an error where it takes too long: a peer that vanished does not say so.
pub(crate) async fn within<T, E: From<DbErr>>(
    patience: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => done,
        Err(_) => Err(DbErr::Custom(format!("no answer within {patience:?}")).into()),
    }
}

/// A text as both databases can keep it: Postgres has no zero bytes.
pub(crate) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
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
    // Not shown: it may be an address with a password and a spelling mistake.
    let _ = options;
    Err(DatabaseError::Unsupported)
}
