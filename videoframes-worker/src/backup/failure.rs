//! Failures of backups and restores.

use std::path::Path;

use videoframes_console::{Failure, exit};
use videoframes_core::backup::BackupError;
use videoframes_core::storage::StorageError;

/// Creates the failure of `vf-worker backup`.
pub(super) fn of_backup(error: &BackupError) -> Failure {
    match error {
        BackupError::Cancelled => Failure::because(exit::CANCELLED, error),
        BackupError::Target(error) => Failure::of_output(error),
        BackupError::Incomplete { .. } => Failure::because(exit::DIFFERS, error)
            .hint("repeat the backup; the clock of the machine may have changed"),
        // The copy was made a moment ago: the database itself is damaged.
        BackupError::Unusable { .. } | BackupError::Schema { .. } => {
            Failure::because(exit::UNAVAILABLE, error)
                .hint("the database has the same problem; restore the last good backup")
        }
        _ => Failure::because(exit::UNAVAILABLE, error),
    }
}

/// Creates the failure of `vf-worker restore`.
pub(super) fn of_restore(error: &BackupError) -> Failure {
    match error {
        BackupError::Cancelled => Failure::because(exit::CANCELLED, error),
        BackupError::Target(StorageError::AlreadyExists(_)) => {
            Failure::because(exit::OUTPUT_EXISTS, error).hint("-y replaces the existing database")
        }
        BackupError::Target(error) => Failure::of_output(error),
        BackupError::Backup { .. } | BackupError::Unusable { .. } => {
            Failure::because(exit::NOT_FOUND, error).hint("nothing was changed; restore another backup")
        }
        BackupError::Schema { .. } => Failure::because(exit::SCHEMA, error).hint(
            "nothing was changed; use the version of vf-worker that made the backup, or a newer version",
        ),
        BackupError::InUse(_) => Failure::because(exit::UNAVAILABLE, error)
            .hint("stop all workers and other programs that use the database"),
        _ => Failure::because(exit::UNAVAILABLE, error),
    }
}

/// Creates the failure of a command that Postgres has no use for.
pub(super) fn of_postgres(command: &str) -> Failure {
    let text = format!("'{command}' is for SQLite, and DATABASE_URL names a Postgres");
    Failure::new(exit::USAGE, text)
        .hint("use pgBackRest, or on Amazon RDS its backups and point-in-time recovery (docs/backup.md)")
}

/// Creates the failure of a finished command whose time cannot be recorded.
pub(super) fn of_times(path: &Path, error: &StorageError) -> Failure {
    let text = format!(
        "the command succeeded, but its time cannot be written to '{}': {}",
        path.display(),
        videoframes_core::error::chain(error)
    );
    Failure::new(exit::OUTPUT, text)
        .hint("--metrics-file and VF_BACKUP_METRICS name files in existing folders")
}
