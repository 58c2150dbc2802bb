//! Errors of backups and restores.

use std::path::PathBuf;

use crate::database::migration::MigrationError;
use crate::storage::StorageError;

/// Errors of a backup or a restore. After an error, the target is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The database cannot be read.
    #[error("failed to read the database '{}'", path.display())]
    Database {
        /// Path of the database.
        path: PathBuf,
        /// Error of SQLite.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The backup is missing or cannot be opened.
    #[error("failed to open the backup '{}'", path.display())]
    Backup {
        /// Path of the backup.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The backup is no complete, undamaged database of jobs.
    #[error("the backup '{}' is unusable: {reason}", path.display())]
    Unusable {
        /// Path of the backup.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// The backup has a schema that this program cannot use.
    #[error("the backup '{}' has an incompatible schema", path.display())]
    Schema {
        /// Path of the backup.
        path: PathBuf,
        /// Difference between the schema and this program.
        source: MigrationError,
    },
    /// A comparison with the database found rows that the copy lacks.
    #[error("the copy of the database '{}' lacks {rows} rows of the table {table}", path.display())]
    Incomplete {
        /// Path of the database.
        path: PathBuf,
        /// Table with missing rows.
        table: String,
        /// Number of missing rows.
        rows: u64,
    },
    /// Another process uses the database.
    #[error("the database '{}' is in use", .0.display())]
    InUse(PathBuf),
    /// The operation was cancelled before its last step.
    #[error("cancelled; nothing was changed")]
    Cancelled,
    /// The target exists, or cannot be written.
    #[error(transparent)]
    Target(#[from] StorageError),
}
