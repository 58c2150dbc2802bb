//! A table for the attempts at each job.
//!
//! The table is new: a worker that does not know it can run concurrently with one that does. Such a worker adds no
//! attempts and ends none. Its deletions of jobs delete their attempts too, by the foreign key.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, integer, text, text_null, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut job = ForeignKey::create()
            .name("videoframes_attempts_job")
            .from(Attempts::Table, Attempts::JobId)
            .to(VideoJobs::Table, VideoJobs::Id)
            .on_delete(ForeignKeyAction::Cascade)
            .to_owned();
        let table = Table::create()
            .table(Attempts::Table)
            .col(uuid(Attempts::JobId))
            .col(big_integer(Attempts::Epoch))
            .col(integer(Attempts::Generation))
            .col(text(Attempts::Worker))
            .col(big_integer(Attempts::StartedAt))
            .col(big_integer_null(Attempts::EndedAt))
            .col(text_null(Attempts::Outcome))
            .col(text_null(Attempts::ErrorCode))
            .col(text_null(Attempts::ErrorMessage))
            .col(text_null(Attempts::Stages))
            .primary_key(Index::create().col(Attempts::JobId).col(Attempts::Epoch))
            .foreign_key(&mut job)
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(Attempts::Table).to_owned())
            .await
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// One row per claim, at most 100 per job.
#[derive(DeriveIden)]
enum Attempts {
    #[sea_orm(iden = "videoframes_attempts")]
    Table,
    JobId,
    /// Epoch of the lease.
    Epoch,
    /// Generation of the job at the claim.
    Generation,
    /// Owner of the lease.
    Worker,
    StartedAt,
    EndedAt,
    Outcome,
    ErrorCode,
    ErrorMessage,
    /// Stages with their durations, as JSON.
    Stages,
}

#[derive(DeriveIden)]
enum VideoJobs {
    #[sea_orm(iden = "video_jobs")]
    Table,
    Id,
}
