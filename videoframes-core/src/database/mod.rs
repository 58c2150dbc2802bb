//! Databases for jobs and queues: Postgres, or a SQLite file.
//!
//! The time is the database's own, read inside the statement that compares or writes it. This way processes
//! on several machines agree on the time, whatever their clocks show.

mod credentials;
mod database;
mod error;
mod opened;
mod options;
#[cfg(feature = "postgres")]
mod passwords;
#[cfg(feature = "postgres")]
mod postgres;
mod retry;
mod session;
#[cfg(feature = "sqlite")]
mod sqlite;
mod text;
mod tls;
#[cfg(feature = "postgres")]
mod tls_plan;

pub use videoframes_migration as migration;

pub use self::credentials::{DatabaseCredentials, DatabaseLogin, DatabasePassword};
pub use self::database::Database;
pub(crate) use self::database::within;
pub use self::error::DatabaseError;
use self::opened::Opened;
pub use self::options::{DatabaseOptions, PoolStatus, Pooler};
pub(crate) use self::session::Session;
pub(crate) use self::text::text;
pub use self::tls::DatabaseTls;
