//! Columns for the order of an object's events, for the message that requested a job, and for the bucket of
//! its result.
//!
//! All columns are nullable: a worker that does not know them can run concurrently with one that does.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text_null;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut order = text_null(VideoJobs::EventOrder);
        if manager.get_database_backend() == DbBackend::Postgres {
            // Compared by bytes, whatever the database's locale.
            order.extra("COLLATE \"C\"");
        }
        let columns = [
            text_null(VideoJobs::SourceObject),
            order,
            text_null(VideoJobs::MessageId),
            text_null(VideoJobs::ResultBucket),
        ];
        // SQLite adds one column per statement.
        for column in columns {
            let alter = Table::alter()
                .table(VideoJobs::Table)
                .add_column(column)
                .to_owned();
            manager.alter_table(alter).await?;
        }
        let index = |name: &str| Index::create().name(name).table(VideoJobs::Table).to_owned();
        let indexes = [
            index(INDEXES[0])
                .col(VideoJobs::SourceObject)
                .col(VideoJobs::EventOrder)
                .and_where(Expr::col(VideoJobs::SourceObject).is_not_null())
                .to_owned(),
            index(INDEXES[1])
                .col(VideoJobs::MessageId)
                .unique()
                .and_where(Expr::col(VideoJobs::MessageId).is_not_null())
                .to_owned(),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in INDEXES {
            // SQLite does not drop an indexed column.
            let drop = Index::drop().name(name).table(VideoJobs::Table).to_owned();
            manager.drop_index(drop).await?;
        }
        let columns = [
            VideoJobs::SourceObject,
            VideoJobs::EventOrder,
            VideoJobs::MessageId,
            VideoJobs::ResultBucket,
        ];
        for column in columns {
            let alter = Table::alter()
                .table(VideoJobs::Table)
                .drop_column(column)
                .to_owned();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const INDEXES: [&str; 2] = ["video_jobs_events", "video_jobs_message_id"];

#[derive(DeriveIden)]
enum VideoJobs {
    Table,
    /// Bucket and key of the event's object.
    SourceObject,
    /// Position among the events of the object; greater is newer.
    EventOrder,
    /// Message that requested the job.
    MessageId,
    /// Bucket in which clients find the result.
    ResultBucket,
}
