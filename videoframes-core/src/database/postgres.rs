//! Connections to Postgres.

use std::time::Duration;

use sea_orm::SqlxPostgresConnector;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{AssertSqlSafe, Connection, Executor};

use super::{DatabaseError, DatabaseOptions, Opened};

/// How long a connection may have been idle before it is asked whether it still works.
const TRUSTED: Duration = Duration::from_secs(5);

pub(super) async fn open(address: &str, options: &DatabaseOptions) -> Result<Opened, DatabaseError> {
    let connect: PgConnectOptions =
        address
            .parse()
            .map_err(|source: sea_orm::sqlx::Error| DatabaseError::InvalidAddress {
                source: source.into(),
            })?;
    let connect = match connect.get_application_name() {
        Some(_) => connect,
        None => connect.application_name("videoframes"),
    };
    let name = name(&connect);
    let pool = pool(options, options.connections.max(1));
    let pool = pool.connect_with(connect.clone()).await;
    let pool = pool.map_err(|source| DatabaseError::Unavailable {
        database: name.clone(),
        source: source.into(),
    })?;
    let reserved = self::pool(options, 1).connect_lazy_with(connect);
    Ok(Opened {
        name,
        pool: SqlxPostgresConnector::from_sqlx_postgres_pool(pool),
        reserved: SqlxPostgresConnector::from_sqlx_postgres_pool(reserved),
    })
}

fn pool(options: &DatabaseOptions, connections: u32) -> PgPoolOptions {
    // The server too gives up: what nobody waits for any more must not keep rows locked.
    let patience = options.patience.as_millis();
    let session =
        format!("SET statement_timeout = {patience}; SET idle_in_transaction_session_timeout = {patience}");
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(options.patience)
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for >= TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            let session = session.clone();
            Box::pin(async move { connection.execute(AssertSqlSafe(session)).await.map(drop) })
        })
}

fn name(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("'{database}' at {}", socket.display()),
        None => format!("'{database}' at {}:{}", options.get_host(), options.get_port()),
    }
}
