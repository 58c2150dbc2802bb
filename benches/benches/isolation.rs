//! Measures how long a single job of one tenant waits while 100,000 jobs of another tenant wait.
//!
//! Run `cargo bench -p videoframes-benches --bench isolation`, with `vf-worker` built in release mode. `VF_TEST_POSTGRES` names
//! the server. `WAITING` (100000) jobs of one tenant wait. For each number of slots in `SLOTS` (1,2), one worker processes
//! them, and `RUNS` (10) times another tenant submits a single job. The bench fails if the start of such a job is delayed by
//! three job times or more. The queue in memory has no worker here: the bench counts the messages that are received first.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)] // this benchmark does not measure the server
mod postgres;
#[allow(dead_code)] // this benchmark needs no bucket
mod servers;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, json};
use videoframes_core::clock::SystemClock;
use videoframes_core::database::DatabaseOptions;
use videoframes_core::jobs::{
    Attempt, Enqueue, JobFilter, JobId, JobRepo, JobRequest, JobStatus, NewJob, SeaOrmJobRepo, SourceRef,
};
use videoframes_core::queue::{MemoryQueue, Outgoing, Queue};
use videoframes_core::storage::{LocalStorage, PutOptions, Storage};
use videoframes_core::tenant::{Priority, Share};

use self::postgres::{Server, fill, number};
use self::servers::worker;

/// Maximum delay of a job in job times.
const MAX_DELAY: f64 = 3.0;

#[tokio::main]
async fn main() {
    let waiting = number("WAITING", 100_000);
    memory(waiting).await;
    let options = DatabaseOptions::default().patience(Duration::from_secs(600));
    let folder = tempfile::tempdir().unwrap();
    import_clip(folder.path()).await;
    println!(
        "\n| waiting jobs | slots | mean job time, s | median delay, job times | maximum delay, job times |"
    );
    println!("|--:|--:|--:|--:|--:|");
    let slots = std::env::var("SLOTS").unwrap_or_else(|_| "1,2".to_owned());
    for slots in slots.split(',') {
        let Some(server) = Server::create(&options).await else {
            return;
        };
        let job_options = job("template", "t0").options.json().to_string();
        fill(&server.database, waiting, 1, u64::MAX >> 1, &job_options).await;
        let repo = SeaOrmJobRepo::new(server.database.clone());
        let mut running = start(&server.address, folder.path(), slots);
        let (job_time, delays) = delays(&repo).await;
        running.kill().unwrap();
        running.wait().unwrap();
        let left = repo.unfinished().await.unwrap().total();
        assert!(left > waiting * 9 / 10, "only {left} jobs wait");
        println!(
            "| {left} | {slots} | {job_time:.2} | {:.2} | {:.2} |",
            delays[delays.len() / 2],
            delays[delays.len() - 1]
        );
        assert!(delays[delays.len() - 1] < MAX_DELAY, "{delays:?}");
        server.drop().await;
    }
}

/// Counts the messages that a queue in memory delivers before the message of another tenant.
async fn memory(waiting: u64) {
    let queue = MemoryQueue::new("input", Arc::new(SystemClock));
    let message =
        |tenant: &str| Outgoing::new(tenant).share(Share::new(tenant.parse().unwrap(), Priority::Normal));
    for _ in 0..waiting {
        queue.send(&[message("many")]).await.unwrap();
    }
    let (mut most, mut slowest) = (0, Duration::ZERO);
    for n in 0..number("RUNS", 10) {
        let tenant = format!("one{n}");
        queue.send(&[message(&tenant)]).await.unwrap();
        let mut before = 0;
        loop {
            let begun = Instant::now();
            let received = queue
                .receive(1, Duration::from_secs(600), Duration::ZERO)
                .await
                .unwrap();
            slowest = slowest.max(begun.elapsed());
            if received[0].body == tenant {
                break;
            }
            before += 1;
        }
        most = most.max(before);
    }
    println!("memory: {waiting} messages wait; at most {most} received first; slowest receive {slowest:.0?}");
    assert!(f64::from(most) < MAX_DELAY, "{most}");
}

/// Returns the mean time of the jobs, and the sorted delays of single jobs of other tenants in job times.
async fn delays(repo: &SeaOrmJobRepo) -> (f64, Vec<f64>) {
    until_completed(repo, "t0", 5).await;
    let mut delays = Vec::new();
    for n in 0..number("RUNS", 10) {
        // At various moments of the jobs in work.
        tokio::time::sleep(Duration::from_millis(n * 170)).await;
        let tenant = format!("one{n}");
        let new = job("single", &tenant);
        repo.submit(std::slice::from_ref(&new), Enqueue::ThroughOutbox)
            .await
            .unwrap();
        until_completed(repo, &tenant, 1).await;
        let created = repo.get(new.id).await.unwrap().unwrap().created_at;
        delays.push(
            attempt(repo, new.id)
                .await
                .started_at
                .since(created)
                .as_secs_f64(),
        );
    }
    let ended = JobFilter::default()
        .statuses([JobStatus::Completed])
        .tenant("t0")
        .limit(1000);
    let (mut total, jobs) = (0.0, repo.list(&ended).await.unwrap().jobs);
    for job in &jobs {
        let attempt = attempt(repo, job.id).await;
        total += attempt.ended_at.unwrap().since(attempt.started_at).as_secs_f64();
    }
    let job_time = total / jobs.len() as f64;
    let mut delays: Vec<f64> = delays.iter().map(|delay| delay / job_time).collect();
    delays.sort_by(f64::total_cmp);
    (job_time, delays)
}

async fn attempt(repo: &SeaOrmJobRepo, job: JobId) -> Attempt {
    let attempts = repo.attempts(job).await.unwrap();
    assert_eq!(attempts.len(), 1);
    attempts[0].clone()
}

async fn until_completed(repo: &SeaOrmJobRepo, tenant: &str, jobs: usize) {
    let begun = Instant::now();
    let ended = JobFilter::default()
        .statuses([JobStatus::Completed])
        .tenant(tenant);
    while repo.list(&ended).await.unwrap().jobs.len() < jobs {
        assert!(
            begun.elapsed() < Duration::from_secs(600),
            "jobs of '{tenant}' do not end"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn job(key: &str, tenant: &str) -> NewJob {
    let fields =
        json!({"selection": {"fps": 5}, "tenant": tenant, "idempotency_key": format!("{key} {tenant}")});
    let fields: Map<_, _> = fields.as_object().unwrap().clone();
    let source = SourceRef::current("v.mp4".parse().unwrap());
    JobRequest::new(&source, fields).into_job(None, Duration::from_secs(3600))
}

async fn import_clip(folder: &Path) {
    let video = folder.join("v.mp4");
    let clip = "testsrc2=s=1280x720:r=25:d=20,noise=alls=10:allf=t";
    let made = Command::new("ffmpeg")
        .args([
            "-v", "error", "-nostdin", "-f", "lavfi", "-i", clip, "-pix_fmt", "yuv420p",
        ])
        .arg(&video)
        .status();
    assert!(made.unwrap().success());
    let storage = LocalStorage::new(folder.join("objects"));
    let key = "v.mp4".parse().unwrap();
    storage
        .import(&key, &video, &PutOptions::default())
        .await
        .unwrap();
}

fn start(address: &str, folder: &Path, slots: &str) -> Child {
    Command::new(worker())
        .arg("run")
        .env("DATABASE_URL", address)
        .env("VF_STORAGE", format!("file:{}", folder.join("objects").display()))
        .env("VF_SCRATCH", folder.join("scratch"))
        .env("VF_CONCURRENCY", slots)
        .env("VF_OPS_LISTEN", "off")
        .env("VF_REUSE", "off")
        .env("VF_LOG", "warn")
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}
