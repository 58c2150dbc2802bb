//! Measures the statements of Postgres for each call while a million jobs wait.
//!
//! Run `cargo test -p videoframes-benches --bench backlog`; the database measures the times, so the profile does
//! not matter. `ROWS` (1000000) is the number of waiting jobs. Starts a private Postgres with
//! `scripts/postgres`, or creates a database in the server given by `VF_TEST_POSTGRES`. Every statement reports
//! its plan and time through `auto_explain`. The bench fails if a call takes 50 ms of database time or more in the
//! median, or if a statement scans the table of jobs or the outbox. `PLANS` names a call, such as `claim`, whose plans are
//! printed.
//!
//! With `vf-worker` built in the same profile (`cargo build -p videoframes-worker`), also measures the memory of
//! `vf-worker jobs --limit 0`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
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
use videoframes_core::tenant::{Priority, Tenant};

const RUNS: usize = 10;
/// Maximum database time of a call in milliseconds, in the median.
const MAX_MS: f64 = 50.0;
/// Maximum memory that a list of all jobs needs in addition to a list of few jobs, in MiB.
const MAX_MIB: u64 = 20;

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
    claims(&repo).await;
    lists(&repo).await;
    sweeps(&database, &repo).await;
    database.close().await;
    memory_of_lists(&address);
}

async fn claims(repo: &SeaOrmJobRepo) {
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
}

async fn lists(repo: &SeaOrmJobRepo) {
    for status in [None, Some(JobStatus::Pending), Some(JobStatus::Failed)] {
        let mut filter = JobFilter::default().statuses(status).limit(100);
        let name = status.map_or("all", JobStatus::as_str);
        measure(&format!("list, {name}, page by page"), async |_| {
            filter.after = repo.list(&filter).await.unwrap().next;
        })
        .await;
    }
    for (name, filter) in [
        ("text of few jobs", JobFilter::default().text(RARE_CODE)),
        ("text of no job", JobFilter::default().text("no such text")),
        ("source prefix", JobFilter::default().source_prefix("failed/1")),
        (
            "source prefix of no job",
            JobFilter::default().source_prefix("absent/"),
        ),
        (
            "error code of few jobs",
            JobFilter::default().error_codes([RARE_CODE]),
        ),
        (
            "failed with an error code of few jobs",
            JobFilter::default()
                .statuses([JobStatus::Failed])
                .error_codes([RARE_CODE]),
        ),
    ] {
        let mut filter = filter.limit(100);
        measure(&format!("list, {name}, page by page"), async |_| {
            filter.after = repo.list(&filter).await.unwrap().next;
        })
        .await;
    }
}

async fn sweeps(database: &Database, repo: &SeaOrmJobRepo) {
    measure("sweep while all wait", async |_| {
        let swept = repo.sweep(&SWEEP).await.unwrap();
        assert_eq!((swept.enqueued, swept.failed), (0, 0));
    })
    .await;
    measure("sweep that ends 10 jobs past their deadline", async |n| {
        let late = update("deadline_at = 1", "pending", 10, n);
        database.connection().execute_unprepared(&late).await.unwrap();
        seen().clear();
        assert_eq!(repo.sweep(&SWEEP).await.unwrap().failed, 10);
    })
    .await;
    measure("sweep that deletes 100 jobs past their retention", async |n| {
        let old = update("finished_at = 1", "failed", 100, n);
        database.connection().execute_unprepared(&old).await.unwrap();
        seen().clear();
        assert_eq!(repo.sweep(&SWEEP).await.unwrap().forgotten, 100);
    })
    .await;
    measure(
        "sweep that deletes 100 sent messages past their retention",
        async |n| {
            let old = format!(
                "UPDATE outbox SET sent_at = 1 WHERE seq > {} AND seq <= {}",
                n * 100,
                n * 100 + 100
            );
            database.connection().execute_unprepared(&old).await.unwrap();
            seen().clear();
            repo.sweep(&SWEEP).await.unwrap();
        },
    )
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

/// Returns a statement that sets a column of some jobs of a status, other jobs for each `n`.
fn update(set: &str, status: &str, jobs: usize, n: usize) -> String {
    let keys = (1..=jobs).map(|of| format!("'{status} {}'", n * jobs + of));
    let keys = keys.collect::<Vec<_>>().join(", ");
    format!("UPDATE video_jobs SET {set} WHERE idempotency_key IN ({keys})")
}

/// Prints the times of the statements of some calls.
async fn measure(what: &str, mut call: impl AsyncFnMut(usize)) {
    let (mut times, mut statements, mut filtered) = (Vec::new(), 0, 0);
    let mut indexes = BTreeSet::new();
    let prints_plans = std::env::var("PLANS").is_ok_and(|name| name == what);
    for n in 0..RUNS {
        seen().clear();
        call(n).await;
        let said = std::mem::take(&mut *seen());
        statements = said.len();
        let mut time = 0.0;
        if prints_plans && n + 1 == RUNS {
            eprintln!("{}", said.join("\n\n"));
        }
        for text in &said {
            let duration = text
                .strip_prefix("duration: ")
                .and_then(|text| text.split(' ').next());
            time += duration.unwrap().parse::<f64>().unwrap();
            for line in text.lines() {
                for table in ["video_jobs", "outbox"] {
                    assert!(!line.contains(&format!("Seq Scan on {table}")), "{text}");
                }
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
    let median = times[RUNS / 2];
    println!(
        "| {what} | {statements} | {median:.2} | {:.2} | {filtered} | {indexes} |",
        times[RUNS - 1]
    );
    assert!(median < MAX_MS, "{what}: {median} ms");
}

/// Measures the memory of `vf-worker` while it lists few jobs and all jobs.
fn memory_of_lists(address: &str) {
    let bench = std::env::current_exe().unwrap();
    let worker = bench.parent().unwrap().parent().unwrap().join("vf-worker");
    if !worker.exists() {
        eprintln!("skipped: {} does not exist", worker.display());
        return;
    }
    println!("\n| command | jobs | peak memory, MiB |");
    println!("|---|--:|--:|");
    for format in [&[][..], &["--json"]] {
        let peaks = ["1000", "0"].map(|limit| {
            let args = [&["jobs", "--limit", limit], format].concat();
            let (jobs, peak) = list(&worker, address, &args);
            println!("| `vf-worker {}` | {jobs} | {peak} |", args.join(" "));
            peak
        });
        assert!(peaks[1] < peaks[0] + MAX_MIB, "{peaks:?} MiB");
    }
}

/// Runs a list; returns the number of listed jobs and the peak memory in MiB.
fn list(worker: &Path, address: &str, args: &[&str]) -> (usize, u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Command::new(worker)
        .args(args)
        .env("DATABASE_URL", address)
        .env("VF_STORAGE", format!("file:{}", folder.path().display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut jobs, mut peak) = (0, 0);
    let status = format!("/proc/{}/status", running.id());
    for (n, line) in BufReader::new(running.stdout.take().unwrap()).lines().enumerate() {
        let line = line.unwrap();
        jobs += usize::from(match args.contains(&"--json") {
            true => line.starts_with("    \"id\":"),
            false => n > 0,
        });
        if n % 1000 == 0 {
            let status = std::fs::read_to_string(&status).unwrap();
            let high = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let high = high.map_or(0, |high| high.trim().trim_end_matches(" kB").parse().unwrap());
            peak = u64::max(peak, high);
        }
    }
    assert!(running.wait().unwrap().success(), "{args:?}");
    (jobs, peak >> 10)
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
        tenant: Tenant::default(),
        priority: Priority::default(),
    }
}

/// The error code of one failed job in 5000.
const RARE_CODE: &str = "NO_SPACE";

/// Inserts `rows` jobs accepted within ten hours: a hundredth between attempts, a thousand in process, the others
/// waiting. Inserts a tenth as many failed jobs in addition, and a sent message of each job.
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
        let error = match status {
            "failed" => format!("CASE WHEN n % 5000 = 0 THEN '{RARE_CODE}' ELSE 'DAMAGED_VIDEO' END"),
            _ => "NULL".to_owned(),
        };
        let fill = format!(
            "INSERT INTO video_jobs (id, idempotency_key, payload_hash, source, options, generation, status, \
             frames_done, frames_total, cancel_requested, lease_epoch, lease_expires_at, next_attempt_at, attempts, \
             crash_count, created_at, updated_at, finished_at, enqueued_at, work_limit_ms, source_object, event_order, \
             error_code) \
             SELECT gen_random_uuid(), '{status} ' || n, md5(n::text), \
             '{{\"bucket\":\"uploads\",\"key\":\"{status}/' || n || '.mp4\"}}', '{{\"selection\":{{\"fps\":1}}}}', 0, \
             '{status}', 0, 0, false, 0, {lease}, {next}, 0, 0, at, at, {finished}, at, 86400000, \
             'uploads/{status}/' || n, '01', {error} \
             FROM (SELECT n, now_ms, {at} AS at FROM generate_series(1, {count}) AS n, \
             (SELECT CAST(FLOOR(EXTRACT(EPOCH FROM statement_timestamp()) * 1000) AS bigint) AS now_ms) AS t) AS s"
        );
        database.connection().execute_unprepared(&fill).await.unwrap();
    }
    let messages = "INSERT INTO outbox (id, destination, job_id, body, created_at, sent_at) \
         SELECT gen_random_uuid(), 'input', id, '{\"version\":1}', created_at, created_at FROM video_jobs";
    database.connection().execute_unprepared(messages).await.unwrap();
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
        "VACUUM ANALYZE outbox".to_owned(),
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
