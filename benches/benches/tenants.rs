//! Measures claimants on a queue with a million waiting jobs of many tenants, while clients submit jobs.
//!
//! Run `cargo test -p videoframes-benches --bench tenants`. `VF_TEST_POSTGRES` names the server, which should be idle.
//! `ROWS` (1000000) jobs of `TENANTS` (1000) wait. `CLAIMANTS` (20) receive a message, claim the job, finish it and
//! delete the message, as fast as they can, for `SECONDS` (60). `SUBMITS` (1000) jobs per second are submitted meanwhile,
//! each in a separate transaction. One relay per five claimants sends the messages of the outbox.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;
use tokio::task::JoinSet;
use videoframes_core::database::{Database, DatabaseOptions};
use videoframes_core::jobs::{
    Claim, ClaimTerms, Enqueue, ErrorCode, JobError, JobId, JobMessage, JobRepo, NewJob, Outcome,
    SeaOrmJobRepo,
};
use videoframes_core::processor::relay;
use videoframes_core::queue::{DatabaseQueue, InputQueues, Queue};
use videoframes_core::tenant::{Priority, Tenant, Tenants};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Times of one kind of call in milliseconds.
type Times = Vec<f64>;

#[tokio::main]
async fn main() {
    let Ok(server) = std::env::var("VF_TEST_POSTGRES") else {
        eprintln!("skipped: set VF_TEST_POSTGRES to measure");
        return;
    };
    let (rows, tenants) = (number("ROWS", 1_000_000), number("TENANTS", 1000));
    let claimants = usize::try_from(number("CLAIMANTS", 20)).unwrap();
    let name = format!("vf_bench_{}", std::process::id());
    let options = DatabaseOptions::default()
        .patience(Duration::from_secs(900))
        .connections(u32::try_from(claimants).unwrap() + 24);
    let maintenance = Database::connect(&server, &options).await.unwrap();
    let create = format!("CREATE DATABASE {name}");
    maintenance
        .connection()
        .execute_unprepared(&create)
        .await
        .unwrap();
    let database = Database::connect(&server.replace("/postgres?", &format!("/{name}?")), &options)
        .await
        .unwrap();
    database.migrate().await.unwrap();
    let begun = Instant::now();
    fill(&database, rows, tenants).await;
    println!(
        "filled {rows} jobs of {tenants} tenants in {:.0?}",
        begun.elapsed()
    );
    sizes(&database, "before").await;
    explain(&database).await;
    load(&database, claimants, tenants).await;
    sizes(&database, "after").await;
    explain(&database).await;
    database.close().await;
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    maintenance.connection().execute_unprepared(&drop).await.unwrap();
}

/// Fills the tables with waiting jobs and their messages. A tenth of the messages is delayed by an hour.
async fn fill(database: &Database, rows: u64, tenants: u64) {
    let source = r#"{"key":"v.mp4"}"#;
    for sql in [
        format!(
            "INSERT INTO video_jobs (id, idempotency_key, payload_hash, source, options, generation, status, \
             frames_done, frames_total, cancel_requested, lease_epoch, attempts, crash_count, created_at, updated_at, \
             enqueued_at, tenant, priority) \
             SELECT gen_random_uuid(), 'waiting ' || n, 'p', '{source}', '{{}}', 0, 'pending', 0, 0, false, 0, 0, 0, n, n, \
             n, 't' || n % {tenants}, 1 FROM generate_series(1, {rows}) AS n"
        ),
        "INSERT INTO queue_messages (queue, body, attributes, sent_at, visible_at, receive_count, flow, rank, ready) \
         SELECT 'input', '{\"version\":1,\"job_id\":\"' || id || '\"}', '{}', created_at, \
         CASE WHEN created_at % 10 = 0 THEN CAST(EXTRACT(EPOCH FROM now()) * 1000 AS bigint) + 3600000 ELSE created_at END, \
         0, tenant || '/normal', \
         CASE WHEN created_at % 10 = 0 THEN 0 ELSE (created_at / TENANTS + 1) * 80640 END, created_at % 10 <> 0 \
         FROM video_jobs"
            .replace("TENANTS", &tenants.to_string()),
        "INSERT INTO videoframes_flows SELECT queue, flow, max(rank) FROM queue_messages GROUP BY 1, 2".to_owned(),
        "VACUUM ANALYZE".to_owned(),
    ] {
        database.connection().execute_unprepared(&sql).await.unwrap();
    }
}

async fn texts(database: &Database, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let rows = database.connection().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Prints the sizes of the tables and their dead rows.
async fn sizes(database: &Database, when: &str) {
    let sql = "SELECT format('%s: %s live, %s dead, table %s MiB, indexes %s MiB, %s autovacuums', relname, n_live_tup, \
        n_dead_tup, pg_relation_size(relid) >> 20, pg_indexes_size(relid) >> 20, autovacuum_count) \
        FROM pg_stat_user_tables WHERE n_live_tup > 0 ORDER BY relname";
    println!("\n{when}:");
    for line in texts(database, sql).await {
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
        for line in texts(database, &explained).await {
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
    let (mut waits, mut samples) = (BTreeMap::new(), 0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(250)).await;
        samples += 1;
        let sql = "SELECT coalesce(wait_event_type || ':' || wait_event, 'running') FROM pg_stat_activity \
            WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()";
        for event in texts(database, sql).await {
            *waits.entry(event).or_insert(0_u32) += 1;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let took = begun.elapsed().as_secs_f64();
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
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!(
            "{name}: {:.0} per second, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            times.len() as f64 / took,
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    println!("active sessions by wait event, on average:");
    for (event, count) in waits {
        println!("  {event}: {:.2}", f64::from(count) / f64::from(samples));
    }
}

async fn claim_jobs(database: Database, n: usize, stop: Arc<AtomicBool>) -> BTreeMap<&'static str, Times> {
    let tenants = r#"{"default": {"max_jobs": 10}}"#;
    let limited = number("LIMITED", 0) > 0;
    let tenants = if limited {
        Tenants::from_json(tenants).unwrap()
    } else {
        Tenants::default()
    };
    let repo = SeaOrmJobRepo::new(database.clone()).with_tenants(tenants);
    let queue = DatabaseQueue::new(database, "input");
    let terms = ClaimTerms {
        lease: Duration::from_secs(90),
        crashes: 3,
        revision: None,
    };
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
        let Ok(JobMessage::Known(id, _)) = JobMessage::parse(&message.body) else {
            panic!("unexpected message: {}", message.body);
        };
        let begun = Instant::now();
        let claim = repo.claim(id, &format!("bench/{n}/{id}"), &terms).await.unwrap();
        timed("claim", begun);
        if let Claim::Claimed(lease, _) = claim {
            let begun = Instant::now();
            let failed = Outcome::Failed(JobError::new(ErrorCode::NotAVideo, "bench"));
            repo.finish(&lease, &failed).await.unwrap();
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
        let tenant: Tenant = format!("t{}", number % tenants).parse().unwrap();
        repo.submit(&[job(number, tenant)], Enqueue::ThroughOutbox)
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

fn job(n: u64, tenant: Tenant) -> NewJob {
    NewJob {
        id: JobId::random(),
        idempotency_key: format!("submitted {n}"),
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
