//! Repositories in databases pass the conformance suite and tests of database-specific cases.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use serde_json::json;
use uuid::Uuid;
use videoframes_core::database::Database;
use videoframes_core::jobs::{
    Claim, ClaimTerms, Enqueue, ErrorCode, JobError, JobFilter, JobId, JobProgress, JobRepo, JobRepoError,
    JobStatus, NewJob, Outcome, SeaOrmJobRepo, Stage, SweepTerms,
};
use videoframes_core::tenant::{Priority, Tenant, Tenants};
use videoframes_core::testing::{JobRepoHarness, job_repo_conformance};

use crate::{OPTIONS, Own};

pub(crate) const TERMS: ClaimTerms = ClaimTerms {
    lease: Duration::from_secs(60),
    crashes: 3,
    revision: None,
};

const SWEEP: SweepTerms = SweepTerms {
    overdue: Duration::from_secs(600),
    drained: Some(Duration::ZERO),
    crashes: 3,
    retention: Duration::from_secs(30 * 86400),
    most: 100,
};

struct InDatabase {
    database: Database,
}

#[async_trait]
impl JobRepoHarness for InDatabase {
    async fn fresh(&self) -> Arc<dyn JobRepo> {
        self.fresh_with(Tenants::default()).await
    }

    async fn fresh_with(&self, tenants: Tenants) -> Arc<dyn JobRepo> {
        for table in ["videoframes_attempts", "video_jobs", "outbox"] {
            let empty = format!("DELETE FROM {table}");
            self.database
                .connection()
                .execute_unprepared(&empty)
                .await
                .unwrap();
        }
        Arc::new(SeaOrmJobRepo::new(self.database.clone()).with_tenants(tenants))
    }

    async fn advance(&self, by: Duration) {
        self.database.advance(by);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_repository_in_sqlite_conforms() {
    let database = Own::sqlite();
    let database = InDatabase {
        database: database.migrated().await,
    };
    job_repo_conformance(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_repository_in_postgres_conforms() {
    if let Some(own) = Own::postgres().await {
        let database = own.migrated().await;
        job_repo_conformance(&InDatabase { database }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_repository_behind_a_pooler_conforms() {
    if let Some(own) = Own::pooled().await {
        let database = own.migrated().await;
        assert!(database.is_pooled());
        job_repo_conformance(&InDatabase { database }).await;
    }
}

pub(crate) fn job(key: &str) -> NewJob {
    NewJob {
        id: JobId::random(),
        idempotency_key: key.to_owned(),
        payload_hash: "payload".to_owned(),
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
        tenant: Tenant::default(),
        priority: Priority::default(),
    }
}

async fn submitted(repo: &SeaOrmJobRepo, key: &str) -> JobId {
    let submitted = repo.submit(&[job(key)], Enqueue::AlreadyQueued).await.unwrap();
    submitted[0].id
}

/// Returns the number of rows of the history of a job, and their first epoch.
async fn history(database: &Database, job: JobId) -> (i64, Option<i64>) {
    let rows = Query::select()
        .expr_as(Expr::val(1_i64).count(), "number")
        .expr_as(Expr::col("epoch").min(), "first")
        .from("videoframes_attempts")
        .and_where(Expr::col("job_id").eq(job.uuid()))
        .to_owned();
    let row = database.connection().query_one(&rows).await.unwrap().unwrap();
    (
        row.try_get("", "number").unwrap(),
        row.try_get("", "first").unwrap(),
    )
}

#[tokio::test]
async fn the_history_is_bounded_and_ends_with_the_job() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let repo = SeaOrmJobRepo::new(database.clone());
        let (many, other) = (submitted(&repo, "many").await, submitted(&repo, "other").await);
        let claim = async |job: JobId, owner: &str| {
            let Claim::Claimed(lease, _) = repo.claim(job, owner, &TERMS).await.unwrap() else {
                panic!("failed to claim the job");
            };
            repo.release(&lease).await.unwrap();
        };
        claim(other, "worker").await;
        for number in 0..103 {
            claim(many, &format!("worker {number}")).await;
        }
        assert_eq!(history(&database, many).await, (100, Some(4)));
        assert_eq!(history(&database, other).await, (1, Some(1)));
        // As a worker of an older version deletes a job.
        let delete = Query::delete()
            .from_table("video_jobs")
            .and_where(Expr::col("id").eq(many.uuid()))
            .to_owned();
        database.connection().execute(&delete).await.unwrap();
        assert_eq!(history(&database, many).await, (0, None));
        assert_eq!(history(&database, other).await, (1, Some(1)));
    }
}

#[tokio::test]
async fn a_release_after_a_reset_of_the_attempts_counts_none() {
    for own in Own::each().await {
        let repo = SeaOrmJobRepo::new(own.migrated().await);
        let id = submitted(&repo, "a").await;
        let Claim::Claimed(lease, _) = repo.claim(id, "worker", &TERMS).await.unwrap() else {
            panic!("failed to claim the job");
        };
        repo.raise(id, 1).await.unwrap();
        repo.release(&lease).await.unwrap();
        let Claim::Claimed(_, job) = repo.claim(id, "other", &TERMS).await.unwrap() else {
            panic!("failed to claim the job again");
        };
        assert_eq!(job.attempts, 1);
    }
}

#[tokio::test]
async fn leases_are_renewed_while_the_database_is_busy() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let repo = SeaOrmJobRepo::new(database.clone());
        let id = submitted(&repo, "a").await;
        let Claim::Claimed(lease, _) = repo.claim(id, "worker", &TERMS).await.unwrap() else {
            panic!("failed to claim the job");
        };
        let mut busy = Vec::new();
        for _ in 0..OPTIONS.connections {
            busy.push(database.connection().begin().await.unwrap());
        }
        let progress = JobProgress {
            stage: Stage::Extract,
            frames_done: 1,
            frames_total: 2,
        };
        let renewed = repo.renew(&lease, TERMS.lease, progress);
        assert!(!renewed.await.unwrap().cancel_requested);
    }
}

#[tokio::test]
async fn texts_with_zero_bytes_are_stored_if_the_database_supports_them() {
    for own in Own::each_and_pooled().await {
        let repo = SeaOrmJobRepo::new(own.migrated().await);
        let jobs = [NewJob {
            sequencer: Some("\0".to_owned()),
            client_metadata: Some(json!("\0")),
            ..job("a\0b")
        }];
        for created in [true, false] {
            let submitted = repo.submit(&jobs, Enqueue::AlreadyQueued).await.unwrap();
            assert_eq!((submitted[0].created, submitted[0].id), (created, jobs[0].id));
        }
        let Claim::Claimed(lease, claimed) = repo.claim(jobs[0].id, "\0", &TERMS).await.unwrap() else {
            panic!("failed to claim the job");
        };
        assert_eq!(claimed.client_metadata, Some(json!("\0")));
        let error = JobError::new(ErrorCode::DecoderFailed, "moov\0atom");
        let failed = repo.finish(&lease, &Outcome::Failed(error)).await.unwrap();
        assert_eq!(failed.error_message.as_deref(), Some("moov\u{fffd}atom"));
    }
}

/// Two submitters of the same keys in opposite order could deadlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn submitters_of_the_same_jobs_do_not_deadlock() {
    for own in Own::each_and_pooled().await {
        let repo = SeaOrmJobRepo::new(own.migrated().await);
        let keys: Vec<String> = (0..150).map(|n| format!("{n}")).collect();
        let submitters: Vec<_> = (0..4)
            .map(|n| {
                let mut jobs: Vec<NewJob> = keys.iter().map(|key| job(key)).collect();
                if n % 2 == 1 {
                    jobs.reverse();
                }
                let repo = repo.clone();
                tokio::spawn(async move { repo.submit(&jobs, Enqueue::ThroughOutbox).await })
            })
            .collect();
        let mut created = 0;
        for submitter in submitters {
            let submitted = submitter.await.unwrap().unwrap();
            created += submitted.iter().filter(|job| job.created).count();
        }
        assert_eq!(created, keys.len(), "each is accepted once");
        assert_eq!(repo.outbox_backlog().await.unwrap().pending, keys.len() as u64);
    }
}

#[tokio::test]
async fn programs_with_separate_connections_see_the_same_jobs() {
    for own in Own::each_and_pooled().await {
        let one = SeaOrmJobRepo::new(own.migrated().await);
        let other = SeaOrmJobRepo::new(own.connect().await);
        let id = submitted(&one, "a").await;
        let Claim::Claimed(lease, _) = one.claim(id, "one", &TERMS).await.unwrap() else {
            panic!("failed to claim the job");
        };
        let held = other.claim(id, "other", &TERMS).await.unwrap();
        assert!(
            matches!(held, Claim::Held(rest) if rest <= TERMS.lease),
            "{held:?}"
        );
        one.release(&lease).await.unwrap();
        assert_eq!(other.get(id).await.unwrap().unwrap().status, JobStatus::Pending);
    }
}

/// A SQLite file has one writer at a time. A transaction that starts with a read must not be rejected when it
/// writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_programs_do_not_fail() {
    for own in Own::each_and_pooled().await {
        own.migrated().await;
        let mut programs = Vec::new();
        for program in 0..3 {
            let repo = SeaOrmJobRepo::new(own.connect().await);
            programs.push(tokio::spawn(async move {
                for n in 0..20 {
                    let id = submitted(&repo, &format!("{program}/{n}")).await;
                    let claimed = repo.claim(id, "worker", &TERMS).await.unwrap();
                    let Claim::Claimed(lease, _) = claimed else {
                        panic!("failed to claim the job: {claimed:?}");
                    };
                    let error = JobError::new(ErrorCode::NotAVideo, "text file");
                    repo.finish(&lease, &Outcome::Failed(error)).await.unwrap();
                }
            }));
        }
        for program in programs {
            program.await.unwrap();
        }
        let repo = SeaOrmJobRepo::new(own.connect().await);
        assert_eq!(repo.outbox_backlog().await.unwrap().pending, 60);
    }
}

#[tokio::test]
async fn without_its_tables_a_repository_is_unavailable() {
    for own in Own::each().await {
        let repo = SeaOrmJobRepo::new(own.connect().await);
        let error = repo.unfinished().await.unwrap_err();
        assert!(matches!(error, JobRepoError::Unavailable { .. }), "{error}");
        assert_eq!(error.to_string(), "failed to count unfinished jobs");
    }
}

async fn change(database: &Database, change: &str) {
    database.connection().execute_unprepared(change).await.unwrap();
}

#[tokio::test]
async fn an_unreadable_job_does_not_block_others() {
    for spoil in ["status = 'paused'", "source = '{'", "options = 'x'"] {
        for own in Own::each().await {
            let database = own.migrated().await;
            let repo = SeaOrmJobRepo::new(database.clone());
            let limited = |key: &str| NewJob {
                time_limit: Some(Duration::from_secs(60)),
                ..job(key)
            };
            let jobs = [limited("a"), job("b"), limited("c"), job("d")];
            repo.submit(&jobs, Enqueue::AlreadyQueued).await.unwrap();
            let spoil = format!("UPDATE video_jobs SET {spoil} WHERE idempotency_key IN ('a', 'b')");
            change(&database, &spoil).await;
            database.advance(Duration::from_secs(3600));
            let swept = repo.sweep(&SWEEP).await.unwrap();
            assert_eq!((swept.failed, swept.enqueued), (1, 1), "{spoil}");
            assert_eq!(
                repo.get(jobs[2].id).await.unwrap().unwrap().status,
                JobStatus::Failed
            );
            let messages = repo.take_outbox(10, SWEEP.overdue).await.unwrap();
            let reported: Vec<JobId> = messages.iter().map(|message| message.job).collect();
            assert_eq!(reported, [jobs[2].id, jobs[3].id]);
            for id in [jobs[0].id, jobs[1].id] {
                let error = repo.claim(id, "worker", &TERMS).await.unwrap_err();
                assert!(matches!(error, JobRepoError::Unreadable(_)), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn an_unreadable_message_in_the_outbox_does_not_block_others() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let repo = SeaOrmJobRepo::new(database.clone());
        let jobs = ["a", "b", "c"].map(job);
        for job in &jobs {
            repo.submit(std::slice::from_ref(job), Enqueue::ThroughOutbox)
                .await
                .unwrap();
        }
        let first = "UPDATE outbox SET destination = 'elsewhere' WHERE seq = (SELECT MIN(seq) FROM outbox)";
        change(&database, first).await;
        let hold = Duration::from_secs(60);
        for expected in [&jobs[1..], &[]] {
            let taken = repo.take_outbox(2, hold).await.unwrap();
            let ids: Vec<JobId> = taken.iter().map(|message| message.job).collect();
            let expected: Vec<JobId> = expected.iter().map(|job| job.id).collect();
            assert_eq!(ids, expected);
            let sent: Vec<Uuid> = taken.iter().map(|message| message.id).collect();
            repo.outbox_sent(&sent).await.unwrap();
        }
        assert_eq!(
            repo.outbox_backlog().await.unwrap().pending,
            1,
            "the message is not lost"
        );
    }
}

/// A worker of the previous version does not know the new columns.
#[tokio::test]
async fn jobs_of_the_previous_version_are_processed() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let repo = SeaOrmJobRepo::new(database.clone());
        let event = NewJob {
            sequencer: Some("1".to_owned()),
            ..job("a")
        };
        let id = event.id;
        repo.submit(&[event], Enqueue::AlreadyQueued).await.unwrap();
        change(
            &database,
            "UPDATE video_jobs SET source_object = NULL, event_order = NULL",
        )
        .await;
        let newer = NewJob {
            sequencer: Some("2".to_owned()),
            ..job("b")
        };
        repo.submit(&[newer], Enqueue::AlreadyQueued).await.unwrap();
        let claim = repo.claim(id, "worker", &TERMS).await.unwrap();
        assert!(matches!(claim, Claim::Claimed(..)), "{claim:?}");
    }
}

/// More jobs than a sweep changes at once, all of them due for longer than the others.
/// The sweep of a version without limits of tenants writes a message, since it knows no parked jobs.
#[tokio::test]
async fn a_parked_job_is_abandoned_for_the_previous_version() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let tenants = Tenants::from_json(r#"{"default": {"max_jobs": 1}}"#).unwrap();
        let repo = SeaOrmJobRepo::new(database.clone()).with_tenants(tenants);
        let (first, parked) = (submitted(&repo, "first").await, submitted(&repo, "parked").await);
        for (job, is_claimed) in [(first, true), (parked, false)] {
            let claim = repo.claim(job, "worker", &TERMS).await.unwrap();
            assert_eq!(matches!(claim, Claim::Claimed(..)), is_claimed, "{claim:?}");
        }
        let col = |column: &'static str| Expr::col(column);
        let now = || Expr::val(i64::MAX / 4);
        let abandoned = Query::select()
            .column("id")
            .from("video_jobs")
            .and_where(col("status").eq("pending"))
            .and_where(col("enqueued_at").lt(now()))
            .and_where(col("updated_at").lt(now()))
            .and_where(
                col("enqueued_at")
                    .sub(col("updated_at"))
                    .lt(now().sub(col("enqueued_at"))),
            )
            .to_owned();
        let rows = database.connection().query_all(&abandoned).await.unwrap();
        let ids: Vec<Uuid> = rows.iter().map(|row| row.try_get("", "id").unwrap()).collect();
        assert_eq!(ids, [parked.uuid()]);
        assert_eq!(repo.sweep(&SWEEP).await.unwrap().enqueued, 0);
    }
}

#[tokio::test]
async fn hundreds_of_unreadable_jobs_do_not_block_a_sweep() {
    for own in Own::each().await {
        let database = own.migrated().await;
        let repo = SeaOrmJobRepo::new(database.clone());
        let limited = |key: &str| NewJob {
            time_limit: Some(Duration::from_secs(60)),
            ..job(key)
        };
        let spoilt: Vec<NewJob> = (0..450).map(|n| job(&format!("spoilt {n}"))).collect();
        let late: Vec<NewJob> = (0..450)
            .map(|n| limited(&format!("late and spoilt {n}")))
            .collect();
        repo.submit(&spoilt, Enqueue::AlreadyQueued).await.unwrap();
        repo.submit(&late, Enqueue::AlreadyQueued).await.unwrap();
        change(&database, "UPDATE video_jobs SET options = '{'").await;
        database.advance(Duration::from_secs(60));
        let (lost, late) = (job("lost"), limited("late"));
        let jobs = [lost.clone(), late.clone()];
        repo.submit(&jobs, Enqueue::AlreadyQueued).await.unwrap();
        database.advance(Duration::from_secs(3600));
        let terms = SweepTerms { most: 10, ..SWEEP };
        let swept = repo.sweep(&terms).await.unwrap();
        assert_eq!((swept.failed, swept.enqueued), (1, 1));
        let messages = repo.take_outbox(10, SWEEP.overdue).await.unwrap();
        let reported: Vec<JobId> = messages.iter().map(|message| message.job).collect();
        assert_eq!(reported, [late.id, lost.id]);
    }
}

#[tokio::test]
async fn lists_readable_jobs_and_reports_an_unreadable_row() {
    for own in Own::each_and_pooled().await {
        let database = own.migrated().await;
        let repo = SeaOrmJobRepo::new(database.clone());
        let mut ids = Vec::new();
        for key in ["a", "b", "c"] {
            ids.insert(0, submitted(&repo, key).await);
            database.advance(Duration::from_secs(1));
        }
        change(
            &database,
            "UPDATE video_jobs SET status = 'paused' WHERE idempotency_key = 'b'",
        )
        .await;
        let mut filter = JobFilter::default().limit(2);
        let first = repo.list(&filter).await.unwrap();
        assert_eq!((first.jobs[0].id, first.jobs.len()), (ids[0], 1));
        assert_eq!((first.unreadable[0].id, first.unreadable.len()), (ids[1], 1));
        assert!(first.unreadable[0].reason.contains("paused"), "{first:?}");
        filter.after = first.next;
        let second = repo.list(&filter).await.unwrap();
        assert_eq!((second.jobs[0].id, second.jobs.len()), (ids[2], 1));
        assert_eq!((second.unreadable, second.next), (Vec::new(), None));
    }
}

#[tokio::test]
async fn a_claim_does_not_lock_the_restore_mark() {
    // Transactions of SQLite exclude each other anyway.
    let Some(own) = Own::postgres().await else { return };
    let database = own.migrated().await;
    let repo = SeaOrmJobRepo::new(database.clone());
    let id = submitted(&repo, "a").await;
    let locked = database.connection().begin().await.unwrap();
    locked
        .execute_unprepared("SELECT * FROM videoframes_restore FOR UPDATE")
        .await
        .unwrap();
    let claim = tokio::time::timeout(Duration::from_secs(5), repo.claim(id, "worker", &TERMS)).await;
    let claim = claim.expect("the claim does not wait").unwrap();
    assert!(matches!(claim, Claim::Claimed(..)), "{claim:?}");
    locked.rollback().await.unwrap();
}

#[tokio::test]
async fn a_claim_that_waits_while_the_mark_increases_is_in_no_restored_database() {
    // SQLite has no locks on rows.
    let Some(own) = Own::postgres().await else { return };
    let database = own.migrated().await;
    let repo = Arc::new(SeaOrmJobRepo::new(database.clone()));
    let id = submitted(&repo, "a").await;
    let locked = database.connection().begin().await.unwrap();
    locked
        .execute_unprepared("SELECT * FROM video_jobs FOR UPDATE")
        .await
        .unwrap();
    let claim = tokio::spawn({
        let repo = Arc::clone(&repo);
        async move { repo.claim(id, "worker", &TERMS).await }
    });
    let waiting = "SELECT 1 FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let is_waiting = async || {
        let statement = Statement::from_string(DbBackend::Postgres, waiting);
        database
            .connection()
            .query_one_raw(statement)
            .await
            .unwrap()
            .is_some()
    };
    let waits = async {
        while !is_waiting().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waits)
        .await
        .expect("the claim waits for the lock");
    assert!(repo.advance_mark(Duration::ZERO).await.unwrap().is_some());
    locked.rollback().await.unwrap();
    let claim = claim.await.unwrap().unwrap();
    assert!(matches!(claim, Claim::Claimed(..)), "{claim:?}");
}
