//! A table for the access tokens of HTTP clients.
//!
//! The table is new: a worker that does not know it can run concurrently with one that does.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, text};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tokens = Table::create()
            .table(Tokens::Table)
            .col(text(Tokens::Name).primary_key())
            .col(text(Tokens::Hash).unique_key())
            .col(text(Tokens::Scopes))
            .col(big_integer(Tokens::CreatedAt))
            .col(big_integer_null(Tokens::ExpiresAt))
            .col(big_integer_null(Tokens::LastUsedAt))
            .to_owned();
        manager.create_table(tokens).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(Tokens::Table).to_owned())
            .await
    }

    /// On SQLite too, where it is not the default: a partial schema is unusable.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// One row per token.
#[derive(DeriveIden)]
enum Tokens {
    #[sea_orm(iden = "videoframes_tokens")]
    Table,
    Name,
    /// SHA-256 of the secret, in hexadecimal.
    Hash,
    /// Names of the scopes, separated by commas.
    Scopes,
    CreatedAt,
    ExpiresAt,
    /// Time of the last use, to the minute.
    LastUsedAt,
}
