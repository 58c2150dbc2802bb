//! Backups of SQLite databases: written while others use the database, and checked before they count.
//!
//! A backup is a complete SQLite database in one file. Postgres has separate tools (`docs/backup.md`).

mod check;
mod error;
mod restore;
mod stop;
mod write;

pub use self::check::{BackupFacts, check_backup};
pub use self::error::BackupError;
pub use self::restore::restore;
pub use self::write::back_up;
