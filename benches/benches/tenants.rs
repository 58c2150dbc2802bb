//! Measures the calls of the job engine on a queue with a million waiting jobs of many tenants.
//!
//! Run `cargo bench -p videoframes-benches --bench tenants`. `VF_TEST_POSTGRES` names the server, which should be idle and on
//! this machine. `ROWS` (1000000) jobs of `TENANTS` (1000) wait. First, `CLAIMANTS` (20) clients make the same call for
//! `JOBS` (20000) jobs, one kind of call after another: this shows the cost of each call for Postgres. Then they receive a
//! message, claim the job, finish it and delete the message, as fast as they can, for `SECONDS` (60). `SUBMITS` (1000) jobs
//! per second are submitted meanwhile, each in a separate transaction. One relay per five claimants sends the messages of
//! the outbox.
#![allow(clippy::unwrap_used)]

mod postgres;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use videoframes_core::database::{Database, DatabaseOptions};
use videoframes_core::jobs::{
    Claim, ClaimTerms, Enqueue, ErrorCode, JobError, JobId, JobMessage, JobProgress, JobRepo, Lease, NewJob,
    OutboxMessage, Outcome, SeaOrmJobRepo, Stage,
};
use videoframes_core::processor::relay;
use videoframes_core::queue::{DatabaseQueue, InputQueues, Message, Outgoing, Queue};
use videoframes_core::tenant::{Priority, Share, Tenant, Tenants};

use self::postgres::{Server, Usage, column, fill, number};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Times of one kind of call in milliseconds.
type Times = Vec<f64>;

/// The progress in the renewal of a lease.
const PROGRESS: JobProgress = JobProgress {
    stage: Stage::Extract,
    frames_done: 10,
    frames_total: 100,
};

#[tokio::main]
async fn main() {
    let (rows, tenants) = (number("ROWS", 1_000_000), number("TENANTS", 1000));
    let claimants = usize::try_from(number("CLAIMANTS", 20)).unwrap();
    let options = DatabaseOptions::default()
        .patience(Duration::from_secs(900))
        .connections(u32::try_from(claimants).unwrap() + 24);
    let Some(server) = Server::create(&options).await else {
        return;
    };
    let database = &server.database;
    let begun = Instant::now();
    fill(database, rows, tenants, 10, "{}").await;
    println!(
        "filled {rows} jobs of {tenants} tenants in {:.0?}",
        begun.elapsed()
    );
    sizes(database, "before").await;
    explain(database).await;
    calls(database, claimants, tenants).await;
    sizes(database, "after single calls").await;
    load(database, claimants, tenants).await;
    sizes(database, "after").await;
    explain(database).await;
    statements(database).await;
    server.drop().await;
}

/// One kind of call: the number of clients that make it, and of the jobs of each call.
struct Kind {
    name: &'static str,
    clients: usize,
    jobs: usize,
}

/// Makes calls from parallel clients, prints their cost, and returns the answers.
async fn measure<R, F>(
    database: &Database,
    kind: &Kind,
    calls: usize,
    call: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Vec<R>
where
    R: Send + 'static,
    F: Future<Output = R> + Send,
{
    let (next, before) = (Arc::new(AtomicUsize::new(0)), Usage::now(database).await);
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..kind.clients {
        let (next, call) = (Arc::clone(&next), call.clone());
        clients.spawn(async move {
            let (mut answers, mut times) = (Vec::new(), Times::new());
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= calls {
                    return (answers, times);
                }
                let begun = Instant::now();
                answers.push(call(n).await);
                times.push(begun.elapsed().as_secs_f64() * 1e3);
            }
        });
    }
    let (mut answers, mut times) = (Vec::new(), Times::new());
    while let Some(client) = clients.join_next().await {
        let (more, took) = client.unwrap();
        answers.extend(more);
        times.extend(took);
    }
    let seconds = begun.elapsed().as_secs_f64();
    // Sessions report their transactions once a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let (jobs, used) = (
        (calls * kind.jobs) as f64,
        Usage::now(database).await.since(before),
    );
    let statements = used
        .statements
        .map_or("–".to_owned(), |all| format!("{:.1}", all as f64 / jobs));
    times.sort_by(f64::total_cmp);
    println!(
        "| {} | {} | {:.0} | {:.1} | {:.1} | {:.2} | {:.2} | {statements} | {:.1} |",
        kind.name,
        kind.jobs,
        jobs / seconds,
        percentile(&times, 0.5),
        percentile(&times, 0.99),
        used.cpu_ms / jobs,
        used.commits as f64 / jobs,
        used.wal_bytes as f64 / jobs / 1024.0,
    );
    answers
}

/// Returns the time that a part of the sorted times does not exceed.
fn percentile(times: &[f64], part: f64) -> f64 {
    times[((times.len() - 1) as f64 * part) as usize]
}

/// Makes each kind of call for many jobs.
async fn calls(database: &Database, clients: usize, tenants: u64) {
    let jobs = usize::try_from(number("JOBS", 20_000)).unwrap();
    let kind = |name, jobs| Kind { name, clients, jobs };
    let (repo, queue) = (repo(database), DatabaseQueue::new(database.clone(), "input"));
    println!("\n{clients} clients; milliseconds of a call, and use of Postgres per job:\n");
    println!(
        "| call | jobs per call | jobs per second | p50, ms | p99, ms | CPU, ms | commits | statements | WAL, KiB |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let submit = move |repo: SeaOrmJobRepo, of: usize| {
        move |n: usize| {
            let new = |n: u64| job(n, format!("{n} of {of}"), tenants);
            let (first, repo) = ((n * of) as u64, repo.clone());
            let jobs: Vec<NewJob> = (first..first + of as u64).map(new).collect();
            async move {
                repo.submit(&jobs, Enqueue::ThroughOutbox).await.unwrap();
            }
        }
    };
    measure(database, &kind("submit", 1), jobs, submit(repo.clone(), 1)).await;
    measure(database, &kind("submit", 10), jobs / 10, submit(repo.clone(), 10)).await;
    let relays = |name| Kind {
        name,
        clients: 4,
        jobs: 10,
    };
    let take = relays("relay: take, mark as sent");
    let taken = measure(database, &take, jobs / 5, take_outbox(&repo))
        .await
        .concat();
    let (to, taken) = (queue.clone(), Arc::new(taken));
    let send = relays("relay: send to the queue");
    measure(database, &send, taken.len() / 10, move |n| {
        let messages = taken[n * 10..n * 10 + 10].iter().map(|message| {
            Outgoing::new(&message.body).share(Share::new(message.tenant.clone(), message.priority))
        });
        let (queue, messages) = (to.clone(), messages.collect::<Vec<_>>());
        async move {
            queue.send(&messages).await.unwrap();
        }
    })
    .await;
    work(database, &repo, &queue, clients, jobs).await;
    let notify = relays("relay of notifications");
    measure(database, &notify, jobs / 10, take_outbox(&repo)).await;
}

/// Returns a call that takes messages from the outbox and marks them as sent.
fn take_outbox(
    repo: &SeaOrmJobRepo,
) -> impl Fn(usize) -> BoxFuture<Vec<OutboxMessage>> + Clone + Send + 'static {
    let repo = repo.clone();
    move |_| {
        let repo = repo.clone();
        Box::pin(async move {
            let taken = repo.take_outbox(10, Duration::from_secs(600)).await.unwrap();
            let sent: Vec<_> = taken.iter().map(|message| message.id).collect();
            repo.outbox_sent(&sent).await.unwrap();
            taken
        })
    }
}

/// Makes the calls of workers.
async fn work(database: &Database, repo: &SeaOrmJobRepo, queue: &DatabaseQueue, clients: usize, jobs: usize) {
    let kind = |name, jobs| Kind { name, clients, jobs };
    let receive = |of: usize| {
        let queue = queue.clone();
        move |_| {
            let queue = queue.clone();
            async move {
                let received = queue
                    .receive(of, Duration::from_secs(3600), Duration::ZERO)
                    .await
                    .unwrap();
                assert_eq!(received.len(), of);
                received
            }
        }
    };
    let half = jobs / 2;
    let one = measure(database, &kind("receive", 1), half, receive(1)).await;
    let ten = measure(database, &kind("receive", 10), half / 10, receive(10)).await;
    let (one, ten) = (one.concat(), ten.concat());
    let ids: Arc<Vec<JobId>> = Arc::new(one.iter().chain(&ten).map(job_of).collect());
    let with = repo.clone();
    let leases = measure(database, &kind("claim", 1), ids.len(), move |n| {
        let (repo, id) = (with.clone(), ids[n]);
        async move {
            match repo.claim(id, &format!("bench/{id}"), &terms()).await.unwrap() {
                Claim::Claimed(lease, _) => lease,
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    let leases: Arc<Vec<Lease>> = Arc::new(leases);
    let (with, held) = (repo.clone(), Arc::clone(&leases));
    measure(database, &kind("renew", 1), leases.len(), move |n| {
        let (repo, lease) = (with.clone(), held[n].clone());
        async move {
            repo.renew(&lease, terms().lease, PROGRESS).await.unwrap();
        }
    })
    .await;
    let (with, held) = (repo.clone(), Arc::clone(&leases));
    measure(database, &kind("finish", 1), leases.len(), move |n| {
        let (repo, lease) = (with.clone(), held[n].clone());
        async move {
            repo.finish(&lease, &failed()).await.unwrap();
        }
    })
    .await;
    let delete = |messages: Vec<Message>, of: usize| {
        let (queue, messages) = (queue.clone(), Arc::new(messages));
        move |n: usize| {
            let receipts = messages[n * of..(n + 1) * of]
                .iter()
                .map(|message| message.receipt.clone());
            let (queue, receipts) = (queue.clone(), receipts.collect::<Vec<_>>());
            async move {
                queue.delete(&receipts).await.unwrap();
            }
        }
    };
    measure(database, &kind("delete", 1), one.len(), delete(one, 1)).await;
    measure(database, &kind("delete", 10), ten.len() / 10, delete(ten, 10)).await;
}

fn repo(database: &Database) -> SeaOrmJobRepo {
    let limited = number("LIMITED", 0) > 0;
    let tenants = match limited {
        true => Tenants::from_json(r#"{"default": {"max_jobs": 10}}"#).unwrap(),
        false => Tenants::default(),
    };
    SeaOrmJobRepo::new(database.clone()).with_tenants(tenants)
}

fn terms() -> ClaimTerms {
    ClaimTerms {
        lease: Duration::from_secs(900),
        crashes: 3,
        revision: None,
    }
}

fn failed() -> Outcome {
    Outcome::Failed(JobError::new(ErrorCode::NotAVideo, "bench"))
}

fn job_of(message: &Message) -> JobId {
    match JobMessage::parse(&message.body) {
        Ok(JobMessage::Known(id, _)) => id,
        _ => panic!("unexpected message: {}", message.body),
    }
}

/// Prints the sizes of the tables and their dead rows.
async fn sizes(database: &Database, when: &str) {
    let sql = "SELECT format('%s: %s live, %s dead, table %s MiB, indexes %s MiB, %s autovacuums', relname, n_live_tup, \
        n_dead_tup, pg_relation_size(relid) >> 20, pg_indexes_size(relid) >> 20, autovacuum_count) \
        FROM pg_stat_user_tables WHERE n_live_tup > 0 ORDER BY relname";
    println!("\n{when}:");
    for line in column::<String>(database, sql).await {
        println!("  {line}");
    }
}

/// Prints the most expensive statements, if pg_stat_statements is loaded.
async fn statements(database: &Database) {
    let loaded = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'";
    if column::<i64>(database, loaded).await == [0] {
        return;
    }
    println!("\nstatements:");
    let sql = "SELECT format('%s calls, %s ms: %s', calls, round(CAST(mean_exec_time AS numeric), 3), left(query, 160)) \
        FROM pg_stat_statements WHERE calls > 100 ORDER BY total_exec_time DESC LIMIT 25";
    for line in column::<String>(database, sql).await {
        println!("  {line}");
    }
}

/// Prints the plans of the receive and of the virtual time.
async fn explain(database: &Database) {
    let now = "CAST(EXTRACT(EPOCH FROM now()) * 1000 AS bigint)";
    for (name, sql) in [
        (
            "receive",
            format!(
                "WITH due AS (SELECT seq FROM queue_messages WHERE queue = 'input' AND ready = true AND visible_at <= {now} \
                 ORDER BY rank, seq LIMIT 1 FOR UPDATE SKIP LOCKED) UPDATE queue_messages SET visible_at = {now} + 100000, \
                 receive_count = receive_count + 1, ready = false WHERE seq IN (SELECT seq FROM due) RETURNING *"
            ),
        ),
        (
            "messages whose delay has passed",
            format!(
                "SELECT seq FROM queue_messages WHERE queue = 'input' AND NOT ready AND visible_at <= {now} \
                 ORDER BY visible_at, seq LIMIT 100"
            ),
        ),
        (
            "virtual time",
            "SELECT GREATEST(COALESCE((SELECT rank - step FROM queue_messages WHERE queue = 'input' AND ready = true \
             ORDER BY rank LIMIT 1), 0), COALESCE((SELECT rank FROM queue_messages WHERE queue = 'input' AND ready = false \
             ORDER BY rank DESC LIMIT 1), 0))"
                .to_owned(),
        ),
    ] {
        println!("\n{name}:");
        // The change of an explained receive is undone.
        let explained = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {sql}");
        for line in column::<String>(database, &explained).await {
            println!("  {line}");
        }
    }
}

/// Runs claimants, submitters and relays, and prints their rates and times.
async fn load(database: &Database, claimants: usize, tenants: u64) {
    let seconds = number("SECONDS", 60);
    let stop = Arc::new(AtomicBool::new(false));
    let submitted = Arc::new(AtomicU64::new(0));
    let mut calls = JoinSet::new();
    for n in 0..claimants {
        calls.spawn(claim_jobs(database.clone(), n, Arc::clone(&stop)));
    }
    let mut others = JoinSet::new();
    for n in 0..10 {
        others.spawn(submit_jobs(
            database.clone(),
            n,
            tenants,
            Arc::clone(&submitted),
            Arc::clone(&stop),
        ));
    }
    for _ in 0..claimants.div_ceil(5) {
        others.spawn(relay_messages(database.clone(), Arc::clone(&stop)));
    }
    let (mut waits, mut samples, before) = (BTreeMap::new(), 0, Usage::now(database).await);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(250)).await;
        samples += 1;
        let sql = "SELECT coalesce(wait_event_type || ':' || wait_event, 'running') FROM pg_stat_activity \
            WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()";
        for event in column::<String>(database, sql).await {
            *waits.entry(event).or_insert(0_u32) += 1;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let (took, used) = (
        begun.elapsed().as_secs_f64(),
        Usage::now(database).await.since(before),
    );
    let mut times: BTreeMap<&str, Times> = BTreeMap::new();
    while let Some(one) = calls.join_next().await {
        for (name, more) in one.unwrap() {
            times.entry(name).or_default().extend(more);
        }
    }
    while others.join_next().await.is_some() {}
    println!("\n{claimants} claimants for {took:.0} s");
    println!(
        "submitted: {:.0} per second",
        submitted.load(Ordering::Relaxed) as f64 / took
    );
    for (name, mut times) in times {
        times.sort_by(f64::total_cmp);
        let at = |part| percentile(&times, part);
        println!(
            "{name}: {:.0} per second, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            times.len() as f64 / took,
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    println!(
        "Postgres per second: {:.2} s of CPU, {:.0} commits, {:.0} KiB of WAL",
        used.cpu_ms / 1e3 / took,
        used.commits as f64 / took,
        used.wal_bytes as f64 / 1024.0 / took
    );
    println!("active sessions by wait event, on average:");
    for (event, count) in waits {
        println!("  {event}: {:.2}", f64::from(count) / f64::from(samples));
    }
}

async fn claim_jobs(database: Database, n: usize, stop: Arc<AtomicBool>) -> BTreeMap<&'static str, Times> {
    let (repo, queue) = (repo(&database), DatabaseQueue::new(database, "input"));
    let mut times: BTreeMap<&'static str, Times> = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let mut timed = |name, begun: Instant| {
            times
                .entry(name)
                .or_default()
                .push(begun.elapsed().as_secs_f64() * 1e3);
        };
        let begun = Instant::now();
        let received = queue
            .receive(1, Duration::from_secs(100), Duration::from_secs(1))
            .await
            .unwrap();
        timed("receive", begun);
        let Some(message) = received.into_iter().next() else {
            continue;
        };
        let id = job_of(&message);
        let begun = Instant::now();
        let claim = repo
            .claim(id, &format!("bench/{n}/{id}"), &terms())
            .await
            .unwrap();
        timed("claim", begun);
        if let Claim::Claimed(lease, _) = claim {
            let begun = Instant::now();
            repo.finish(&lease, &failed()).await.unwrap();
            timed("finish", begun);
        }
        let begun = Instant::now();
        queue.delete(&[message.receipt]).await.unwrap();
        timed("delete", begun);
    }
    times
}

async fn submit_jobs(
    database: Database,
    n: u64,
    tenants: u64,
    submitted: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) {
    let repo = SeaOrmJobRepo::new(database);
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(
        10.0 / number("SUBMITS", 1000).max(1) as f64,
    ));
    let mut number = n;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        number += 10;
        repo.submit(
            &[job(number, format!("submitted {number}"), tenants)],
            Enqueue::ThroughOutbox,
        )
        .await
        .unwrap();
        submitted.fetch_add(1, Ordering::Relaxed);
    }
}

async fn relay_messages(database: Database, stop: Arc<AtomicBool>) {
    let repo = SeaOrmJobRepo::new(database.clone());
    let input = InputQueues::from(Arc::new(DatabaseQueue::new(database.clone(), "input")));
    let notifier = DatabaseQueue::new(database, "notifier");
    while !stop.load(Ordering::Relaxed) {
        let hold = Duration::from_secs(30);
        relay(&repo, &input, &notifier, &Tenants::default(), hold)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns a job of one of the tenants.
fn job(n: u64, key: String, tenants: u64) -> NewJob {
    let tenant: Tenant = format!("t{}", n % tenants).parse().unwrap();
    NewJob {
        id: JobId::random(),
        idempotency_key: key,
        payload_hash: "p".to_owned(),
        source: json!({"key": "v.mp4"}).into(),
        options: json!({}).into(),
        output_key: None,
        client_metadata: None,
        sequencer: None,
        message_id: None,
        time_limit: None,
        work_limit: None,
        rejection: None,
        trace: None,
        tenant,
        priority: Priority::Normal,
    }
}
