//! Measures the overhead of the job engine: many small jobs by real workers, compared to plain extractions.
//!
//! Run `cargo bench -p videoframes-benches --bench jobs`, with `vf-worker` built in release mode. `JOBS` (200) is
//! the number of jobs, `WORKERS` (1,2,4) lists numbers of workers. `VF_TEST_POSTGRES` is a Postgres server to
//! measure in addition to SQLite. `VF_TEST_S3` and `VF_TEST_SQS` are servers for a complete deployment (Postgres, a
//! bucket, SQS queues), with credentials in `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. The plain
//! extractions read and write files in every case.
#![allow(clippy::unwrap_used)]

mod servers;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait;
use serde_json::{Map, json};
use tokio::task::JoinSet;
use videoframes_core::archive::ZipObject;
use videoframes_core::database::{Database, DatabaseOptions};
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::jobs::{Enqueue, JobFilter, JobRepo, JobRequest, JobStatus, SeaOrmJobRepo, SourceRef};
use videoframes_core::pipeline::{Pipeline, Request};
use videoframes_core::processor::relay;
use videoframes_core::queue::{DatabaseQueue, InputQueues, Queue};
use videoframes_core::select::Selection;
use videoframes_core::storage::{LocalStorage, ObjectVersion, PutOptions, Storage};
use videoframes_core::tenant::Tenants;

use self::servers::{Servers, worker};

const SOURCE: &str = "v.mp4";

#[tokio::main]
async fn main() {
    let jobs: usize = std::env::var("JOBS").map_or(200, |jobs| jobs.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join(SOURCE);
    let clip = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4"];
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(clip)
        .args(["-pix_fmt", "yuv420p"])
        .arg(&video)
        .status();
    assert!(made.unwrap().success());

    println!("{jobs} jobs of three pictures each; jobs per second, and the overhead of the engine per job\n");
    println!("| parts | workers | extraction alone | as jobs | share | added, ms |");
    println!("|---|--:|--:|--:|--:|--:|");
    let workers = std::env::var("WORKERS").unwrap_or_else(|_| "1,2,4".to_owned());
    for workers in workers.split(',').map(|workers| workers.parse().unwrap()) {
        for parts in [Kind::Sqlite, Kind::Postgres, Kind::Deployed] {
            let bare = alone(&video, jobs, workers).await;
            let Some(engine) = as_jobs(&video, jobs, workers, parts).await else {
                continue;
            };
            let rate = |time: Duration| jobs as f64 / time.as_secs_f64();
            // Per worker.
            let added = (engine.as_secs_f64() - bare.as_secs_f64()) * workers as f64 / jobs as f64 * 1e3;
            println!(
                "| {parts:?} | {workers} | {:.1} | {:.1} | {:.2} | {added:.1} |",
                rate(bare),
                rate(engine),
                rate(engine) / rate(bare),
            );
        }
    }
}

/// The backends of a measurement.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Files for objects, SQLite for jobs and queues.
    Sqlite,
    /// Files for objects, Postgres for jobs and queues.
    Postgres,
    /// A bucket, SQS queues and Postgres.
    Deployed,
}

/// The environment of the workers, and the same connections for this program.
struct Parts {
    environment: Vec<(&'static str, String)>,
    storage: Arc<dyn Storage>,
    input: Arc<dyn Queue>,
    notifier: Arc<dyn Queue>,
}

impl Parts {
    /// Creates a place with files in `folder` and queues in the database.
    fn local(folder: &Path, database: &Database) -> Self {
        let objects = folder.join("objects");
        Self {
            environment: vec![("VF_STORAGE", format!("file:{}", objects.display()))],
            storage: Arc::new(LocalStorage::new(objects)),
            input: Arc::new(DatabaseQueue::new(database.clone(), "input")),
            notifier: Arc::new(DatabaseQueue::new(database.clone(), "notifier")),
        }
    }

    /// Creates a place with a bucket and queues; `None` without servers.
    async fn deployed(url: &str) -> Option<Self> {
        let servers = Servers::provision(url)?;
        Some(Self {
            storage: Arc::new(servers.storage().await),
            input: Arc::new(servers.queue("input").await),
            notifier: Arc::new(servers.queue("notifier").await),
            environment: servers.environment,
        })
    }
}

fn request() -> Request {
    Request::new(Selection::Count(3))
}

/// Runs the extractions without jobs, into the same kind of store.
async fn alone(video: &Path, jobs: usize, at_once: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::new(folder.path()));
    let key = SOURCE.parse().unwrap();
    storage.import(&key, video, &PutOptions::default()).await.unwrap();
    let extractor = Arc::new(FfmpegExtractor::default());
    let began = Instant::now();
    let mut running = JoinSet::new();
    for lane in 0..at_once {
        let (storage, extractor, key) = (Arc::clone(&storage), Arc::clone(&extractor), key.clone());
        running.spawn(async move {
            for job in (lane..jobs).step_by(at_once) {
                let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap().source;
                let archive = format!("results/{job}.zip").parse().unwrap();
                let target = ZipObject::new(Arc::clone(&storage), archive, PutOptions::default());
                let pipeline = Pipeline::new(extractor.clone());
                let done = pipeline.extract(source, &request(), &target).await;
                assert_eq!(done.unwrap().manifest.frames.len(), 3);
            }
        });
    }
    while let Some(lane) = running.join_next().await {
        lane.unwrap();
    }
    began.elapsed()
}

/// Runs the extractions as jobs, from the start of the workers to the end of the last job.
async fn as_jobs(video: &Path, jobs: usize, workers: usize, kind: Kind) -> Option<Duration> {
    let folder = tempfile::tempdir().unwrap();
    let url = match kind {
        Kind::Sqlite => format!("sqlite:{}", folder.path().join("jobs.sqlite").display()),
        Kind::Postgres | Kind::Deployed => new_database(&std::env::var("VF_TEST_POSTGRES").ok()?).await,
    };
    let database = Database::connect(&url, &DatabaseOptions::default())
        .await
        .unwrap();
    database.migrate().await.unwrap();
    let repo = SeaOrmJobRepo::new(database.clone());
    let parts = match kind {
        Kind::Deployed => Parts::deployed(&url).await?,
        Kind::Sqlite | Kind::Postgres => Parts::local(folder.path(), &database),
    };
    submit(&repo, &parts, video, jobs).await;

    let worker = worker();
    let start = || -> Child {
        Command::new(&worker)
            .args(["run", "--until-idle"])
            .env("DATABASE_URL", &url)
            .envs(parts.environment.iter().cloned())
            .env("VF_SCRATCH", folder.path().join("scratch"))
            .env("VF_REUSE", "off")
            .env("VF_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    };
    let began = Instant::now();
    let mut running: Vec<Child> = (0..workers).map(|_| start()).collect();
    // The end of the workers would include the long poll of their last receive.
    while repo.unfinished().await.unwrap().total() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = began.elapsed();
    for worker in &mut running {
        assert!(worker.wait().unwrap().success());
    }
    let rows = repo.list(&JobFilter::default()).await.unwrap().jobs;
    assert!(
        rows.len() == jobs
            && rows
                .iter()
                .all(|row| row.status == JobStatus::Completed && row.attempts == 1)
    );
    Some(took)
}

async fn submit(repo: &SeaOrmJobRepo, parts: &Parts, video: &Path, jobs: usize) {
    let source = SourceRef::current(SOURCE.parse().unwrap());
    parts
        .storage
        .import(&source.key, video, &PutOptions::default())
        .await
        .unwrap();
    let mut fields = Map::new();
    fields.insert("selection".to_owned(), json!({"count": 3}));
    let new = |number: usize| {
        let mut job = JobRequest::new(&source, fields.clone()).into_job(None, Duration::from_secs(3600));
        job.idempotency_key = number.to_string();
        job
    };
    let all: Vec<_> = (0..jobs).map(new).collect();
    repo.submit(&all, Enqueue::ThroughOutbox).await.unwrap();
    let (input, notifier) = (&InputQueues::from(parts.input.clone()), parts.notifier.as_ref());
    relay(
        repo,
        input,
        notifier,
        &Tenants::default(),
        Duration::from_secs(60),
    )
    .await
    .unwrap();
}

/// Creates a database in the cluster of the server.
async fn new_database(server: &str) -> String {
    let name = format!("vf_{}", uuid::Uuid::new_v4().simple());
    let maintenance = Database::connect(server, &DatabaseOptions::default())
        .await
        .unwrap();
    maintenance
        .connection()
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    maintenance.close().await;
    let (path, query) = server.split_once('?').unwrap_or((server, ""));
    let (host, _) = path.rsplit_once('/').unwrap();
    format!("{host}/{name}?{query}")
}
