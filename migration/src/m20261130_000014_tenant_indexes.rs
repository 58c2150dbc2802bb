//! Indexes for fair queues and parked jobs.
//!
//! Building an index blocks changes of its table, but no reads.

use sea_orm_migration::prelude::*;

use crate::table::{drop_indexes, limit_lock_wait};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        limit_lock_wait(manager).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        limit_lock_wait(manager).await?;
        drop_indexes(manager, VideoJobs::Table, &JOB_INDEXES).await?;
        drop_indexes(manager, Outbox::Table, &OUTBOX_INDEXES).await?;
        drop_indexes(manager, Messages::Table, &MESSAGE_INDEXES).await?;
        drop_indexes(manager, Flows::Table, &[FLOW_INDEX]).await
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const JOB_INDEXES: [&str; 3] = [
    "video_jobs_tenant_in_work",
    "video_jobs_parked",
    "video_jobs_flow",
];
const OUTBOX_INDEXES: [&str; 2] = ["outbox_rank", "outbox_flow"];
const MESSAGE_INDEXES: [&str; 2] = ["queue_messages_ready", "queue_messages_later"];
const FLOW_INDEX: &str = "videoframes_flows_rank";

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
        of(Flows::Table.into_iden(), FLOW_INDEX)
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
    Tenant,
    Priority,
    ParkedAt,
}

#[derive(DeriveIden, Clone, Copy)]
enum Outbox {
    Table,
    Seq,
    Destination,
    SentAt,
    RefusedAt,
    Flow,
    Rank,
}

#[derive(DeriveIden, Clone, Copy)]
enum Messages {
    #[sea_orm(iden = "queue_messages")]
    Table,
    Seq,
    Queue,
    VisibleAt,
    Rank,
    Ready,
}

#[derive(DeriveIden, Clone, Copy)]
enum Flows {
    #[sea_orm(iden = "videoframes_flows")]
    Table,
    Queue,
    Rank,
}
