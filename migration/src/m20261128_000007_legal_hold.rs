//! A column for the legal hold of a job, and an index that lists the kept jobs.
//!
//! The column is nullable: a worker that does not know it can run concurrently with one that does. Such a worker
//! deletes kept jobs too.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEX: &str = "video_jobs_kept";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table(VideoJobs::Table)
            .add_column(big_integer_null(VideoJobs::KeptAt))
            .to_owned();
        manager.alter_table(alter).await?;
        let index = Index::create()
            .name(INDEX)
            .table(VideoJobs::Table)
            .col(VideoJobs::CreatedAt)
            .col(VideoJobs::Id)
            .and_where(Expr::col(VideoJobs::KeptAt).is_not_null())
            .to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite does not drop an indexed column.
        let drop = Index::drop().name(INDEX).table(VideoJobs::Table).to_owned();
        manager.drop_index(drop).await?;
        let alter = Table::alter()
            .table(VideoJobs::Table)
            .drop_column(VideoJobs::KeptAt)
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
    Id,
    CreatedAt,
    /// Start of the legal hold, under which the job is kept beyond its retention.
    KeptAt,
}
