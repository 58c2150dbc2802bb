//! Changes of existing tables.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// Adds a column. SQLite adds one column per statement.
pub(crate) async fn add(
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

/// Removes a column without an index: SQLite does not drop an indexed column.
pub(crate) async fn remove(
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

/// Drops indexes of a table.
pub(crate) async fn drop_indexes(
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

/// Limits the wait for each lock in this transaction. On Postgres, everybody else waits behind a migration that waits for
/// the transactions before it. The migration then fails, and may be repeated.
pub(crate) async fn limit_lock_wait(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        let limit = "SET LOCAL lock_timeout = '5s'";
        manager.get_connection().execute_unprepared(limit).await?;
    }
    Ok(())
}

/// Returns the time of the database in milliseconds since the epoch.
pub(crate) fn now(manager: &SchemaManager<'_>) -> Expr {
    Expr::cust(match manager.get_database_backend() {
        DbBackend::Postgres => "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint)",
        _ => "CAST(unixepoch('subsec') * 1000 AS integer)",
    })
}
