//! Index of the unsent messages to a destination, and current statistics of the tables with a backlog.
//!
//! With old statistics, Postgres takes a new backlog for a few rows, and reads all of them for the first message to one
//! destination. Building the index blocks changes of the table, but no reads.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::table::{drop_indexes, limit_lock_wait};

/// Name of the migration.
pub(crate) const NAME: &str = "m20261201_000015_statistics";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        limit_lock_wait(manager).await?;
        let of_destination = Index::create()
            .name(OF_DESTINATION)
            .table(Outbox::Table)
            .col(Outbox::Destination)
            .col(Outbox::Seq)
            .and_where(Expr::col(Outbox::SentAt).is_null())
            .and_where(Expr::col(Outbox::RefusedAt).is_null())
            .to_owned();
        manager.create_index(of_destination).await?;
        drop_indexes(manager, Outbox::Table, &[UNSENT]).await?;
        // By default after changes of a tenth of the rows, which are mainly finished jobs and sent messages.
        analyze(
            manager,
            "SET (autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000)",
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        limit_lock_wait(manager).await?;
        let unsent = Index::create()
            .name(UNSENT)
            .table(Outbox::Table)
            .col(Outbox::Seq)
            .and_where(Expr::col(Outbox::SentAt).is_null())
            .to_owned();
        manager.create_index(unsent).await?;
        drop_indexes(manager, Outbox::Table, &[OF_DESTINATION]).await?;
        let reset = "RESET (autovacuum_analyze_scale_factor, autovacuum_analyze_threshold)";
        analyze(manager, reset).await
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Changes when Postgres updates the statistics of the tables with a backlog.
async fn analyze(manager: &SchemaManager<'_>, options: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    for table in ["video_jobs", "outbox", "queue_messages"] {
        let alter = format!("ALTER TABLE {table} {options}");
        manager.get_connection().execute_unprepared(&alter).await?;
    }
    Ok(())
}

const OF_DESTINATION: &str = "outbox_destination";
/// Index of the first migration.
const UNSENT: &str = "outbox_unsent";

#[derive(DeriveIden, Clone, Copy)]
enum Outbox {
    Table,
    Seq,
    Destination,
    SentAt,
    RefusedAt,
}
