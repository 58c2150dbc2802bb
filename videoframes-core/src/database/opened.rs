//! The connections of a backend.

use sea_orm::DatabaseConnection;

/// The connections of a backend: its display name, the pool, the reserved connection, and whether a pooler
/// may run each transaction in a different session.
pub(super) struct Opened {
    pub(super) name: String,
    pub(super) pool: DatabaseConnection,
    pub(super) reserved: DatabaseConnection,
    pub(super) shared: bool,
}
