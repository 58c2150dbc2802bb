//! Errors of a connection.

use std::path::PathBuf;

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
    /// A setting of TLS in the address or the environment contradicts the options.
    #[error("{setting} contradicts {option}")]
    TlsConflict {
        /// The setting of the address or the environment.
        setting: String,
        /// The option, or the default.
        option: String,
    },
    /// The file of certificate authorities cannot be used.
    #[error("failed to read certificates from the CA file '{}'", path.display())]
    CaFile {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// The credentials returned no first password.
    #[error("failed to get the password of the database {database}")]
    Credentials {
        /// Name of the database, without a password.
        database: String,
        /// Error of the credentials.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server does not support TLS, or its certificate is not trusted.
    #[error("failed to establish TLS with the database {database}")]
    Tls {
        /// Name of the database, without a password.
        database: String,
        /// Error of the client.
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
