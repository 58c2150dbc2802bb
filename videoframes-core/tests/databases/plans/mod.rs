//! Query plans: queries about jobs use indexes, and none reads or sorts all waiting jobs.

mod examine;
mod rows;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use sea_orm::ConnectionTrait;
use uuid::Uuid;
use videoframes_core::database::Database;
use videoframes_core::jobs::{
    Claim, ClaimTerms, Enqueue, ErrorCode, Hold, JobError, JobFilter, JobId, JobProgress, JobRepo, JobStatus,
    NewJob, Outcome, SeaOrmJobRepo, Stage, SweepTerms,
};
use videoframes_core::queue::{DatabaseQueue, Outgoing, Queue};
use videoframes_core::tenant::{Priority, Share, Tenant, Tenants};

use self::examine::{FEW, SEARCHED, Watch, check, check_within, plans, reads_a_backlog};
use self::rows::{fill, park_waiting_jobs, vacuum};
use crate::{OPTIONS, Own};

const SWEEP: SweepTerms = SweepTerms {
    overdue: Duration::from_secs(120),
    drained: None,
    crashes: 3,
    retention: Duration::from_secs(30 * 86400),
    most: 1000,
};

const TERMS: ClaimTerms = ClaimTerms {
    lease: Duration::from_secs(60),
    crashes: 3,
    revision: None,
};

#[tokio::test]
async fn queries_about_jobs_do_not_read_the_backlog() {
    for own in Own::each().await {
        fill(&own.migrated().await).await;
        // In a separate process, so that statements of other tests are not examined.
        let watched = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "plans::another_program_is_watched", "--nocapture"])
            .env("VF_TEST_WATCH", &own.address)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&watched.stderr);
        assert!(watched.status.success(), "{said}");
    }
}

/// Not a test, but the program that the test above starts in a separate process.
#[tokio::test]
async fn another_program_is_watched() {
    let Ok(address) = std::env::var("VF_TEST_WATCH") else {
        return;
    };
    tracing::subscriber::set_global_default(Watch).unwrap();
    let database = Database::connect(&address, &OPTIONS).await.unwrap();
    let repo = SeaOrmJobRepo::new(database.clone());
    check(&database, "list", async || {
        let newest = JobFilter::default().limit(100);
        let failed = newest.clone().statuses([JobStatus::Failed]);
        let page = repo.list(&failed).await.unwrap();
        assert_eq!(page.jobs.len(), 100);
        let after = page.next.unwrap();
        repo.list(&failed.after(after)).await.unwrap();
        repo.list(&newest.clone().after(after)).await.unwrap();
        let unfinished = newest
            .clone()
            .statuses([JobStatus::Pending, JobStatus::Processing]);
        let page = repo.list(&unfinished).await.unwrap();
        assert_eq!(page.jobs.len(), 100);
        let older = newest.older_than(Duration::from_secs(5400));
        assert_eq!(repo.list(&older).await.unwrap().jobs.len(), 100);
        let id = page.jobs[0].id;
        assert_eq!(repo.find(&id.into(), 2).await.unwrap(), [id]);
    })
    .await;
    check_searches(&database, &repo).await;
    check(&database, "keep and list kept jobs", async || {
        let failed = JobFilter::default().statuses([JobStatus::Failed]).limit(1);
        let id = repo.list(&failed).await.unwrap().jobs[0].id;
        repo.hold(id, Hold::Keep).await.unwrap();
        let kept = repo.list(&JobFilter::default().kept().limit(100)).await.unwrap();
        assert_eq!(kept.jobs.len(), 1);
    })
    .await;
    check_history(&database, &repo).await;
    check(&database, "submit and claim", async || {
        let jobs = [job("a"), job("b")];
        repo.submit(&jobs, Enqueue::ThroughOutbox).await.unwrap();
        let terms = ClaimTerms {
            lease: Duration::from_secs(60),
            crashes: 3,
            revision: None,
        };
        let claim = repo.claim(jobs[1].id, "worker", &terms).await.unwrap();
        assert!(matches!(claim, Claim::Claimed(..)), "{claim:?}");
    })
    .await;
    check(&database, "a sweep while jobs wait", async || {
        let swept = repo.sweep(&SWEEP).await.unwrap();
        assert_eq!(
            (swept.enqueued, swept.failed),
            (0, 10),
            "those past their deadline"
        );
    })
    .await;
    check(
        &database,
        "a sweep after the queue lost its messages",
        async || {
            let taken = repo.take_outbox(100, Duration::from_secs(60)).await.unwrap();
            let ids: Vec<Uuid> = taken.iter().map(|message| message.id).collect();
            repo.outbox_sent(&ids).await.unwrap();
            let drained = Some(Duration::ZERO);
            let swept = repo.sweep(&SweepTerms { drained, ..SWEEP }).await.unwrap();
            assert_eq!(swept.enqueued, 1000);
        },
    )
    .await;
    check_queue(&database).await;
    check_limits(&database).await;
    check_sweep_of_parked_jobs(&database).await;
    check_new_backlog_of_messages(&database).await;
    check_many_new_leases(&database).await;
}

/// Checks a queue in which many messages wait, many are delayed, and the delay of some has passed.
async fn check_queue(database: &Database) {
    let queue = DatabaseQueue::new(database.clone(), "input");
    let hour = Duration::from_secs(3600);
    check(database, "a fair queue", async || {
        for tenant in ["many", "one"] {
            let share = Share::new(tenant.parse().unwrap(), Priority::Normal);
            let sent = queue.send(&[Outgoing::new(tenant).share(share)]).await.unwrap();
            assert!(sent[0].is_ok(), "{sent:?}");
        }
        let mut bodies = Vec::new();
        for _ in 0..4 {
            let message = queue.receive(1, hour, Duration::ZERO).await.unwrap().remove(0);
            queue.set_visibility(&message.receipt, hour).await.unwrap();
            queue.delete(&[message.receipt]).await.unwrap();
            bodies.push(message.body);
        }
        assert!(bodies.contains(&"one".to_owned()), "{bodies:?}");
    })
    .await;
}

/// Checks claims, the end of a job and a sweep of a tenant that has more jobs in work than its limit allows, or fewer.
async fn check_limits(database: &Database) {
    let limited = |max_jobs: u32| {
        let tenants = Tenants::from_json(&format!(r#"{{"default": {{"max_jobs": {max_jobs}}}}}"#)).unwrap();
        SeaOrmJobRepo::new(database.clone()).with_tenants(tenants)
    };
    check(database, "parked jobs", async || {
        let jobs = [job("parked"), job("waiting"), job("last")];
        let repo = limited(100);
        repo.submit(&jobs, Enqueue::AlreadyQueued).await.unwrap();
        let claim = repo.claim(jobs[0].id, "worker", &TERMS).await.unwrap();
        let Claim::Claimed(lease, _) = claim else {
            panic!("failed to claim the job: {claim:?}");
        };
        let park = async || {
            for id in [jobs[1].id, jobs[2].id] {
                let claim = limited(1).claim(id, "worker", &TERMS).await.unwrap();
                assert_eq!(claim, Claim::Parked(None));
            }
        };
        park().await;
        repo.release(&lease).await.unwrap();
        assert_eq!(
            repo.sweep(&SWEEP).await.unwrap().unparked,
            0,
            "the end of the lease enqueued both"
        );
        park().await;
        assert_eq!(repo.sweep(&SWEEP).await.unwrap().unparked, 2);
        let claim = repo.claim(jobs[2].id, "worker", &TERMS).await.unwrap();
        assert!(matches!(claim, Claim::Claimed(..)), "a place for each: {claim:?}");
    })
    .await;
}

/// Checks sweeps of a tenant whose parked jobs are as many as all waiting jobs.
async fn check_sweep_of_parked_jobs(database: &Database) {
    park_waiting_jobs(database).await;
    let tenants = Tenants::from_json(r#"{"default": {"max_jobs": 50}}"#).unwrap();
    let repo = SeaOrmJobRepo::new(database.clone()).with_tenants(tenants);
    check(database, "a sweep of many parked jobs", async || {
        assert_eq!(repo.sweep(&SWEEP).await.unwrap().unparked, 50);
        assert_eq!(repo.sweep(&SWEEP).await.unwrap().unparked, 0, "50 have a message");
    })
    .await;
}

/// Checks statements about known messages, while the statistics of the planner are from a time without unsent messages.
///
/// Statements that take messages or rank new ones need current statistics, which Postgres updates within a minute.
async fn check_new_backlog_of_messages(database: &Database) {
    let connection = database.connection();
    let sent = "UPDATE outbox SET sent_at = created_at";
    connection.execute_unprepared(sent).await.unwrap();
    vacuum(database).await;
    let unsent = "INSERT INTO outbox (id, destination, job_id, body, created_at, flow, rank) SELECT id, 'input', \
        (SELECT id FROM video_jobs WHERE status = 'failed' LIMIT 1), '{}', created_at + 7200000, 'many/normal', 1000000 \
        FROM video_jobs WHERE status = 'pending'";
    connection.execute_unprepared(unsent).await.unwrap();
    let repo = SeaOrmJobRepo::new(database.clone());
    let waiting = JobFilter::default().statuses([JobStatus::Pending]).limit(100);
    let waiting = repo.list(&waiting).await.unwrap().jobs;
    let waiting: Vec<JobId> = waiting.iter().map(|job| job.id).collect();
    assert_eq!(repo.enqueue(&waiting).await.unwrap(), 100);
    let taken = repo.take_outbox(100, TERMS.lease).await.unwrap();
    let taken: Vec<Uuid> = taken.iter().map(|message| message.id).collect();
    check(database, "a new backlog of messages", async || {
        let terms = SweepTerms {
            drained: Some(Duration::ZERO),
            most: 0,
            ..SWEEP
        };
        assert_eq!(repo.sweep(&terms).await.unwrap().enqueued, 0);
        let again = repo.enqueue(&waiting).await.unwrap();
        assert_eq!(again, 0, "each has a message");
        let [first, others @ ..] = &taken[..] else {
            panic!("no message was taken");
        };
        let refused = [(*first, "refused".to_owned())];
        repo.outbox_refused(&refused).await.unwrap();
        repo.outbox_sent(others).await.unwrap();
    })
    .await;
}

/// Checks changes of a leased job, while the statistics of the planner are from a time without jobs in work.
async fn check_many_new_leases(database: &Database) {
    let connection = database.connection();
    let failed =
        "UPDATE video_jobs SET status = 'failed', finished_at = updated_at WHERE status = 'processing'";
    connection.execute_unprepared(failed).await.unwrap();
    vacuum(database).await;
    // An index of one page looks cheaper than the primary key.
    let in_work = "UPDATE video_jobs SET status = 'processing', lease_expires_at = updated_at + 14400000 \
        WHERE id IN (SELECT id FROM video_jobs WHERE status = 'pending' LIMIT 1000)";
    connection.execute_unprepared(in_work).await.unwrap();
    let repo = SeaOrmJobRepo::new(database.clone());
    check(database, "changes of a leased job", async || {
        let jobs = [job("leased")];
        repo.submit(&jobs, Enqueue::AlreadyQueued).await.unwrap();
        let claim = async || match repo.claim(jobs[0].id, "worker", &TERMS).await.unwrap() {
            Claim::Claimed(lease, _) => lease,
            claim => panic!("failed to claim the job: {claim:?}"),
        };
        let error = JobError::new(ErrorCode::NotAVideo, "not a video");
        let lease = claim().await;
        let progress = JobProgress {
            stage: Stage::Extract,
            frames_done: 1,
            frames_total: 2,
        };
        repo.renew(&lease, TERMS.lease, progress).await.unwrap();
        repo.release(&lease).await.unwrap();
        let lease = claim().await;
        repo.retry_later(&lease, &error, Duration::ZERO).await.unwrap();
        let lease = claim().await;
        repo.finish(&lease, &Outcome::Failed(error)).await.unwrap();
        repo.retry(jobs[0].id).await.unwrap();
        repo.cancel(jobs[0].id).await.unwrap();
    })
    .await;
}

async fn check_history(database: &Database, repo: &SeaOrmJobRepo) {
    let windows = [Duration::from_secs(60), Duration::from_secs(4500)];
    let statistics = plans(database, "statistics", async || {
        let failures = repo.stats(&windows).await.unwrap().failures;
        assert_eq!(failures, [], "the jobs have no error code");
    });
    let statistics = statistics.await;
    let failures = statistics.iter().find(|plan| plan.contains("GROUP BY"));
    let failures = failures.expect("a statement counts failures by code");
    assert!(failures.contains("video_jobs_finished_at"), "{failures}");
    assert_eq!(
        failures.lines().find(|line| reads_a_backlog(line, FEW)),
        None,
        "{failures}"
    );
    check(database, "claims of a job with a long history", async || {
        let jobs = [job("again")];
        repo.submit(&jobs, Enqueue::AlreadyQueued).await.unwrap();
        let terms = ClaimTerms {
            lease: Duration::from_secs(60),
            crashes: 3,
            revision: None,
        };
        for _ in 0..102 {
            let claim = repo.claim(jobs[0].id, "worker", &terms).await.unwrap();
            let Claim::Claimed(lease, _) = claim else {
                panic!("failed to claim the job: {claim:?}");
            };
            repo.release(&lease).await.unwrap();
        }
        assert_eq!(repo.attempts(jobs[0].id).await.unwrap().len(), 100);
    })
    .await;
}

async fn check_searches(database: &Database, repo: &SeaOrmJobRepo) {
    check_within(database, SEARCHED, "search", async || {
        let any = JobFilter::default().limit(100);
        let unfinished = any.clone().statuses([JobStatus::Pending, JobStatus::Processing]);
        for (filter, jobs) in [
            // A part of the idempotency key.
            (any.clone().text("failed"), 2_000),
            (any.clone().text("no such text"), 0),
            (any.clone().source_prefix("absent/"), 0),
            (any.error_codes(["NO_SPACE"]), 0),
            (unfinished.clone().text("processing"), 20),
            (unfinished.source_prefix("absent/"), 0),
        ] {
            let page = repo.list(&filter).await.unwrap();
            assert!(page.next.is_some(), "{filter:?}: a page ends before the last row");
            assert_eq!(found(repo, filter.clone()).await, jobs, "{filter:?}");
        }
    })
    .await;
}

/// Returns the number of different jobs on all pages.
async fn found(repo: &SeaOrmJobRepo, mut filter: JobFilter) -> usize {
    let mut ids = BTreeSet::new();
    loop {
        let page = repo.list(&filter).await.unwrap();
        for job in page.jobs {
            assert!(ids.insert(job.id), "{} is on two pages", job.id);
        }
        filter.after = page.next;
        if filter.after.is_none() {
            return ids.len();
        }
    }
}

fn job(key: &str) -> NewJob {
    NewJob {
        id: JobId::random(),
        idempotency_key: key.to_owned(),
        payload_hash: "payload".to_owned(),
        source: serde_json::json!({"key": "v.mp4"}).into(),
        options: serde_json::json!({}).into(),
        output_key: None,
        client_metadata: None,
        sequencer: Some(key.to_owned()),
        message_id: None,
        time_limit: None,
        work_limit: None,
        rejection: None,
        trace: None,
        tenant: Tenant::default(),
        priority: Priority::default(),
    }
}
