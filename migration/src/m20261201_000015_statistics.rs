//! Current statistics of the tables with a backlog, and no index that old statistics make too expensive.
//!
//! With old statistics, Postgres takes a new backlog for a few rows. The removed index has the messages to all destinations:
//! Postgres then read all of them for the first message to one destination. Reads of the outbox wait for the removal, which
//! takes milliseconds.

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
        // The default is a tenth of the rows, which are mainly those of finished jobs and sent messages.
        let options = "SET (autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000)";
        set_autovacuum(manager, options).await?;
        drop_indexes(manager, Outbox::Table, &[UNSENT]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        limit_lock_wait(manager).await?;
        let options = "RESET (autovacuum_analyze_scale_factor, autovacuum_analyze_threshold)";
        set_autovacuum(manager, options).await?;
        let unsent = Index::create()
            .name(UNSENT)
            .table(Outbox::Table)
            .col(Outbox::Seq)
            .and_where(Expr::col(Outbox::SentAt).is_null())
            .to_owned();
        manager.create_index(unsent).await
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Index of the first migration. `outbox_waiting` and `outbox_rank` have the unsent messages to each destination.
const UNSENT: &str = "outbox_unsent";

/// Changes when Postgres updates the statistics of the tables with a backlog.
async fn set_autovacuum(manager: &SchemaManager<'_>, options: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    for table in ["video_jobs", "outbox", "queue_messages"] {
        let alter = format!("ALTER TABLE {table} {options}");
        manager.get_connection().execute_unprepared(&alter).await?;
    }
    Ok(())
}

#[derive(DeriveIden, Clone, Copy)]
enum Outbox {
    Table,
    Seq,
    SentAt,
}
