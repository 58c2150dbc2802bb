//! Compressed videos beside the archive.
//!
//! The column may be empty: a worker that does not know it goes on beside one that does.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table(VideoJobs::Table)
            .add_column(text_null(VideoJobs::ResultRenditions))
            .to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table(VideoJobs::Table)
            .drop_column(VideoJobs::ResultRenditions)
            .to_owned();
        manager.alter_table(alter).await
    }

    /// On SQLite too, where it is not the default: half a schema is none.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

#[derive(DeriveIden)]
enum VideoJobs {
    Table,
    /// What became of each rendition that was asked for, as JSON.
    ResultRenditions,
}
