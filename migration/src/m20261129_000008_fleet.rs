//! Tables for the active revision and for the workers.
//!
//! The tables are new: a worker that does not know them can run concurrently with one that does. Such a worker
//! receives messages whichever revision is active, and does not report.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, integer, integer_null, text, text_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let fleet = Table::create()
            .table(Fleet::Table)
            .col(integer(Fleet::Id).primary_key())
            .col(text_null(Fleet::Active))
            .col(text_null(Fleet::Previous))
            .col(text_null(Fleet::Canary))
            .col(integer_null(Fleet::CanaryPercent))
            .col(big_integer_null(Fleet::CanaryUntil))
            .col(big_integer_null(Fleet::ActivatedAt))
            .to_owned();
        manager.create_table(fleet).await?;
        let row = Query::insert()
            .into_table(Fleet::Table)
            .columns([Fleet::Id])
            .values_panic([1.into()])
            .to_owned();
        manager.execute(row).await?;
        let workers = Table::create()
            .table(Workers::Table)
            .col(text(Workers::Worker).primary_key())
            .col(text_null(Workers::Revision))
            .col(text(Workers::Version))
            .col(text(Workers::SchemaMigration))
            .col(text(Workers::State))
            .col(big_integer(Workers::Completed))
            .col(big_integer(Workers::Failed))
            .col(big_integer(Workers::Faults))
            .col(big_integer(Workers::StartedAt))
            .col(big_integer(Workers::SeenAt))
            .to_owned();
        manager.create_table(workers).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(Workers::Table).to_owned())
            .await?;
        manager
            .drop_table(Table::drop().table(Fleet::Table).to_owned())
            .await
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// One row.
#[derive(DeriveIden)]
enum Fleet {
    #[sea_orm(iden = "videoframes_fleet")]
    Table,
    Id,
    /// Revision that receives messages.
    Active,
    /// Revision that was active before.
    Previous,
    /// Revision that receives messages in a share of the time.
    Canary,
    CanaryPercent,
    /// Time after which the canary receives no more messages.
    CanaryUntil,
    ActivatedAt,
}

/// One row per process, deleted a day after its last report.
#[derive(DeriveIden)]
enum Workers {
    #[sea_orm(iden = "videoframes_workers")]
    Table,
    /// Owner of the leases of the worker.
    Worker,
    Revision,
    Version,
    /// Newest migration that the program knows.
    SchemaMigration,
    State,
    /// Attempts that completed their job.
    Completed,
    /// Attempts that failed their job because of its input or options.
    Failed,
    /// Attempts with a fault of the system.
    Faults,
    StartedAt,
    /// Time of the last report.
    SeenAt,
}
