//! Tenants and priorities of jobs, the ranks of messages, and parked jobs.
//!
//! The next migration adds the indexes: this one locks the tables exclusively, for a moment. All columns have defaults: a
//! worker that does not know them can run concurrently with one that does. Such a worker writes messages without a rank,
//! which are received first, receives messages in the order of arrival, and ignores the limits of tenants.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, integer, text, text_null};

use crate::table::{add, limit_lock_wait, now, remove};

/// Step of a message of an older worker: that of the tenant of jobs without a name, with the default priority.
const STEP: i64 = 80_640;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        limit_lock_wait(manager).await?;
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
        add(manager, Tokens::Table, text_null(Tokens::Tenant)).await?;
        // Received and delayed messages get a rank when their time has come.
        let hidden = Query::update()
            .table(messages)
            .value(Messages::Ready, false)
            .and_where(Expr::col(Messages::VisibleAt).gt(now(manager)))
            .to_owned();
        manager.execute(hidden).await?;
        let table = Table::create()
            .table(Flows::Table)
            .col(text(Flows::Queue))
            .col(text(Flows::Flow))
            .col(big_integer(Flows::Rank))
            .primary_key(Index::create().col(Flows::Queue).col(Flows::Flow))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        limit_lock_wait(manager).await?;
        let flows = Table::drop().table(Flows::Table).to_owned();
        manager.drop_table(flows).await?;
        remove(manager, Tokens::Table, Tokens::Tenant).await?;
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

#[derive(DeriveIden, Clone, Copy)]
enum VideoJobs {
    Table,
    /// Tenant of the job; empty without a name.
    Tenant,
    /// Priority of the job: 0 is high, 1 normal, 2 low.
    Priority,
    /// Time from which the job waits for the limit of its tenant.
    ParkedAt,
}

#[derive(DeriveIden, Clone, Copy)]
enum Outbox {
    Table,
    /// Tenant and priority of the job.
    Flow,
    /// Order among the messages to the workers.
    Rank,
}

#[derive(DeriveIden, Clone, Copy)]
enum Messages {
    #[sea_orm(iden = "queue_messages")]
    Table,
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

/// Access tokens of HTTP clients.
#[derive(DeriveIden, Clone, Copy)]
enum Tokens {
    #[sea_orm(iden = "videoframes_tokens")]
    Table,
    /// Tenant of all jobs that the client submits; null for any tenant.
    Tenant,
}
