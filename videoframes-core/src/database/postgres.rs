//! Connections to Postgres, direct or through a pooler.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::SqlxPostgresConnector;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor, Row, Transaction};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::passwords::{Passwords, Renewer};
use super::retry::{Retries, is_refused_login};
use super::tls_plan::TlsPlan;
use super::{DatabaseCredentials, DatabaseError, DatabaseOptions, Opened, Pooler};

/// Idle time after which a connection is tested before use.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(5);
/// Maximum wait for the first connection.
const MAX_CONNECT_TIME: Duration = Duration::from_secs(15);
/// Time without an answer after which a warning is logged.
const WARN_AFTER: Duration = Duration::from_secs(3);

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
    let tls = TlsPlan::new(address, &connect, options).map_err(|conflict| DatabaseError::TlsConflict {
        setting: conflict.setting,
        option: conflict.option,
    })?;
    if let Some(path) = tls.ca_file() {
        check_ca_file(path)
            .await
            .map_err(|source| DatabaseError::CaFile {
                path: path.to_owned(),
                source,
            })?;
    }
    let connect = tls.apply(connect);
    if matches!(connect.get_ssl_mode(), PgSslMode::VerifyCa) {
        ensure_crypto_provider();
    }
    let name = name(&connect);
    let mut passwords = match &options.credentials {
        Some(credentials) => Some(first_password(&name, Arc::clone(credentials), &connect).await?),
        None => None,
    };
    let first = connect_first(connect, options, &mut passwords);
    let first = warn_if_slow(&name, first).await;
    let (connect, shared) = first.map_err(|error| unavailable(&name, error))?;
    let connections = options.connections.max(1);
    let open = |connections| {
        let connect = with_password(&connect, passwords.as_ref());
        pool(options, connections, shared).connect_lazy_with(connect)
    };
    let pools = [open(connections), open(1)];
    let renewer = passwords.map(|passwords| Arc::new(Renewer::new(passwords, pools.clone())));
    let renewal = renewer.clone().map(|renewer| tokio::spawn(renewer.run()));
    let [pool, reserved] = pools.map(SqlxPostgresConnector::from_sqlx_postgres_pool);
    Ok(Opened {
        name,
        pool,
        reserved,
        shared,
        // The server may have ended every idle connection.
        retries: Retries::new(connections + 1, renewer),
        renewal: renewal.map(AbortOnDropHandle::new),
    })
}

/// Fails unless the file is readable and contains a certificate: the client would ignore a file without one.
async fn check_ca_file(path: &Path) -> io::Result<()> {
    let content = tokio::fs::read(path).await?;
    match memchr::memmem::find(&content, b"-----BEGIN CERTIFICATE-----") {
        Some(_) => Ok(()),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no certificate in PEM format",
        )),
    }
}

/// The client verifies `verify-ca` with the provider of the process, and panics without one: rustls does not choose
/// between two that are linked. Every other mode uses the provider ring.
fn ensure_crypto_provider() {
    // Fails if the program has installed a provider, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

async fn first_password(
    database: &str,
    credentials: Arc<dyn DatabaseCredentials>,
    connect: &PgConnectOptions,
) -> Result<Passwords, DatabaseError> {
    let first = Passwords::first(credentials, connect, MAX_CONNECT_TIME).await;
    first.map_err(|source| DatabaseError::Credentials {
        database: database.to_owned(),
        source,
    })
}

fn with_password(connect: &PgConnectOptions, passwords: Option<&Passwords>) -> PgConnectOptions {
    match passwords {
        Some(passwords) => passwords.apply(connect.clone()),
        None => connect.clone(),
    }
}

fn unavailable(database: &str, error: FirstError) -> DatabaseError {
    let database = database.to_owned();
    match error {
        FirstError::Failed(source) if is_tls(&source) => DatabaseError::Tls {
            database,
            source: source.into(),
        },
        FirstError::Failed(source) => DatabaseError::Unavailable {
            database,
            source: source.into(),
        },
        FirstError::Silent(limit) => DatabaseError::Unavailable {
            database,
            source: format!("no answer within {limit:?}").into(),
        },
    }
}

/// The reason why there is no first connection.
enum FirstError {
    Failed(sqlx::Error),
    /// No answer within this time.
    Silent(Duration),
}

/// Logs a warning if the server does not respond for a while.
async fn warn_if_slow<T>(name: &str, connected: impl Future<Output = T>) -> T {
    tokio::pin!(connected);
    tokio::select! {
        done = &mut connected => return done,
        () = sleep(WARN_AFTER) => {}
    }
    tracing::warn!(database = name, "the database does not respond yet; still trying");
    connected.await
}

/// Connects once. Returns the options for further connections, and whether a pooler shares sessions between
/// transactions. Retries transient errors for a while.
async fn connect_first(
    mut connect: PgConnectOptions,
    options: &DatabaseOptions,
    passwords: &mut Option<Passwords>,
) -> Result<(PgConnectOptions, bool), FirstError> {
    let limit = options.patience.min(MAX_CONNECT_TIME);
    let end = Instant::now() + limit;
    let mut shared = options.pooler == Pooler::Transaction;
    let mut pause = Duration::from_millis(50);
    let mut refused = false;
    if shared {
        connect = without_parameters(connect);
    }
    loop {
        let attempt = async {
            let connect = with_password(&connect, passwords.as_ref());
            let mut connection = PgConnection::connect_with(&connect).await?;
            let shared = shared || ignores_parameters(&mut connection).await?;
            let _ = connection.close().await;
            Ok::<_, sqlx::Error>(shared)
        };
        let error = match timeout_at(end, attempt).await {
            Ok(Ok(true)) => return Ok((without_parameters(connect), true)),
            Ok(Ok(false)) => return Ok((connect, false)),
            Ok(Err(error)) if !shared && refuses_parameters(&error) => {
                connect = without_parameters(connect);
                shared = true;
                continue;
            }
            Ok(Err(error)) => error,
            Err(_) => return Err(FirstError::Silent(limit)),
        };
        // The password may have been replaced since it was read.
        if let Some(passwords) = passwords
            && is_refused_login(&error)
            && !refused
        {
            refused = true;
            if passwords.renew().await {
                continue;
            }
        }
        if !is_transient(&error) || Instant::now() + pause >= end {
            return Err(FirstError::Failed(error));
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// The client requests more digits of floating-point numbers than the default, which this crate does not
/// need.
fn without_parameters(connect: PgConnectOptions) -> PgConnectOptions {
    connect.extra_float_digits(None)
}

/// PgBouncer rejects parameters that it does not pass on to the server.
fn refuses_parameters(error: &sqlx::Error) -> bool {
    let refusal = error.as_database_error().map(|error| error.message());
    refusal.is_some_and(|message| message.contains("unsupported startup parameter"))
}

/// PgBouncer ignores parameters that its configuration lists in `ignore_startup_parameters`.
async fn ignores_parameters(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::raw_sql("SHOW extra_float_digits")
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<String, _>(0)? != "2")
}

/// Returns whether a later connection may succeed: the server does not respond, starts, stops or has no free
/// connections.
fn is_transient(error: &sqlx::Error) -> bool {
    const CODES: [&str; 4] = ["57P01", "57P02", "57P03", "53300"];
    match error {
        sqlx::Error::Io(_) => !is_tls(error),
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| CODES.contains(&code.as_ref()) || code.starts_with("08")),
        _ => false,
    }
}

/// Returns whether the server has no TLS, or the client does not trust its certificate.
fn is_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        // An error of a handshake has this kind.
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => false,
    }
}

fn pool(options: &DatabaseOptions, connections: u32, shared: bool) -> PgPoolOptions {
    // Times out on the server too: an abandoned statement must not keep rows locked. Plans are made for the
    // actual values: a generic plan may read a whole backlog.
    let patience = options.patience.as_millis();
    let session = format!(
        "SET statement_timeout = {patience}; SET idle_in_transaction_session_timeout = {patience}; \
         SET plan_cache_mode = force_custom_plan"
    );
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(options.patience)
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for >= TEST_AFTER_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        });
    if shared {
        // Session settings would leak to the next client of the session: see `begin_shared`.
        return pool;
    }
    pool.after_connect(move |connection, _| {
        let session = session.clone();
        Box::pin(async move { connection.execute(AssertSqlSafe(session)).await.map(drop) })
    })
}

/// Begins a transaction in a session that other clients use afterwards.
pub(super) async fn begin_shared(
    pool: &PgPool,
    patience: Duration,
) -> Result<Transaction<'static, sqlx::Postgres>, sqlx::Error> {
    let patience = patience.as_millis();
    let begin = format!(
        "BEGIN; SET LOCAL statement_timeout = {patience}; \
         SET LOCAL idle_in_transaction_session_timeout = {patience}"
    );
    pool.begin_with(AssertSqlSafe(begin)).await
}

fn name(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("'{database}' at {}", socket.display()),
        None => format!("'{database}' at {}:{}", options.get_host(), options.get_port()),
    }
}
