//! Errors of a connection.

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
}

/// Errors of a connection. Never contain a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The type of the address is unknown, or not supported by this build.
    #[error(
        "the database address is neither postgres://… nor sqlite:… nor a file path, or this build does not support it"
    )]
    Unsupported,
    /// The address cannot be parsed.
    #[error("the database address is invalid")]
    InvalidAddress {
        /// Error of the parser.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database is unreachable or returned an unexpected answer.
    #[error("failed to connect to the database {database}")]
    Unavailable {
        /// Name of the database, without a password.
        database: String,
        /// Error of the client.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
