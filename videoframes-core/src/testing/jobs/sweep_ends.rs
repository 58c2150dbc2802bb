//! Sweeps: jobs that cannot succeed end without a claim, and terminal jobs are deleted after their retention.

use super::harness::{
    CLAIM, HOUR, JobRepoHarness, LEASE, MINUTE, RETENTION, SWEEP, Subject, completed, completed_work, failed,
    limited, new_job, parsed,
};
use crate::jobs::{
    Enqueue, ErrorCode, Hold, JobError, JobFilter, JobId, JobStatus, Submitted, SweepTerms, WorkHash,
};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    jobs_past_their_deadline_fail(harness).await;
    jobs_fail_when_their_workers_keep_crashing(harness).await;
    jobs_with_a_cancel_request_are_cancelled(harness).await;
    old_jobs_are_deleted(harness).await;
    kept_jobs_outlive_their_retention(harness).await;
    jobs_with_unsent_notifications_are_not_deleted(harness).await;
    only_terminal_jobs_are_deleted(harness).await;
    a_sweep_deletes_a_limited_number(harness).await;
}

/// Sweeps twice and checks that the first sweep ended these jobs, each with one notification.
async fn sweep_ends(on: &Subject<'_>, status: JobStatus, code: ErrorCode, expected: &[JobId]) {
    let swept = on.sweep().await;
    let count = match status {
        JobStatus::Cancelled => swept.cancelled,
        _ => swept.failed,
    };
    assert_eq!(count, expected.len() as u64, "{swept:?}");
    assert_eq!(swept.failed + swept.cancelled, count, "{swept:?}");
    let messages = on.drain().await;
    for &id in expected {
        let job = on.get(id).await;
        assert_eq!(job.status, status);
        assert_eq!(job.error_code.as_deref(), Some(code.as_str()));
        assert_eq!((&job.lease_owner, job.lease_expires_at), (&None, None));
        assert!(job.finished_at.is_some() && job.stage.is_none());
        let expected = crate::jobs::OutboxMessage::notification(&job);
        let sent: Vec<_> = messages.iter().filter(|message| message.job == id).collect();
        assert!(
            sent.len() == 1 && sent[0].id == expected.id,
            "there is one notification: {sent:?}"
        );
        assert_eq!(parsed(sent[0]), parsed(&expected));
    }
    let again = on.sweep().await;
    assert_eq!(
        (again.failed, again.cancelled),
        (0, 0),
        "a second sweep ends nothing"
    );
    on.outbox_is_empty("a second sweep sends no message").await;
}

async fn jobs_past_their_deadline_fail(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let pending = on.submit(limited("pending", MINUTE * 15)).await;
    let crashed = on.submit(limited("crashed", MINUTE * 15)).await;
    on.claim(crashed).await;
    let waiting = on.submit(limited("waiting", MINUTE * 15)).await;
    let lease = on.claim(waiting).await;
    let error = JobError::new(ErrorCode::SourceUnavailable, "503");
    let given = on.repo.retry_later(&lease, &error, HOUR * 3).await;
    assert!(given.is_ok(), "{given:?}");
    let in_time = on.submit(limited("in time", HOUR)).await;
    on.advance(MINUTE * 14).await;
    let held = on.submit(limited("held", MINUTE)).await;
    on.claim(held).await;
    assert_eq!(on.sweep().await.failed, 0);
    on.advance(MINUTE * 2).await;

    let late = [pending, crashed, waiting];
    sweep_ends(&on, JobStatus::Failed, ErrorCode::DeadlineExceeded, &late).await;
    assert_eq!(on.status(in_time).await, JobStatus::Pending);
    assert_eq!(
        on.status(held).await,
        JobStatus::Processing,
        "the holder of the lease ends the job"
    );
}

async fn jobs_fail_when_their_workers_keep_crashing(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let id = on.submit(new_job("a")).await;
    for _ in 0..CLAIM.crashes {
        on.claim(id).await;
        assert_eq!(on.sweep().await.failed, 0, "a worker holds the job");
        on.advance(LEASE + MINUTE).await;
        if on.get(id).await.attempts < CLAIM.crashes {
            assert_eq!(on.sweep().await.failed, 0, "another attempt is allowed");
        }
    }
    sweep_ends(&on, JobStatus::Failed, ErrorCode::WorkerCrashLoop, &[id]).await;
    assert_eq!(on.get(id).await.crash_count, CLAIM.crashes);
}

async fn jobs_with_a_cancel_request_are_cancelled(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (crashed, _) = on.claimed("crashed").await;
    let (released, lease) = on.claimed("released").await;
    for id in [crashed, released] {
        on.repo.cancel(id).await.expect("querying");
    }
    assert_eq!(on.sweep().await.cancelled, 0, "the workers cancel their jobs");
    on.repo.release(&lease).await.expect("releasing");
    on.advance(LEASE + MINUTE).await;
    let stopped = [crashed, released];
    sweep_ends(&on, JobStatus::Cancelled, ErrorCode::Cancelled, &stopped).await;
}

async fn old_jobs_are_deleted(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (old, lease) = on.claimed("old").await;
    on.advance(LEASE / 2).await;
    on.finish(&lease, &completed_work("old.zip", "work")).await;
    on.drain().await;
    on.advance(RETENTION - HOUR).await;
    let (young, lease) = on.claimed("young").await;
    on.finish(&lease, &completed("young.zip")).await;
    on.drain().await;
    assert_eq!(on.sweep().await.forgotten, 0, "the job is within its retention");
    assert!(on.repo.is_result("old.zip").await.expect("querying"));

    on.advance(HOUR + MINUTE).await;
    assert_eq!(on.sweep().await.forgotten, 1);
    assert_eq!(on.sweep().await.forgotten, 0);
    assert_eq!(on.repo.get(old).await.expect("reading"), None);
    assert_eq!(on.status(young).await, JobStatus::Completed);
    assert!(!on.repo.is_result("old.zip").await.expect("querying"));
    let found = on.repo.find_result(&WorkHash("work".to_owned())).await;
    assert_eq!(found.expect("searching"), None, "the result may be deleted now");
    let again = [new_job("old")];
    let submitted = on.repo.submit(&again, Enqueue::AlreadyQueued).await;
    let expected = Submitted {
        id: again[0].id,
        created: true,
    };
    assert_eq!(
        submitted.expect("a new job"),
        [expected],
        "the idempotency key is free"
    );
}

async fn kept_jobs_outlive_their_retention(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (kept, lease) = on.claimed("kept").await;
    on.finish(&lease, &completed("kept.zip")).await;
    let (other, lease) = on.claimed("other").await;
    on.finish(&lease, &completed("other.zip")).await;
    on.drain().await;
    let hold = async |hold| on.repo.hold(kept, hold).await.expect("changing the hold");
    let first = hold(Hold::Keep).await.expect("a job");
    assert!(first.kept_at.is_some());
    on.advance(MINUTE).await;
    let again = hold(Hold::Keep).await.expect("a job");
    assert_eq!(again.kept_at, first.kept_at, "the hold keeps its first time");
    assert_eq!(
        (again.status, again.finished_at),
        (JobStatus::Completed, first.finished_at)
    );
    on.advance(RETENTION * 3).await;
    assert_eq!(on.sweep().await.forgotten, 1);
    assert_eq!(on.repo.get(other).await.expect("reading"), None);
    assert_eq!(on.status(kept).await, JobStatus::Completed);
    assert!(on.repo.is_result("kept.zip").await.expect("querying"));
    let page = on.repo.list(&JobFilter::default().kept()).await.expect("listing");
    assert_eq!(page.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [kept]);
    assert_eq!(hold(Hold::Release).await.expect("a job").kept_at, None);
    let page = on.repo.list(&JobFilter::default().kept()).await.expect("listing");
    assert_eq!(page.jobs, []);
    assert_eq!(
        on.sweep().await.forgotten,
        1,
        "its retention ended during the hold"
    );
    assert_eq!(hold(Hold::Keep).await, None);
    // A job may be kept before its end, and through a retry.
    let (retried, lease) = on.claimed("retried").await;
    on.repo
        .hold(retried, Hold::Keep)
        .await
        .expect("changing the hold");
    on.finish(&lease, &failed()).await;
    on.repo.retry(retried).await.expect("retrying");
    let lease = on.claim(retried).await;
    on.finish(&lease, &failed()).await;
    on.drain().await;
    on.advance(RETENTION * 2).await;
    assert_eq!(on.sweep().await.forgotten, 0);
}

async fn jobs_with_unsent_notifications_are_not_deleted(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    on.finish(&lease, &failed()).await;
    let taken = on.repo.take_outbox(10, HOUR).await.expect("taking");
    on.advance(RETENTION * 2).await;
    assert_eq!(on.sweep().await.forgotten, 0, "the notification is unsent");
    assert_eq!(on.status(id).await, JobStatus::Failed);
    assert_eq!(on.drain().await, taken);
    assert_eq!(on.sweep().await.forgotten, 1);
    assert_eq!(on.repo.get(id).await.expect("reading"), None);
}

async fn only_terminal_jobs_are_deleted(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let pending = on.submit(new_job("pending")).await;
    let (processing, _) = on.claimed("processing").await;
    let (retried, lease) = on.claimed("retried").await;
    on.finish(&lease, &failed()).await;
    on.advance(RETENTION - HOUR).await;
    on.repo.retry(retried).await.expect("retrying");
    on.drain().await;
    on.advance(HOUR * 2).await;
    let swept = on.sweep().await;
    assert_eq!((swept.forgotten, swept.failed), (0, 0));
    for id in [pending, processing, retried] {
        assert!(!on.status(id).await.is_terminal());
    }
    // The retention of a retried job starts at its last end.
    let lease = on.claim(retried).await;
    on.finish(&lease, &failed()).await;
    on.drain().await;
    assert_eq!(on.sweep().await.forgotten, 0);
}

async fn a_sweep_deletes_a_limited_number(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let mut ids = Vec::new();
    for key in ["a", "b", "c"] {
        let (id, lease) = on.claimed(key).await;
        on.finish(&lease, &failed()).await;
        on.advance(MINUTE).await;
        ids.push(id);
    }
    on.drain().await;
    on.advance(RETENTION * 2).await;
    let terms = SweepTerms { most: 2, ..SWEEP };
    for expected in [2, 1, 0] {
        let swept = on.repo.sweep(&terms).await.expect("sweeping");
        assert_eq!(swept.forgotten, expected);
    }
    for id in ids {
        assert_eq!(on.repo.get(id).await.expect("reading"), None);
    }
}
