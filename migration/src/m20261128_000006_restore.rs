//! A row by which a database that was restored to an earlier moment is recognized.
//!
//! The table is new: a worker that does not know it can run concurrently with one that does.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer, uuid};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Restore::Table)
            .col(integer(Restore::Id).primary_key())
            .col(uuid(Restore::Deployment))
            .col(big_integer(Restore::Generation))
            .col(big_integer(Restore::Mark))
            .col(big_integer(Restore::AdvancedAt))
            .to_owned();
        manager.create_table(table).await?;
        let random = match manager.get_database_backend() {
            DbBackend::Postgres => Expr::cust("gen_random_uuid()"),
            _ => Expr::cust("randomblob(16)"),
        };
        let row = Query::insert()
            .into_table(Restore::Table)
            .columns([
                Restore::Id,
                Restore::Deployment,
                Restore::Generation,
                Restore::Mark,
                Restore::AdvancedAt,
            ])
            .values_panic([1.into(), random, 0_i64.into(), 0_i64.into(), 0_i64.into()])
            .to_owned();
        manager.execute(row).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(Restore::Table).to_owned())
            .await
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

#[derive(DeriveIden)]
enum Restore {
    #[sea_orm(iden = "videoframes_restore")]
    Table,
    Id,
    /// Identifier of the database, made by this migration.
    Deployment,
    /// Number of accepted restores.
    Generation,
    /// Number that workers increase periodically.
    Mark,
    /// Time of the last increase.
    AdvancedAt,
}
