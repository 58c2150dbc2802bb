//! Passwords that change while connections are in use.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::ConnectionTrait;
use sea_orm::sqlx::ConnectOptions;
use videoframes_core::database::{
    Database, DatabaseCredentials, DatabaseError, DatabaseLogin, DatabaseOptions, DatabasePassword,
    DatabaseTls,
};
use videoframes_core::jobs::{
    Claim, Enqueue, JobProgress, JobRepo, JobRepoError, Outcome, SeaOrmJobRepo, Stage,
};
use videoframes_core::queue::{DatabaseQueue, Queue};

use crate::jobs::{TERMS, job};
use crate::{OPTIONS, resources};

/// A private Postgres that requires passwords by TCP.
struct Server {
    folder: PathBuf,
    /// Address of the socket, for a superuser without a password.
    admin: String,
}

impl Server {
    fn start() -> Option<Self> {
        // A configured Postgres implies that Postgres is installed.
        resources::named("VF_TEST_POSTGRES", "skipped")?;
        // Not in $TMPDIR, since the path of a socket must be short.
        let folder = tempfile::Builder::new().prefix("vf-pw.").tempdir_in("/tmp");
        let folder = folder.unwrap().keep();
        let output = script(&["start", folder.to_str().unwrap(), "tls"]);
        if output.status.code() == Some(3) {
            eprintln!("skipped: Postgres or openssl is not installed");
            return None;
        }
        assert!(output.status.success(), "{output:?}");
        let admin = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Some(Self { folder, admin })
    }

    async fn sql(&self, statement: &str) {
        let admin = Database::connect(&self.admin, &OPTIONS).await.unwrap();
        admin.connection().execute_unprepared(statement).await.unwrap();
        admin.close().await;
    }

    fn address(&self) -> String {
        let (_, port) = self.admin.split_once("port=").unwrap();
        let port = port.split('&').next().unwrap();
        format!("postgres://worker@localhost:{port}/postgres")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script(&["stop", self.folder.to_str().unwrap()]);
    }
}

fn script(args: &[&str]) -> std::process::Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/postgres");
    Command::new(script).args(args).output().unwrap()
}

/// Credentials that a test replaces.
#[derive(Debug)]
struct Replaced {
    password: Mutex<Result<String, String>>,
    renew_in: Duration,
    asked: AtomicU32,
}

impl Replaced {
    fn new(password: &str, renew_in: Duration) -> Arc<Self> {
        Arc::new(Self {
            password: Mutex::new(Ok(password.to_owned())),
            renew_in,
            asked: AtomicU32::new(0),
        })
    }

    fn set(&self, password: Result<&str, &str>) {
        *self.password.lock().unwrap() = password.map(str::to_owned).map_err(str::to_owned);
    }
}

#[async_trait]
impl DatabaseCredentials for Replaced {
    async fn password(
        &self,
        login: &DatabaseLogin,
    ) -> Result<DatabasePassword, Box<dyn Error + Send + Sync>> {
        assert_eq!(
            (login.host.as_str(), login.user.as_str()),
            ("localhost", "worker")
        );
        self.asked.fetch_add(1, Ordering::SeqCst);
        let password = self.password.lock().unwrap().clone()?;
        Ok(DatabasePassword::new(password, self.renew_in))
    }
}

/// A database of a user whose password a test changes.
struct Rotated {
    server: Server,
    credentials: Arc<Replaced>,
    options: DatabaseOptions,
    database: Database,
    changes: AtomicU32,
}

impl Rotated {
    /// Starts a server; the password is renewed only after a refusal.
    async fn start() -> Option<Self> {
        Self::renewed_in(Duration::from_secs(3600)).await
    }

    async fn renewed_in(renew_in: Duration) -> Option<Self> {
        let server = Server::start()?;
        server
            .sql("CREATE ROLE worker SUPERUSER LOGIN PASSWORD 'p0'")
            .await;
        let credentials = Replaced::new("p0", renew_in);
        let options = OPTIONS
            .clone()
            .tls(DatabaseTls::Require)
            .credentials(Arc::clone(&credentials) as _);
        let database = Database::connect(&server.address(), &options).await.unwrap();
        database.migrate().await.unwrap();
        Some(Self {
            server,
            credentials,
            options,
            database,
            changes: AtomicU32::new(0),
        })
    }

    /// Opens all connections, so that each of them is idle.
    async fn open_connections(&self) {
        let pool = self.database.connection().get_postgres_connection_pool();
        let max = pool.options().get_max_connections();
        for _ in 0..100 {
            let mut connections = Vec::new();
            for _ in 0..max {
                connections.push(pool.acquire().await.unwrap());
            }
            drop(connections);
            // A connection returns to the pool in a separate task, which discards an ended session.
            while pool.num_idle() < pool.size() as usize {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if pool.size() == max {
                return;
            }
        }
        panic!("the pool keeps only {} of {max} connections", pool.size());
    }

    /// Ends every session, after which only the returned password is valid.
    async fn change_password(&self) -> String {
        self.open_connections().await;
        let password = format!("p{}", self.changes.fetch_add(1, Ordering::SeqCst) + 1);
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'worker'";
        self.server
            .sql(&format!("ALTER ROLE worker PASSWORD '{password}'"))
            .await;
        self.server.sql(end).await;
        password
    }

    async fn rotate(&self) {
        let password = self.change_password().await;
        self.credentials.set(Ok(&password));
    }
}

#[tokio::test]
async fn calls_succeed_although_the_password_changes_before_each() {
    let Some(rotated) = Rotated::start().await else {
        return;
    };
    let repo = SeaOrmJobRepo::new(rotated.database.clone());
    let progress = JobProgress {
        stage: Stage::Extract,
        frames_done: 1,
        frames_total: 2,
    };

    rotated.rotate().await;
    rotated.database.ping().await.unwrap();
    rotated.rotate().await;
    let submitted = repo.submit(&[job("a")], Enqueue::AlreadyQueued).await.unwrap();
    rotated.rotate().await;
    assert_eq!(repo.unfinished().await.unwrap().total(), 1);
    rotated.rotate().await;
    let claimed = repo.claim(submitted[0].id, "owner", &TERMS).await.unwrap();
    let Claim::Claimed(lease, _) = claimed else {
        panic!("not claimed: {claimed:?}");
    };
    for _ in 0..2 {
        // The reserved connection has another pool.
        repo.renew(&lease, TERMS.lease, progress).await.unwrap();
        rotated.rotate().await;
    }
    repo.renew(&lease, TERMS.lease, progress).await.unwrap();
    rotated.rotate().await;
    let error = videoframes_core::jobs::JobError::new(videoframes_core::jobs::ErrorCode::Internal, "test");
    repo.finish(&lease, &Outcome::Failed(error)).await.unwrap();
    assert!(rotated.credentials.asked.load(Ordering::SeqCst) >= 8);
}

/// A write may have been committed before its connection was lost, so the library does not repeat the write.
#[tokio::test]
async fn at_most_one_write_fails_with_the_ended_sessions() {
    let Some(rotated) = Rotated::start().await else {
        return;
    };
    let queue = DatabaseQueue::new(rotated.database.clone(), "queue");
    let repo = SeaOrmJobRepo::new(rotated.database.clone());
    for _ in 0..2 {
        rotated.rotate().await;
        let receive = async || queue.receive(1, Duration::from_secs(60), Duration::ZERO).await;
        // A connection that was idle for seconds is tested before its use.
        let first = receive().await;
        assert!(
            first.is_err() || first.as_ref().is_ok_and(Vec::is_empty),
            "{first:?}"
        );
        assert_eq!(receive().await.unwrap(), []);
        rotated.rotate().await;
        let first = repo.take_outbox(1, Duration::from_secs(1)).await;
        assert!(
            first.is_err() || first.as_ref().is_ok_and(Vec::is_empty),
            "{first:?}"
        );
        assert_eq!(repo.take_outbox(1, Duration::from_secs(1)).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_password_that_is_due_is_renewed_without_a_refusal() {
    let Some(rotated) = Rotated::renewed_in(Duration::from_millis(100)).await else {
        return;
    };
    let pool = rotated.database.connection().get_postgres_connection_pool();
    let used = || {
        pool.connect_options()
            .to_url_lossy()
            .password()
            .map(str::to_owned)
    };
    assert_eq!(used().as_deref(), Some("p0"));
    // The server would accept only the old password, but open connections continue.
    rotated.credentials.set(Ok("p1"));
    while used().as_deref() != Some("p1") {
        rotated.database.ping().await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_last_password_stays_until_there_is_another() {
    let Some(rotated) = Rotated::start().await else {
        return;
    };
    let repo = SeaOrmJobRepo::new(rotated.database.clone());
    // The server refuses the password, and there is none yet.
    let password = rotated.change_password().await;
    rotated.credentials.set(Err("the file is empty"));
    let error = repo.unfinished().await.unwrap_err();
    assert!(matches!(error, JobRepoError::Unavailable { .. }), "{error}");
    rotated.credentials.set(Ok(&password));
    repo.unfinished().await.unwrap();
    // Credentials that fail have no effect while the last password is valid.
    rotated.credentials.set(Err("the file is empty"));
    rotated
        .server
        .sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'worker'")
        .await;
    repo.unfinished().await.unwrap();

    let error = Database::connect(&rotated.server.address(), &rotated.options).await;
    let error = error.unwrap_err();
    assert!(matches!(error, DatabaseError::Credentials { .. }), "{error}");
    // A wrong password is an error at once.
    let began = std::time::Instant::now();
    rotated.credentials.set(Ok("wrong"));
    let error = Database::connect(&rotated.server.address(), &rotated.options).await;
    assert!(
        matches!(error, Err(DatabaseError::Unavailable { .. })),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
}
