//! Tenants and priorities of jobs, the ranks of messages, and parked jobs.
//!
//! All columns have defaults: a worker that does not know them can run concurrently with one that does. Such a worker
//! writes messages without a rank, which are received first, receives messages in the order of arrival, and ignores the
//! limits of tenants.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, integer, text};

/// Name of the migration.
pub(crate) const NAME: &str = "m20261130_000013_tenants";

/// Step of a message of an older worker: that of the tenant of jobs without a name, with the default priority.
const STEP: i64 = 80_640;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (jobs, outbox, messages) = (VideoJobs::Table, Outbox::Table, Messages::Table);
        add(manager, jobs, text(VideoJobs::Tenant).default("")).await?;
        add(manager, jobs, integer(VideoJobs::Priority).default(1)).await?;
        add(manager, jobs, big_integer_null(VideoJobs::ParkedAt)).await?;
        add(manager, outbox, text(Outbox::Flow).default("/normal")).await?;
        add(manager, outbox, big_integer(Outbox::Rank).default(0)).await?;
        add(manager, messages, text(Messages::Flow).default("/normal")).await?;
        add(manager, messages, big_integer(Messages::Step).default(STEP)).await?;
        add(manager, messages, big_integer(Messages::Rank).default(0)).await?;
        add(manager, messages, boolean(Messages::Ready).default(true)).await?;
        let table = Table::create()
            .table(Flows::Table)
            .col(text(Flows::Queue))
            .col(text(Flows::Flow))
            .col(big_integer(Flows::Rank))
            .primary_key(Index::create().col(Flows::Queue).col(Flows::Flow))
            .to_owned();
        manager.create_table(table).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A parked job has no message. Older workers find the job by this time, and write a message.
        let found = Query::update()
            .table(VideoJobs::Table)
            .value(VideoJobs::EnqueuedAt, Expr::col(VideoJobs::UpdatedAt))
            .and_where(Expr::col(VideoJobs::ParkedAt).is_not_null())
            .to_owned();
        manager.execute(found).await?;
        let flows = Table::drop().table(Flows::Table).to_owned();
        manager.drop_table(flows).await?;
        // SQLite does not drop an indexed column.
        drop_indexes(manager, VideoJobs::Table, &JOB_INDEXES).await?;
        drop_indexes(manager, Outbox::Table, &OUTBOX_INDEXES).await?;
        drop_indexes(manager, Messages::Table, &MESSAGE_INDEXES).await?;
        for column in [VideoJobs::Tenant, VideoJobs::Priority, VideoJobs::ParkedAt] {
            remove(manager, VideoJobs::Table, column).await?;
        }
        for column in [Outbox::Flow, Outbox::Rank] {
            remove(manager, Outbox::Table, column).await?;
        }
        for column in [Messages::Flow, Messages::Step, Messages::Rank, Messages::Ready] {
            remove(manager, Messages::Table, column).await?;
        }
        Ok(())
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// SQLite adds one column per statement.
async fn add(
    manager: &SchemaManager<'_>,
    table: impl IntoIden,
    column: impl IntoColumnDef,
) -> Result<(), DbErr> {
    let alter = Table::alter()
        .table(table.into_iden())
        .add_column(column)
        .to_owned();
    manager.alter_table(alter).await
}

async fn remove(
    manager: &SchemaManager<'_>,
    table: impl IntoIden,
    column: impl IntoIden,
) -> Result<(), DbErr> {
    let alter = Table::alter()
        .table(table.into_iden())
        .drop_column(column)
        .to_owned();
    manager.alter_table(alter).await
}

async fn drop_indexes(
    manager: &SchemaManager<'_>,
    table: impl IntoIden + Copy,
    names: &[&str],
) -> Result<(), DbErr> {
    for name in names {
        let drop = Index::drop().name(*name).table(table.into_iden()).to_owned();
        manager.drop_index(drop).await?;
    }
    Ok(())
}

const JOB_INDEXES: [&str; 3] = [
    "video_jobs_tenant_in_work",
    "video_jobs_parked",
    "video_jobs_flow",
];
const OUTBOX_INDEXES: [&str; 2] = ["outbox_rank", "outbox_flow"];
const MESSAGE_INDEXES: [&str; 2] = ["queue_messages_ready", "queue_messages_later"];

fn indexes() -> [IndexCreateStatement; 8] {
    let of = |table: DynIden, name: &str| Index::create().name(name).table(table).to_owned();
    let of_jobs = |name| of(VideoJobs::Table.into_iden(), name);
    let of_outbox = |name| {
        of(Outbox::Table.into_iden(), name)
            .col(Outbox::Destination)
            .and_where(Expr::col(Outbox::SentAt).is_null())
            .and_where(Expr::col(Outbox::RefusedAt).is_null())
            .to_owned()
    };
    let of_messages = |name| {
        of(Messages::Table.into_iden(), name)
            .col(Messages::Queue)
            .to_owned()
    };
    // Constants rather than parameters: a partial index serves only queries with the same condition.
    let is = |status: &'static str| Expr::col(VideoJobs::Status).eq(Expr::cust(format!("'{status}'")));
    [
        // SQLite prefers the index on status alone to an index that does not start with status.
        of_jobs(JOB_INDEXES[0])
            .col(VideoJobs::Status)
            .col(VideoJobs::Tenant)
            .and_where(is("processing"))
            .to_owned(),
        of_jobs(JOB_INDEXES[1])
            .col(VideoJobs::Status)
            .col(VideoJobs::Tenant)
            .col(VideoJobs::Priority)
            .col(VideoJobs::CreatedAt)
            .col(VideoJobs::Id)
            .and_where(is("pending"))
            .and_where(Expr::col(VideoJobs::ParkedAt).is_not_null())
            .to_owned(),
        of_jobs(JOB_INDEXES[2])
            .col(VideoJobs::Status)
            .col(VideoJobs::Tenant)
            .col(VideoJobs::Priority)
            .col(VideoJobs::EnqueuedAt)
            .col(VideoJobs::Id)
            .and_where(is("pending"))
            .to_owned(),
        of_outbox(OUTBOX_INDEXES[0])
            .col(Outbox::Rank)
            .col(Outbox::Seq)
            .to_owned(),
        of_outbox(OUTBOX_INDEXES[1])
            .col(Outbox::Flow)
            .col(Outbox::Rank)
            .to_owned(),
        of_messages(MESSAGE_INDEXES[0])
            .col(Messages::Ready)
            .col(Messages::Rank)
            .col(Messages::Seq)
            .to_owned(),
        of_messages(MESSAGE_INDEXES[1])
            .col(Messages::VisibleAt)
            .col(Messages::Seq)
            .and_where(Expr::col(Messages::Ready).not())
            .to_owned(),
        of(Flows::Table.into_iden(), "videoframes_flows_rank")
            .col(Flows::Queue)
            .col(Flows::Rank)
            .to_owned(),
    ]
}

#[derive(DeriveIden, Clone, Copy)]
enum VideoJobs {
    Table,
    Id,
    Status,
    CreatedAt,
    EnqueuedAt,
    UpdatedAt,
    /// Tenant of the job; empty without a name.
    Tenant,
    /// Priority of the job: 0 is high, 1 normal, 2 low.
    Priority,
    /// Time from which the job waits for the limit of its tenant, without a message.
    ParkedAt,
}

#[derive(DeriveIden, Clone, Copy)]
enum Outbox {
    Table,
    Seq,
    Destination,
    SentAt,
    RefusedAt,
    /// Tenant and priority of the job.
    Flow,
    /// Order among the messages to the workers.
    Rank,
}

#[derive(DeriveIden, Clone, Copy)]
enum Messages {
    #[sea_orm(iden = "queue_messages")]
    Table,
    Seq,
    Queue,
    VisibleAt,
    /// Tenant and priority of the message.
    Flow,
    /// Difference between the ranks of adjacent messages of the flow.
    Step,
    /// Order among the messages that can be received.
    Rank,
    /// Whether the message can be received and has a rank. False while the message is received or delayed.
    Ready,
}

/// The last rank of each flow of a queue.
#[derive(DeriveIden, Clone, Copy)]
enum Flows {
    #[sea_orm(iden = "videoframes_flows")]
    Table,
    Queue,
    Flow,
    Rank,
}
