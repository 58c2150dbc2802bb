//! Errors of a connection.

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
