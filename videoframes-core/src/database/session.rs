//! Sessions that run statements: on any connection of a pool, or inside one transaction.

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement,
};
#[cfg(feature = "postgres")]
use sea_orm::{RuntimeErr, sqlx};
use tokio::sync::OwnedMutexGuard;

use super::retry::{Effect, Retries};

/// A transaction, or a pool for reads. A transaction is rolled back on drop.
pub(crate) struct Session {
    connection: Connection,
    /// Held by the single writer of SQLite.
    _write_guard: Option<OwnedMutexGuard<()>>,
}

enum Connection {
    /// Repeats reads whose connection was lost.
    Pool(DatabaseConnection, Retries),
    Transaction(DatabaseTransaction),
    /// Through a pooler that runs every transaction in a different session: nothing may outlive the
    /// transaction.
    #[cfg(feature = "postgres")]
    Shared(tokio::sync::Mutex<sqlx::Transaction<'static, sqlx::Postgres>>),
}

impl Session {
    /// Returns a session for reads, which runs every statement separately.
    pub(super) fn pool(pool: &DatabaseConnection, retries: &Retries) -> Self {
        Self::new(Connection::Pool(pool.clone(), retries.clone()), None)
    }

    pub(super) fn transaction(
        transaction: DatabaseTransaction,
        write_guard: Option<OwnedMutexGuard<()>>,
    ) -> Self {
        Self::new(Connection::Transaction(transaction), write_guard)
    }

    #[cfg(feature = "postgres")]
    pub(super) fn shared(transaction: sqlx::Transaction<'static, sqlx::Postgres>) -> Self {
        Self::new(Connection::Shared(tokio::sync::Mutex::new(transaction)), None)
    }

    fn new(connection: Connection, write_guard: Option<OwnedMutexGuard<()>>) -> Self {
        Self {
            connection,
            _write_guard: write_guard,
        }
    }

    /// Commits a transaction; does nothing for a pool.
    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        match self.connection {
            Connection::Pool(..) => Ok(()),
            Connection::Transaction(transaction) => transaction.commit().await,
            #[cfg(feature = "postgres")]
            Connection::Shared(transaction) => transaction.into_inner().commit().await.map_err(query_error),
        }
    }
}

#[async_trait]
impl ConnectionTrait for Session {
    fn get_database_backend(&self) -> DbBackend {
        match &self.connection {
            Connection::Pool(pool, _) => pool.get_database_backend(),
            Connection::Transaction(transaction) => transaction.get_database_backend(),
            #[cfg(feature = "postgres")]
            Connection::Shared(_) => DbBackend::Postgres,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match &self.connection {
            Connection::Pool(pool, _) => pool.execute_raw(statement).await,
            Connection::Transaction(transaction) => transaction.execute_raw(statement).await,
            #[cfg(feature = "postgres")]
            Connection::Shared(transaction) => {
                let done = unnamed(statement).execute(&mut **transaction.lock().await).await;
                done.map(ExecResult::from).map_err(query_error)
            }
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match &self.connection {
            Connection::Pool(pool, _) => pool.execute_unprepared(sql).await,
            Connection::Transaction(transaction) => transaction.execute_unprepared(sql).await,
            #[cfg(feature = "postgres")]
            Connection::Shared(transaction) => {
                let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
                let done = statement.execute(&mut **transaction.lock().await).await;
                done.map(ExecResult::from).map_err(query_error)
            }
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match &self.connection {
            Connection::Pool(pool, retries) => {
                let read = || pool.query_one_raw(statement.clone());
                retries.run(Effect::Repeatable, read).await
            }
            Connection::Transaction(transaction) => transaction.query_one_raw(statement).await,
            #[cfg(feature = "postgres")]
            Connection::Shared(transaction) => {
                let row = unnamed(statement)
                    .fetch_optional(&mut **transaction.lock().await)
                    .await;
                row.map(|row| row.map(QueryResult::from)).map_err(query_error)
            }
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.connection {
            Connection::Pool(pool, retries) => {
                let read = || pool.query_all_raw(statement.clone());
                retries.run(Effect::Repeatable, read).await
            }
            Connection::Transaction(transaction) => transaction.query_all_raw(statement).await,
            #[cfg(feature = "postgres")]
            Connection::Shared(transaction) => {
                let rows = unnamed(statement)
                    .fetch_all(&mut **transaction.lock().await)
                    .await;
                let rows = rows.map_err(query_error)?;
                Ok(rows.into_iter().map(QueryResult::from).collect())
            }
        }
    }
}

/// Converts to an unnamed statement: a named statement would stay in a session that other clients use next.
#[cfg(feature = "postgres")]
fn unnamed(statement: Statement) -> sqlx::query::Query<'static, sqlx::Postgres, sea_query_sqlx::SqlxValues> {
    let values = statement.values.unwrap_or(sea_orm::Values(Vec::new()));
    sqlx::query_with(
        sqlx::AssertSqlSafe(statement.sql),
        sea_query_sqlx::SqlxValues(values),
    )
    .persistent(false)
}

#[cfg(feature = "postgres")]
pub(super) fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
