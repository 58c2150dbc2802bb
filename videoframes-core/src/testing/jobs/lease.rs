//! Leases: a lease is valid until another worker claims the job.

use std::time::Duration;

use super::harness::{
    CLAIM, HOUR, JobRepoHarness, LEASE, MINUTE, Subject, about, cancelled, completed, failed, new_job,
};
use crate::jobs::{
    Claim, ErrorCode, JobError, JobId, JobProgress, JobRepoError, JobStatus, Lease, LeaseEpoch, Renewal,
    Stage,
};

const PROGRESS: JobProgress = JobProgress {
    stage: Stage::Extract,
    frames_done: 7,
    frames_total: 5_000_000_000,
};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    a_renewal_extends_the_lease_from_now(harness).await;
    a_renewal_records_the_progress(harness).await;
    an_expired_lease_is_valid_until_another_claim(harness).await;
    a_lease_is_lost_to_another_claim(harness).await;
    a_lease_is_lost_with_a_release_or_retry(harness).await;
    a_lease_that_never_existed_is_lost(harness).await;
    a_failed_attempt_waits_and_keeps_its_error(harness).await;
    a_deferred_job_waits_and_counts_no_attempt(harness).await;
    a_released_job_is_in_its_state_before_the_claim(harness).await;
}

fn error() -> JobError {
    JobError::new(ErrorCode::SourceUnavailable, "503 from the store: ü")
}

async fn renew(on: &Subject<'_>, lease: &Lease, duration: Duration) -> Result<Renewal, JobRepoError> {
    on.repo.renew(lease, duration, PROGRESS).await
}

/// Returns the remaining time for which a job is held.
async fn held(on: &Subject<'_>, id: JobId) -> Duration {
    match on.repo.claim(id, "other", &CLAIM).await.expect("claiming") {
        Claim::Held(remaining) => remaining,
        other => panic!("the job is held: {other:?}"),
    }
}

async fn a_renewal_extends_the_lease_from_now(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    for _ in 0..3 {
        on.advance(MINUTE * 8).await;
        let renewal = renew(&on, &lease, LEASE).await.expect("renewing");
        assert!(!renewal.cancel_requested);
        about(held(&on, id).await, LEASE);
    }
    for duration in [LEASE * 3, LEASE * 3, MINUTE * 2] {
        renew(&on, &lease, duration).await.expect("renewing");
        about(held(&on, id).await, duration);
    }
    let job = on.get(id).await;
    assert_eq!((job.attempts, job.lease_epoch), (1, lease.epoch));
    assert_eq!(job.lease_owner.as_deref(), Some("worker"));
}

async fn a_renewal_records_the_progress(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    on.advance(MINUTE).await;
    renew(&on, &lease, LEASE).await.expect("renewing");
    let job = on.get(id).await;
    assert_eq!(
        (job.status, job.stage),
        (JobStatus::Processing, Some(Stage::Extract))
    );
    assert_eq!((job.frames_done, job.frames_total), (7, 5_000_000_000));
    about(job.updated_at.since(job.created_at), MINUTE * 2);
    let committing = JobProgress {
        stage: Stage::Commit,
        ..PROGRESS
    };
    let renewed = on.repo.renew(&lease, LEASE, committing).await;
    assert!(renewed.is_ok(), "{renewed:?}");
    assert_eq!(on.get(id).await.stage, Some(Stage::Commit));
    on.outbox_is_empty("progress sends no message").await;
}

async fn an_expired_lease_is_valid_until_another_claim(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let mut leases = Vec::new();
    for key in ["renewed", "finished", "retried later", "released"] {
        leases.push(on.claimed(key).await);
    }
    on.advance(HOUR).await;
    let [renewed, finished, retried, released] = &leases[..] else {
        unreachable!("four were claimed");
    };
    renew(&on, &renewed.1, LEASE).await.expect("renewing");
    about(held(&on, renewed.0).await, LEASE);
    on.finish(&finished.1, &completed("a.zip")).await;
    assert_eq!(on.status(finished.0).await, JobStatus::Completed);
    let given = on.repo.retry_later(&retried.1, &error(), HOUR).await;
    assert!(given.is_ok(), "{given:?}");
    assert_eq!(on.status(retried.0).await, JobStatus::RetryWait);
    let given = on.repo.release(&released.1).await;
    assert!(given.is_ok(), "{given:?}");
    assert_eq!(on.status(released.0).await, JobStatus::Pending);
    for (id, _) in leases {
        assert_eq!(on.get(id).await.crash_count, 0, "no worker crashed");
    }
}

/// Checks that operations with a lost lease change nothing.
async fn lost(on: &Subject<'_>, lease: &Lease, why: &str) {
    let before = match on.repo.get(lease.job).await.expect("reading") {
        Some(_) => Some(on.snapshot(lease.job).await),
        None => None,
    };
    let mut answers = vec![
        renew(on, lease, LEASE).await.err(),
        on.repo.retry_later(lease, &error(), HOUR).await.err(),
        on.repo.release(lease).await.err(),
    ];
    for outcome in [completed("lost.zip"), failed(), cancelled()] {
        answers.push(on.repo.finish(lease, &outcome).await.err());
    }
    for answer in answers {
        assert!(
            matches!(answer, Some(JobRepoError::LeaseLost)),
            "{why}: {answer:?}"
        );
    }
    if let Some(before) = before {
        assert_eq!(on.snapshot(lease.job).await, before, "{why}: nothing was changed");
    }
    assert!(!on.repo.is_result("lost.zip").await.expect("querying"), "{why}");
}

async fn a_lease_is_lost_to_another_claim(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, first) = on.claimed("a").await;
    on.advance(LEASE + MINUTE).await;
    let second = on.claim(id).await;
    lost(&on, &first, "another worker holds the job").await;
    on.advance(LEASE + MINUTE).await;
    lost(&on, &first, "another worker held the job").await;
    on.finish(&second, &completed("a.zip")).await;
    lost(&on, &first, "another worker finished the job").await;
    lost(&on, &second, "the job is finished").await;
    on.one_notification(id).await;
}

async fn a_lease_is_lost_with_a_release_or_retry(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, first) = on.claimed("a").await;
    on.repo.release(&first).await.expect("releasing");
    lost(&on, &first, "the job was released").await;
    let second = on.claim(id).await;
    lost(&on, &first, "the job was released and claimed").await;
    let given = on.repo.retry_later(&second, &error(), HOUR).await;
    assert!(given.is_ok(), "{given:?}");
    lost(&on, &second, "the attempt was abandoned").await;
    on.repo.cancel(id).await.expect("cancelling");
    lost(&on, &second, "the job was cancelled").await;
    on.repo.retry(id).await.expect("retrying");
    lost(&on, &second, "the job was retried").await;
    let third = on.claim(id).await;
    assert!(third.epoch > second.epoch, "epochs continue across generations");
    lost(&on, &second, "the lease is of an earlier generation").await;
}

async fn a_lease_that_never_existed_is_lost(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let pending = on.submit(new_job("pending")).await;
    let (taken, lease) = on.claimed("taken").await;
    for (job, epoch) in [
        (JobId::random(), LeaseEpoch(1)),
        (pending, LeaseEpoch(0)),
        (pending, LeaseEpoch(1)),
        (taken, LeaseEpoch(lease.epoch.0 + 1)),
        (taken, LeaseEpoch(0)),
    ] {
        lost(&on, &Lease { job, epoch }, "no claim returned this lease").await;
    }
}

async fn a_deferred_job_waits_and_counts_no_attempt(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    for attempt in 1..=3 {
        let lease = match attempt {
            1 => lease.clone(),
            _ => on.claim(id).await,
        };
        let deferred = on.repo.defer(&lease, &error(), HOUR).await;
        assert!(deferred.is_ok(), "{deferred:?}");
        let job = on.get(id).await;
        assert_eq!((job.status, job.attempts), (JobStatus::RetryWait, 0));
        assert_eq!(job.error(), Some(error()));
        lost(&on, &lease, "the job was deferred").await;
        let claim = on.repo.claim(id, "other", &CLAIM).await.expect("claiming");
        let Claim::NotDue(left) = claim else {
            panic!("the job waits: {claim:?}");
        };
        about(left, HOUR);
        on.advance(HOUR * 2).await;
    }
    on.outbox_is_empty("a waiting job sends no notification").await;
}

async fn a_failed_attempt_waits_and_keeps_its_error(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    renew(&on, &lease, LEASE).await.expect("renewing");
    on.advance(MINUTE).await;
    let given = on.repo.retry_later(&lease, &error(), HOUR).await;
    assert!(given.is_ok(), "{given:?}");
    let job = on.get(id).await;
    assert_eq!(job.status, JobStatus::RetryWait);
    assert_eq!(job.error(), Some(error()));
    assert_eq!((job.attempts, job.lease_epoch), (1, lease.epoch));
    assert_eq!(
        (job.lease_owner, job.lease_expires_at, job.stage),
        (None, None, None)
    );
    let due = job.next_attempt_at.expect("another attempt");
    about(due.since(job.created_at), HOUR + MINUTE * 2);
    assert_eq!((job.finished_at, job.result), (None, None));
    on.outbox_is_empty("a failed attempt sends no message").await;
}

async fn a_released_job_is_in_its_state_before_the_claim(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    renew(&on, &lease, LEASE).await.expect("renewing");
    on.repo.release(&lease).await.expect("releasing");
    let job = on.get(id).await;
    assert_eq!(
        (job.status, job.attempts, job.crash_count),
        (JobStatus::Pending, 0, 0)
    );
    assert_eq!(job.lease_epoch, lease.epoch, "epochs never decrease");
    assert_eq!(
        (job.lease_owner, job.lease_expires_at, job.stage),
        (None, None, None)
    );
    assert_eq!((job.next_attempt_at, job.finished_at), (None, None));
    on.outbox_is_empty("the queue redelivers the message").await;

    let second = on.claim(id).await;
    assert!(second.epoch > lease.epoch);
    assert_eq!(on.get(id).await.attempts, 1, "the job can be claimed at once");
}
