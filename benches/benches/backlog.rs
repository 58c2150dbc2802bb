//! Measures the statements of Postgres for each call while a million jobs wait.
//!
//! Run `cargo test -p videoframes-benches --bench backlog`; the database measures the times, so the profile does
//! not matter. `ROWS` (1000000) is the number of waiting jobs. Starts a private Postgres with
//! `scripts/postgres`, or creates a database in the server given by `VF_TEST_POSTGRES`. Every statement reports
//! its plan and time through `auto_explain`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use sea_orm::ConnectionTrait;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use videoframes_core::database::{Database, DatabaseOptions};
use videoframes_core::jobs::{
    Claim, ClaimTerms, Enqueue, JobFilter, JobId, JobRepo, JobStatus, NewJob, SeaOrmJobRepo, SweepTerms,
};

const RUNS: usize = 10;

const SWEEP: SweepTerms = SweepTerms {
    overdue: Duration::from_secs(120),
    drained: None,
    crashes: 3,
    retention: Duration::from_secs(30 * 86400),
    most: 1000,
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rows: u64 = std::env::var("ROWS").map_or(1_000_000, |rows| rows.parse().unwrap());
    let Some(server) = Server::find() else {
        eprintln!("skipped: Postgres is not installed");
        return;
    };
    let address = server.new_database().await;
    let database = Database::connect(&address, &options()).await.unwrap();
    database.migrate().await.unwrap();
    fill(&database, rows).await;
    // New sessions load auto_explain.
    database.close().await;
    tracing::subscriber::set_global_default(Watch).unwrap();
    let database = Database::connect(&address, &options()).await.unwrap();
    let repo = SeaOrmJobRepo::new(database.clone());
    println!("{rows} unfinished jobs; {RUNS} calls each; milliseconds of database time in a call\n");
    println!("| call | statements | median, ms | slowest, ms | rows filtered out | indexes |");
    println!("|---|--:|--:|--:|--:|---|");
    calls(&database, &repo).await;
    database.close().await;
}

async fn calls(database: &Database, repo: &SeaOrmJobRepo) {
    let mut submitted = Vec::new();
    measure("submit", async |n| {
        let jobs = [job(n)];
        repo.submit(&jobs, Enqueue::ThroughOutbox).await.unwrap();
        submitted.push(jobs[0].id);
    })
    .await;
    measure("claim", async |n| {
        let terms = ClaimTerms {
            lease: Duration::from_secs(90),
            crashes: 3,
            revision: None,
        };
        let claim = repo.claim(submitted[n], "worker", &terms).await.unwrap();
        assert!(matches!(claim, Claim::Claimed(..)), "{claim:?}");
    })
    .await;
    for status in [None, Some(JobStatus::Pending), Some(JobStatus::Failed)] {
        let mut filter = JobFilter::default().statuses(status).limit(100);
        let name = status.map_or("all", JobStatus::as_str);
        measure(&format!("list, {name}, page by page"), async |_| {
            filter.after = repo.list(&filter).await.unwrap().next;
        })
        .await;
    }
    measure("sweep while all wait", async |_| {
        let swept = repo.sweep(&SWEEP).await.unwrap();
        assert_eq!((swept.enqueued, swept.failed), (0, 0));
    })
    .await;
    measure("sweep that ends 10 jobs past their deadline", async |n| {
        let late = format!(
            "UPDATE video_jobs SET deadline_at = 1 WHERE idempotency_key IN ({})",
            (0..10)
                .map(|of| format!("'pending {}'", n * 10 + of + 1))
                .collect::<Vec<_>>()
                .join(", ")
        );
        database.connection().execute_unprepared(&late).await.unwrap();
        seen().clear();
        assert_eq!(repo.sweep(&SWEEP).await.unwrap().failed, 10);
    })
    .await;
    measure("sweep that enqueues 100 lost jobs", async |_| {
        let sent = "UPDATE outbox SET sent_at = 1 WHERE sent_at IS NULL";
        database.connection().execute_unprepared(sent).await.unwrap();
        seen().clear();
        let terms = SweepTerms {
            drained: Some(Duration::ZERO),
            most: 100,
            ..SWEEP
        };
        assert_eq!(repo.sweep(&terms).await.unwrap().enqueued, 100);
    })
    .await;
}

/// Prints the times of the statements of some calls.
async fn measure(what: &str, mut call: impl AsyncFnMut(usize)) {
    let (mut times, mut statements, mut filtered) = (Vec::new(), 0, 0);
    let mut indexes = BTreeSet::new();
    for n in 0..RUNS {
        seen().clear();
        call(n).await;
        let said = std::mem::take(&mut *seen());
        statements = said.len();
        let mut time = 0.0;
        for text in &said {
            let duration = text
                .strip_prefix("duration: ")
                .and_then(|text| text.split(' ').next());
            time += duration.unwrap().parse::<f64>().unwrap();
            for line in text.lines() {
                assert!(!line.contains("Seq Scan on video_jobs"), "{text}");
                if let Some(rows) = line.trim().strip_prefix("Rows Removed by Filter: ") {
                    filtered = rows.parse::<u64>().unwrap().max(filtered);
                }
                let used = line.split_once(" using ").map(|(_, rest)| rest);
                indexes.extend(used.and_then(|used| used.split(' ').next()).map(str::to_owned));
            }
        }
        times.push(time);
    }
    times.sort_by(f64::total_cmp);
    let indexes = Vec::from_iter(indexes).join(", ");
    println!(
        "| {what} | {statements} | {:.2} | {:.2} | {filtered} | {indexes} |",
        times[RUNS / 2],
        times[RUNS - 1]
    );
}

fn options() -> DatabaseOptions {
    DatabaseOptions::default().patience(Duration::from_secs(600))
}

fn job(n: usize) -> NewJob {
    NewJob {
        id: JobId::random(),
        idempotency_key: format!("new {n}"),
        payload_hash: "p".to_owned(),
        source: json!({"bucket": "uploads", "key": format!("new/{n}.mp4")}).into(),
        options: json!({"selection": {"fps": 1}}).into(),
        output_key: None,
        client_metadata: None,
        sequencer: Some(format!("{n:x}")),
        message_id: None,
        time_limit: None,
        work_limit: Some(Duration::from_secs(86400)),
        rejection: None,
        trace: None,
    }
}

/// Inserts `rows` jobs accepted within ten hours: a hundredth between attempts, a thousand in process, the others
/// waiting. Inserts a tenth as many failed jobs in addition.
async fn fill(database: &Database, rows: u64) {
    let between = rows / 100;
    let kinds = [
        ("pending", rows - between - 1000, "NULL", "NULL", "NULL"),
        ("retry_wait", between, "NULL", "now_ms + n", "NULL"),
        ("processing", 1000, "now_ms + 3600000", "NULL", "NULL"),
        ("failed", rows / 10, "NULL", "NULL", "at"),
    ];
    for (status, count, lease, next, finished) in kinds {
        // Jobs in process were accepted before all waiting jobs.
        let at = match status {
            "processing" => "now_ms - 36000000".to_owned(),
            _ => format!("now_ms - 36000000 + CAST(n AS bigint) * 35000000 / {count}"),
        };
        let fill = format!(
            "INSERT INTO video_jobs (id, idempotency_key, payload_hash, source, options, generation, status, \
             frames_done, frames_total, cancel_requested, lease_epoch, lease_expires_at, next_attempt_at, attempts, \
             crash_count, created_at, updated_at, finished_at, enqueued_at, work_limit_ms, source_object, event_order) \
             SELECT gen_random_uuid(), '{status} ' || n, md5(n::text), \
             '{{\"bucket\":\"uploads\",\"key\":\"{status}/' || n || '.mp4\"}}', '{{\"selection\":{{\"fps\":1}}}}', 0, \
             '{status}', 0, 0, false, 0, {lease}, {next}, 0, 0, at, at, {finished}, at, 86400000, \
             'uploads/{status}/' || n, '01' \
             FROM (SELECT n, now_ms, {at} AS at FROM generate_series(1, {count}) AS n, \
             (SELECT CAST(FLOOR(EXTRACT(EPOCH FROM statement_timestamp()) * 1000) AS bigint) AS now_ms) AS t) AS s"
        );
        database.connection().execute_unprepared(&fill).await.unwrap();
    }
    let name: String = {
        let row = database
            .connection()
            .query_one_raw(sea_orm::Statement::from_string(
                sea_orm::DbBackend::Postgres,
                "SELECT current_database()",
            ))
            .await
            .unwrap();
        row.unwrap().try_get_by_index(0).unwrap()
    };
    for sql in [
        "VACUUM ANALYZE video_jobs".to_owned(),
        format!("ALTER DATABASE {name} SET session_preload_libraries = 'auto_explain'"),
        format!("ALTER DATABASE {name} SET auto_explain.log_min_duration = 0"),
        format!("ALTER DATABASE {name} SET auto_explain.log_analyze = on"),
        format!("ALTER DATABASE {name} SET auto_explain.log_level = notice"),
    ] {
        database.connection().execute_unprepared(&sql).await.unwrap();
    }
}

/// A private Postgres server, or the given server.
struct Server {
    address: String,
    folder: Option<tempfile::TempDir>,
}

impl Server {
    fn find() -> Option<Self> {
        if let Ok(address) = std::env::var("VF_TEST_POSTGRES") {
            return Some(Self {
                address,
                folder: None,
            });
        }
        // Not in $TMPDIR, since the path of a socket must be short.
        let folder = tempfile::Builder::new()
            .prefix("vf-pg.")
            .tempdir_in("/tmp")
            .unwrap();
        let started = postgres("start", folder.path());
        let address = String::from_utf8(started.stdout).unwrap().trim().to_owned();
        started.status.success().then_some(Self {
            address,
            folder: Some(folder),
        })
    }

    async fn new_database(&self) -> String {
        let name = format!("vf_{}", uuid::Uuid::new_v4().simple());
        let maintenance = Database::connect(&self.address, &options()).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        maintenance
            .connection()
            .execute_unprepared(&create)
            .await
            .unwrap();
        maintenance.close().await;
        let (path, query) = self.address.split_once('?').unwrap_or((&self.address, ""));
        let (host, _) = path.rsplit_once('/').unwrap();
        format!("{host}/{name}?{query}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            postgres("stop", folder.path());
        }
    }
}

fn postgres(action: &str, folder: &Path) -> std::process::Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/postgres");
    Command::new(script).arg(action).arg(folder).output().unwrap()
}

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn seen() -> std::sync::MutexGuard<'static, Vec<String>> {
    SEEN.lock().unwrap()
}

/// Records the plans that Postgres reports.
struct Watch;

impl Subscriber for Watch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::postgres::notice"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        if message.0.contains("plan:") {
            seen().push(message.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").unwrap();
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }
}
