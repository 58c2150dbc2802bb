//! Tables for jobs, the outbox and queues.
//!
//! Times are milliseconds since the epoch in a bigint, which both databases compare alike. JSON is text,
//! since no SQL queries it. Indexes for a single query are partial, with only the rows that it needs.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, boolean_null, integer, pk_uuid, text, text_null, uuid, uuid_uniq,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        video_jobs(manager).await?;
        outbox(manager).await?;
        queue_messages(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            QueueMessages::Table.into_iden(),
            Outbox::Table.into_iden(),
            VideoJobs::Table.into_iden(),
        ];
        for table in tables {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

async fn video_jobs(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use VideoJobs as Job;
    let table = Table::create()
        .table(Job::Table)
        .col(pk_uuid(Job::Id))
        .col(text(Job::IdempotencyKey))
        .col(text(Job::PayloadHash))
        .col(text(Job::Source))
        .col(text(Job::Options))
        .col(text_null(Job::OutputKey))
        .col(text_null(Job::ClientMetadata))
        .col(text_null(Job::Sequencer))
        .col(integer(Job::Generation))
        .col(text(Job::Status))
        .col(text_null(Job::Stage))
        .col(big_integer(Job::FramesDone))
        .col(big_integer(Job::FramesTotal))
        .col(boolean(Job::CancelRequested))
        .col(big_integer(Job::LeaseEpoch))
        .col(text_null(Job::LeaseOwner))
        .col(big_integer_null(Job::LeaseExpiresAt))
        .col(big_integer_null(Job::TimeLimitMs))
        .col(big_integer_null(Job::DeadlineAt))
        .col(integer(Job::Attempts))
        .col(integer(Job::CrashCount))
        .col(big_integer_null(Job::NextAttemptAt))
        .col(text_null(Job::ResultKey))
        .col(big_integer_null(Job::ResultSize))
        .col(text_null(Job::ResultSha256))
        .col(big_integer_null(Job::ResultFrames))
        .col(boolean_null(Job::ResultPartial))
        .col(text_null(Job::WorkHash))
        .col(text_null(Job::ErrorCode))
        .col(text_null(Job::ErrorMessage))
        .col(big_integer(Job::CreatedAt))
        .col(big_integer(Job::UpdatedAt))
        .col(big_integer_null(Job::FinishedAt))
        // Time at which a message for the workers was last written or known to be in the queue.
        .col(big_integer(Job::EnqueuedAt))
        .to_owned();
    manager.create_table(table).await?;
    let index = |name: &str| Index::create().name(name).table(Job::Table).to_owned();
    let indexes = [
        index("video_jobs_idempotency_key")
            .col(Job::IdempotencyKey)
            .unique()
            .to_owned(),
        index("video_jobs_created_at")
            .col(Job::CreatedAt)
            .col(Job::Id)
            .to_owned(),
        index("video_jobs_status")
            .col(Job::Status)
            .col(Job::CreatedAt)
            .col(Job::Id)
            .to_owned(),
        index("video_jobs_unfinished")
            .col(Job::EnqueuedAt)
            .and_where(Expr::col(Job::FinishedAt).is_null())
            .to_owned(),
        index("video_jobs_finished_at")
            .col(Job::FinishedAt)
            .and_where(Expr::col(Job::FinishedAt).is_not_null())
            .to_owned(),
        index("video_jobs_work_hash")
            .col(Job::WorkHash)
            .col(Job::FinishedAt)
            .and_where(Expr::col(Job::WorkHash).is_not_null())
            .to_owned(),
        index("video_jobs_result_key")
            .col(Job::ResultKey)
            .and_where(Expr::col(Job::ResultKey).is_not_null())
            .to_owned(),
    ];
    for index in indexes {
        manager.create_index(index).await?;
    }
    Ok(())
}

async fn outbox(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(Outbox::Table)
        .col(sequence(Outbox::Seq))
        .col(uuid_uniq(Outbox::Id))
        .col(text(Outbox::Destination))
        .col(uuid(Outbox::JobId))
        .col(text(Outbox::Body))
        .col(big_integer(Outbox::CreatedAt))
        .col(big_integer_null(Outbox::TakenAt))
        .col(big_integer_null(Outbox::SentAt))
        .to_owned();
    manager.create_table(table).await?;
    let index = |name: &str| Index::create().name(name).table(Outbox::Table).to_owned();
    let indexes = [
        index("outbox_unsent")
            .col(Outbox::Seq)
            .and_where(Expr::col(Outbox::SentAt).is_null())
            .to_owned(),
        index("outbox_sent_at")
            .col(Outbox::SentAt)
            .and_where(Expr::col(Outbox::SentAt).is_not_null())
            .to_owned(),
        index("outbox_job_id").col(Outbox::JobId).to_owned(),
    ];
    for index in indexes {
        manager.create_index(index).await?;
    }
    Ok(())
}

async fn queue_messages(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use QueueMessages as Message;
    let table = Table::create()
        .table(Message::Table)
        .col(sequence(Message::Seq))
        .col(text(Message::Queue))
        .col(text(Message::Body))
        .col(text(Message::Attributes))
        .col(text_null(Message::DeduplicationId))
        .col(big_integer(Message::SentAt))
        .col(big_integer(Message::VisibleAt))
        .col(integer(Message::ReceiveCount))
        .to_owned();
    manager.create_table(table).await?;
    let index = |name: &str| Index::create().name(name).table(Message::Table).to_owned();
    let indexes = [
        index("queue_messages_visible_at")
            .col(Message::Queue)
            .col(Message::VisibleAt)
            .col(Message::Seq)
            .to_owned(),
        index("queue_messages_arrival")
            .col(Message::Queue)
            .col(Message::Seq)
            .to_owned(),
        index("queue_messages_deduplication_id")
            .col(Message::Queue)
            .col(Message::DeduplicationId)
            .unique()
            .and_where(Expr::col(Message::DeduplicationId).is_not_null())
            .to_owned(),
    ];
    for index in indexes {
        manager.create_index(index).await?;
    }
    Ok(())
}

/// Numbers rows in order of insertion; numbers are never reused.
fn sequence(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name)
        .big_integer()
        .not_null()
        .auto_increment()
        .primary_key()
        .to_owned()
}

#[derive(DeriveIden)]
enum VideoJobs {
    Table,
    Id,
    IdempotencyKey,
    PayloadHash,
    Source,
    Options,
    OutputKey,
    ClientMetadata,
    Sequencer,
    Generation,
    Status,
    Stage,
    FramesDone,
    FramesTotal,
    CancelRequested,
    LeaseEpoch,
    LeaseOwner,
    LeaseExpiresAt,
    TimeLimitMs,
    DeadlineAt,
    Attempts,
    CrashCount,
    NextAttemptAt,
    ResultKey,
    ResultSize,
    ResultSha256,
    ResultFrames,
    ResultPartial,
    WorkHash,
    ErrorCode,
    ErrorMessage,
    CreatedAt,
    UpdatedAt,
    FinishedAt,
    EnqueuedAt,
}

#[derive(DeriveIden)]
enum Outbox {
    Table,
    Seq,
    Id,
    Destination,
    JobId,
    Body,
    CreatedAt,
    TakenAt,
    SentAt,
}

#[derive(DeriveIden)]
enum QueueMessages {
    Table,
    Seq,
    Queue,
    Body,
    Attributes,
    DeduplicationId,
    SentAt,
    VisibleAt,
    ReceiveCount,
}
