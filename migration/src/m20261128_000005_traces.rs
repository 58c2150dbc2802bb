//! Columns for the trace context of a job's producer.
//!
//! The columns are nullable: a worker that does not know them can run concurrently with one that does.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            let alter = Table::alter()
                .table(table)
                .add_column(text_null(TraceContext))
                .to_owned();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            let alter = Table::alter().table(table).drop_column(TraceContext).to_owned();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn tables() -> [DynIden; 2] {
    [VideoJobs::Table.into_iden(), Outbox::Table.into_iden()]
}

/// W3C trace context in one line.
#[derive(DeriveIden)]
struct TraceContext;

#[derive(DeriveIden)]
enum VideoJobs {
    Table,
}

#[derive(DeriveIden)]
enum Outbox {
    Table,
}
