//! A column for the number of concurrent jobs of a worker.
//!
//! The column is nullable: a worker that does not know it can run concurrently with one that does.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::integer_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table(Workers::Table)
            .add_column(integer_null(Workers::Slots))
            .to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table(Workers::Table)
            .drop_column(Workers::Slots)
            .to_owned();
        manager.alter_table(alter).await
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

#[derive(DeriveIden)]
enum Workers {
    #[sea_orm(iden = "videoframes_workers")]
    Table,
    /// Maximum number of concurrent jobs.
    Slots,
}
