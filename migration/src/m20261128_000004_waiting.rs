//! Support for long backlogs.
//!
//! Adds indexes that find waiting, late and rejected rows without a scan, the time limit for the work alone,
//! and the oldest compatible program.
//!
//! All columns are nullable: a worker that does not know them can run concurrently with one that does.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, integer, text, text_null};

use crate::table::{add, drop_indexes, remove};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Newest migration of the oldest program that is compatible with this schema. A later migration increases it
/// only if it removes something that this program needs.
const COMPATIBLE_SINCE: &str = "m20261128_000004_waiting";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (jobs, outbox) = (VideoJobs::Table, Outbox::Table);
        add(manager, jobs, big_integer_null(VideoJobs::WorkLimitMs)).await?;
        add(manager, jobs, big_integer_null(VideoJobs::BegunAt)).await?;
        add(manager, outbox, big_integer_null(Outbox::RefusedAt)).await?;
        add(manager, outbox, text_null(Outbox::RefusedBecause)).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        let table = Table::create()
            .table(Schema::Table)
            .col(integer(Schema::Id).primary_key())
            .col(text(Schema::CompatibleSince))
            .to_owned();
        manager.create_table(table).await?;
        let row = Query::insert()
            .into_table(Schema::Table)
            .columns([Schema::Id, Schema::CompatibleSince])
            .values_panic([1.into(), COMPATIBLE_SINCE.into()])
            .to_owned();
        manager.execute(row).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(Schema::Table).to_owned())
            .await?;
        // SQLite does not drop an indexed column.
        drop_indexes(manager, VideoJobs::Table, &JOB_INDEXES).await?;
        drop_indexes(manager, Outbox::Table, &OUTBOX_INDEXES).await?;
        for column in [VideoJobs::WorkLimitMs, VideoJobs::BegunAt] {
            remove(manager, VideoJobs::Table, column).await?;
        }
        for column in [Outbox::RefusedAt, Outbox::RefusedBecause] {
            remove(manager, Outbox::Table, column).await?;
        }
        Ok(())
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const JOB_INDEXES: [&str; 4] = [
    "video_jobs_pending",
    "video_jobs_retry_wait",
    "video_jobs_deadline",
    "video_jobs_cancel_requested",
];
const OUTBOX_INDEXES: [&str; 2] = ["outbox_waiting", "outbox_refused"];

fn indexes() -> [IndexCreateStatement; 6] {
    use VideoJobs as Job;
    let of_jobs = |name: &str| Index::create().name(name).table(Job::Table).to_owned();
    let of_outbox = |name: &str| Index::create().name(name).table(Outbox::Table).to_owned();
    // Constants rather than parameters: a partial index serves only queries with the same condition.
    let is = |status: &'static str| Expr::col(Job::Status).eq(Expr::cust(format!("'{status}'")));
    [
        of_jobs(JOB_INDEXES[0])
            // SQLite prefers the index on status alone to an index that does not start with status.
            .col(Job::Status)
            .col(Job::EnqueuedAt)
            .col(Job::Id)
            .and_where(is("pending"))
            .to_owned(),
        of_jobs(JOB_INDEXES[1])
            .col(Job::Status)
            .col(Job::NextAttemptAt)
            .col(Job::Id)
            .and_where(is("retry_wait"))
            .to_owned(),
        of_jobs(JOB_INDEXES[2])
            .col(Job::DeadlineAt)
            .col(Job::Id)
            .and_where(Expr::col(Job::FinishedAt).is_null())
            .and_where(Expr::col(Job::DeadlineAt).is_not_null())
            .to_owned(),
        of_jobs(JOB_INDEXES[3])
            .col(Job::CreatedAt)
            .col(Job::Id)
            .and_where(Expr::col(Job::FinishedAt).is_null())
            .and_where(Expr::col(Job::CancelRequested))
            .to_owned(),
        of_outbox(OUTBOX_INDEXES[0])
            .col(Outbox::Destination)
            .col(Outbox::Seq)
            .and_where(Expr::col(Outbox::SentAt).is_null())
            .and_where(Expr::col(Outbox::RefusedAt).is_null())
            .to_owned(),
        of_outbox(OUTBOX_INDEXES[1])
            .col(Outbox::Seq)
            .and_where(Expr::col(Outbox::RefusedAt).is_not_null())
            .to_owned(),
    ]
}

#[derive(DeriveIden, Clone, Copy)]
enum VideoJobs {
    Table,
    Id,
    Status,
    CancelRequested,
    DeadlineAt,
    NextAttemptAt,
    CreatedAt,
    FinishedAt,
    EnqueuedAt,
    /// Maximum time from the start of the first attempt.
    WorkLimitMs,
    /// Start of the first attempt since the submission or the last retry by an operator.
    BegunAt,
}

#[derive(DeriveIden, Clone, Copy)]
enum Outbox {
    Table,
    Seq,
    Destination,
    SentAt,
    /// Time at which the queue rejected the message permanently.
    RefusedAt,
    /// Reason of the rejection.
    RefusedBecause,
}

/// One row about the schema itself.
#[derive(DeriveIden)]
enum Schema {
    #[sea_orm(iden = "videoframes_schema")]
    Table,
    Id,
    CompatibleSince,
}
