//! Options of a database.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{DatabaseCredentials, DatabaseTls};

/// Options of a database.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DatabaseOptions {
    /// Maximum number of connections, in addition to the one reserved for lease renewals. At least one.
    pub connections: u32,
    /// Maximum time of one call.
    pub patience: Duration,
    /// Connection pooler in front of Postgres, if any.
    pub pooler: Pooler,
    /// TLS of connections to Postgres. By default [`DatabaseTls::VerifyFull`], except to this machine, where the
    /// address decides.
    pub tls: Option<DatabaseTls>,
    /// PEM file of certificate authorities that are trusted in addition to those of the system. Without `tls`, implies
    /// [`DatabaseTls::VerifyFull`].
    pub tls_ca_file: Option<PathBuf>,
    /// Source of the password for Postgres, instead of the address.
    pub credentials: Option<Arc<dyn DatabaseCredentials>>,
}

/// The connections of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PoolStatus {
    /// Open connections, in use or idle.
    pub open: u64,
    /// Idle connections.
    pub idle: u64,
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
            tls: None,
            tls_ca_file: None,
            credentials: None,
        }
    }
}

impl DatabaseOptions {
    /// Sets the maximum number of connections, in addition to the one reserved for lease renewals.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }

    /// Sets the maximum time of one call.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the connection pooler in front of Postgres.
    #[must_use]
    pub fn pooler(mut self, pooler: Pooler) -> Self {
        self.pooler = pooler;
        self
    }

    /// Sets the TLS of connections to Postgres.
    #[must_use]
    pub fn tls(mut self, tls: DatabaseTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the file of additional certificate authorities.
    #[must_use]
    pub fn tls_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls_ca_file = Some(path.into());
        self
    }

    /// Sets the source of the password for Postgres.
    #[must_use]
    pub fn credentials(mut self, credentials: Arc<dyn DatabaseCredentials>) -> Self {
        self.credentials = Some(credentials);
        self
    }
}
