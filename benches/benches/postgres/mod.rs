//! A database with waiting jobs for one benchmark, in the server given by `VF_TEST_POSTGRES`, and the cost of its use.

use std::fs;

use sea_orm::{ConnectionTrait, DbBackend, Statement, TryGetable};
use videoframes_core::database::{Database, DatabaseOptions};

/// Returns a number from the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// A database that is deleted at the end.
pub(crate) struct Server {
    maintenance: Database,
    name: String,
    /// Address of the database.
    #[allow(dead_code)] // not every benchmark starts workers
    pub(crate) address: String,
    pub(crate) database: Database,
}

impl Server {
    /// Creates a database with all tables; `None` without a server.
    pub(crate) async fn create(options: &DatabaseOptions) -> Option<Self> {
        let Ok(server) = std::env::var("VF_TEST_POSTGRES") else {
            eprintln!("skipped: set VF_TEST_POSTGRES to measure");
            return None;
        };
        let name = format!("vf_bench_{}", std::process::id());
        let maintenance = Database::connect(&server, options).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        maintenance
            .connection()
            .execute_unprepared(&create)
            .await
            .unwrap();
        let address = server.replace("/postgres?", &format!("/{name}?"));
        let database = Database::connect(&address, options).await.unwrap();
        database.migrate().await.unwrap();
        Some(Self {
            maintenance,
            name,
            address,
            database,
        })
    }

    pub(crate) async fn drop(self) {
        self.database.close().await;
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        self.maintenance
            .connection()
            .execute_unprepared(&drop)
            .await
            .unwrap();
    }
}

/// Fills the tables with waiting jobs and their messages. Every `delayed`th message of a tenant is delayed by an hour.
pub(crate) async fn fill(database: &Database, rows: u64, tenants: u64, delayed: u64, options: &str) {
    let source = r#"{"key":"v.mp4"}"#;
    let is_delayed = format!("created_at / {tenants} % {delayed} = 0");
    for sql in [
        format!(
            "INSERT INTO video_jobs (id, idempotency_key, payload_hash, source, options, generation, status, \
             frames_done, frames_total, cancel_requested, lease_epoch, attempts, crash_count, created_at, updated_at, \
             enqueued_at, tenant, priority) \
             SELECT gen_random_uuid(), 'waiting ' || n, 'p', '{source}', '{options}', 0, 'pending', 0, 0, false, 0, 0, 0, \
             n, n, n, 't' || n % {tenants}, 1 FROM generate_series(1, {rows}) AS n"
        ),
        format!(
            "INSERT INTO queue_messages (queue, body, attributes, sent_at, visible_at, receive_count, flow, rank, ready) \
             SELECT 'input', '{{\"version\":1,\"job_id\":\"' || id || '\"}}', '{{}}', created_at, \
             CASE WHEN {is_delayed} THEN CAST(EXTRACT(EPOCH FROM now()) * 1000 AS bigint) + 3600000 ELSE created_at END, \
             0, tenant || '/normal', CASE WHEN {is_delayed} THEN 0 ELSE (created_at / {tenants} + 1) * 80640 END, \
             NOT {is_delayed} FROM video_jobs ORDER BY video_jobs.created_at"
        ),
        "INSERT INTO videoframes_flows SELECT queue, flow, max(rank) FROM queue_messages GROUP BY 1, 2"
            .to_owned(),
        "VACUUM ANALYZE".to_owned(),
        "CHECKPOINT".to_owned(),
    ] {
        database.connection().execute_unprepared(&sql).await.unwrap();
    }
}

/// Returns the first column of a result.
pub(crate) async fn column<T: TryGetable>(database: &Database, sql: &str) -> Vec<T> {
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let rows = database.connection().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// The use of Postgres since its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// CPU time of all processes of the server in milliseconds.
    pub(crate) cpu_ms: f64,
    pub(crate) commits: i64,
    pub(crate) wal_bytes: i64,
    /// Number of statements, if pg_stat_statements is loaded.
    pub(crate) statements: Option<i64>,
}

impl Usage {
    pub(crate) async fn now(database: &Database) -> Self {
        let one = |sql: &'static str| async move { column::<i64>(database, sql).await[0] };
        let counts = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'";
        let statements = match one(counts).await {
            0 => None,
            _ => Some(one("SELECT CAST(coalesce(sum(calls), 0) AS bigint) FROM pg_stat_statements").await),
        };
        let process: Vec<i32> = column(database, "SELECT pg_backend_pid()").await;
        Self {
            cpu_ms: cpu_ms(process[0]),
            commits: one("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").await,
            wal_bytes: one("SELECT CAST(pg_current_wal_insert_lsn() - '0/0' AS bigint)").await,
            statements,
        }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        let statements = self.statements.zip(before.statements);
        Self {
            cpu_ms: self.cpu_ms - before.cpu_ms,
            commits: self.commits - before.commits,
            wal_bytes: self.wal_bytes - before.wal_bytes,
            statements: statements.map(|(after, before)| after - before),
        }
    }
}

/// Returns the CPU time of the server of a session: of the first process, its children, and those that have ended.
fn cpu_ms(session: i32) -> f64 {
    let first = stat(session).unwrap().parent;
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let process: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        stat(process).filter(|stat| process == first || stat.parent == first)
    });
    // The unit is 10 ms on all platforms of Linux.
    processes.map(|stat| stat.ticks as f64 * 10.0).sum()
}

struct Stat {
    parent: i32,
    ticks: u64,
}

/// Reads `/proc/PID/stat`: proc(5).
fn stat(process: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |from: usize, to: usize| {
        fields[from..to]
            .iter()
            .map(|ticks| ticks.parse::<u64>().unwrap_or(0))
            .sum()
    };
    let parent = fields[1].parse().ok()?;
    // utime, stime, cutime, cstime. A child of a session is none of the server.
    Some(Stat {
        parent,
        ticks: ticks(11, 15),
    })
}
