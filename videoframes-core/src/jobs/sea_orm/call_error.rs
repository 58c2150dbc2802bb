//! The errors of a call.

use sea_orm::DbErr;

use crate::jobs::JobRepoError;

/// The reason why a call failed.
pub(super) enum CallError {
    Repo(JobRepoError),
    Database(DbErr),
}

impl From<JobRepoError> for CallError {
    fn from(error: JobRepoError) -> Self {
        Self::Repo(error)
    }
}

impl From<DbErr> for CallError {
    fn from(error: DbErr) -> Self {
        match error {
            DbErr::Type(what) | DbErr::Json(what) => Self::Repo(JobRepoError::Unreadable(what)),
            error => Self::Database(error),
        }
    }
}
