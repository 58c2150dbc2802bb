//! The connections of a backend.

use sea_orm::DatabaseConnection;
use tokio_util::task::AbortOnDropHandle;

use super::retry::Retries;

/// The connections of a backend.
pub(super) struct Opened {
    /// Name for errors and logs.
    pub(super) name: String,
    pub(super) pool: DatabaseConnection,
    /// Connection reserved for lease renewals.
    pub(super) reserved: DatabaseConnection,
    /// Whether a pooler may run each transaction in a different session.
    pub(super) shared: bool,
    pub(super) retries: Retries,
    /// Renews the password of new connections.
    pub(super) renewal: Option<AbortOnDropHandle<()>>,
}
