//! A lock, so that only one migrator runs at a time.

#![cfg_attr(not(any(feature = "postgres", feature = "sqlite")), allow(unused))]

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DatabaseConnection, DbBackend};

use crate::contract::{self, CONTRACTS};
use crate::{MigrationError, Migrator, refuse_newer, states};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    Up,
    Down(u32),
}

impl Work {
    async fn run<C: ConnectionTrait>(self, db: &C) -> Result<(), MigrationError>
    where
        for<'c> &'c C: IntoSchemaManagerConnection<'c>,
    {
        let states = states(db)
            .await
            .map_err(MigrationError::database("read the state of the migrations"))?;
        refuse_newer(&states)?;
        let changed = MigrationError::database("change the schema");
        match self {
            Self::Up => {
                let contracts = contract::check(db, CONTRACTS, &states).await?;
                Migrator::up(db, None).await.map_err(changed)?;
                contract::record(db, &contracts).await
            }
            Self::Down(steps) => Migrator::down(db, Some(steps)).await.map_err(changed),
        }
    }
}

pub(crate) async fn with(db: &DatabaseConnection, work: Work) -> Result<(), MigrationError> {
    match db.get_database_backend() {
        #[cfg(feature = "postgres")]
        DbBackend::Postgres => postgres::with(db, work).await,
        #[cfg(feature = "sqlite")]
        DbBackend::Sqlite => sqlite::with(db, work).await,
        other => Err(MigrationError::Database {
            action: "lock the schema",
            source: DbErr::BackendNotSupported {
                db: other.as_str(),
                ctx: "migrations",
            },
        }),
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use sea_orm_migration::sea_orm::sqlx::postgres::PgConnection;
    use sea_orm_migration::sea_orm::sqlx::{self, Connection};
    use sea_orm_migration::sea_orm::{DatabaseConnection, RuntimeErr};

    use super::{DbErr, MigrationError, Work};

    /// An arbitrary key that others are unlikely to use.
    const KEY: i64 = 0x7666_6d69_6772_6174;

    /// Runs `work` under a session lock on a separate connection.
    ///
    /// The lock ends with the connection, even after a crash, and migrations may use their own transactions.
    pub(super) async fn with(db: &DatabaseConnection, work: Work) -> Result<(), MigrationError> {
        let mut lock = take(db).await.map_err(|source| MigrationError::Database {
            action: "lock the schema",
            source: DbErr::Conn(RuntimeErr::SqlxError(source.into())),
        })?;
        let done = work.run(db).await;
        // Closing the connection releases the lock in any case.
        let _ = sqlx::query("SELECT pg_advisory_unlock($1)")
            .bind(KEY)
            .execute(&mut lock)
            .await;
        let _ = lock.close().await;
        done
    }

    async fn take(db: &DatabaseConnection) -> Result<PgConnection, sqlx::Error> {
        let options = db.get_postgres_connection_pool().connect_options();
        let mut lock = PgConnection::connect_with(&options).await?;
        // Another migrator may take longer than the usual statement timeout.
        sqlx::query("SET statement_timeout = 0")
            .execute(&mut lock)
            .await?;
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(KEY)
            .execute(&mut lock)
            .await?;
        Ok(lock)
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use sea_orm_migration::sea_orm::{
        DatabaseConnection, SqliteTransactionMode, TransactionOptions, TransactionTrait,
    };

    use super::{MigrationError, Work};

    /// Runs `work` in one immediate transaction, which serves as the lock: others wait up to their busy
    /// timeout. Each migration is a savepoint in the transaction.
    pub(super) async fn with(db: &DatabaseConnection, work: Work) -> Result<(), MigrationError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = db
            .begin_with_options(options)
            .await
            .map_err(MigrationError::database("lock the schema"))?;
        work.run(&transaction).await?;
        transaction
            .commit()
            .await
            .map_err(MigrationError::database("change the schema"))
    }
}
