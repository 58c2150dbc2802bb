//! Options of a database.

use std::time::Duration;

/// Options of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseOptions {
    /// Maximum number of connections, in addition to the one reserved for lease renewals. At least one.
    pub connections: u32,
    /// Maximum time of one call.
    pub patience: Duration,
    /// Connection pooler in front of Postgres, if any.
    pub pooler: Pooler,
}

/// The connection pooler in front of a Postgres server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Pooler {
    /// Detects a pooler while connecting: a server accepts a parameter that poolers reject or ignore.
    #[default]
    Detect,
    /// A transaction pooler such as PgBouncer, which may run each transaction in a different session.
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
