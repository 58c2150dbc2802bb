//! A column for the outputs that a job composes of frames.
//!
//! The column is nullable: a worker that does not know it can run concurrently with one that does.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table(VideoJobs::Table)
            .add_column(text_null(VideoJobs::ResultOutputs))
            .to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table(VideoJobs::Table)
            .drop_column(VideoJobs::ResultOutputs)
            .to_owned();
        manager.alter_table(alter).await
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

#[derive(DeriveIden)]
enum VideoJobs {
    Table,
    /// Results of the composed outputs, as JSON.
    ResultOutputs,
}
