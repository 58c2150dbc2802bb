//! The errors of a call.

use sea_orm::DbErr;

/// The reason why a call failed.
pub(super) enum CallError {
    Lost,
    Database(DbErr),
}

impl From<DbErr> for CallError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}
