//! Operations of operators: cancel and retry.

use std::sync::Arc;

use super::harness::{
    HOUR, JobRepoHarness, LEASE, MINUTE, Subject, about, cancelled, completed, failed, limited, new_job,
    parsed,
};
use crate::jobs::{ErrorCode, JobError, JobId, JobProgress, JobRepoError, JobStatus, Stage, VideoJob};

const PROGRESS: JobProgress = JobProgress {
    stage: Stage::Extract,
    frames_done: 3,
    frames_total: 9,
};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    a_job_without_a_lease_is_cancelled_at_once(harness).await;
    a_worker_is_asked_to_cancel(harness).await;
    a_worker_may_finish_despite_a_cancel_request(harness).await;
    a_terminal_job_cannot_be_cancelled(harness).await;
    a_failed_job_can_be_retried(harness).await;
    a_cancelled_job_can_be_retried(harness).await;
    every_generation_has_a_notification(harness).await;
    only_failed_and_cancelled_jobs_can_be_retried(harness).await;
    one_of_many_retries_wins(harness).await;
}

async fn cancel(on: &Subject<'_>, id: JobId) -> VideoJob {
    let job = on.repo.cancel(id).await.expect("cancelling");
    let job = job.expect("the job exists");
    assert_eq!(job, on.get(id).await, "cancelling returns the job");
    job
}

async fn retry(on: &Subject<'_>, id: JobId) -> VideoJob {
    let job = on.repo.retry(id).await.expect("retrying");
    let job = job.expect("the job exists");
    assert_eq!(job, on.get(id).await, "a retry returns the job");
    job
}

async fn retry_later(on: &Subject<'_>, key: &str) -> JobId {
    let (id, lease) = on.claimed(key).await;
    let error = JobError::new(ErrorCode::SourceUnavailable, "503");
    let given = on.repo.retry_later(&lease, &error, HOUR).await;
    assert!(given.is_ok(), "{given:?}");
    id
}

async fn a_job_without_a_lease_is_cancelled_at_once(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let pending = on.submit(new_job("pending")).await;
    let waiting = retry_later(&on, "waiting").await;
    let (crashed, _) = on.claimed("crashed").await;
    on.advance(LEASE + MINUTE).await;
    let (released, lease) = on.claimed("released").await;
    cancel(&on, released).await;
    on.repo.release(&lease).await.expect("releasing");
    for id in [pending, waiting, crashed, released] {
        let job = cancel(&on, id).await;
        assert_eq!(job.status, JobStatus::Cancelled);
        assert_eq!(job.error_code.as_deref(), Some(ErrorCode::Cancelled.as_str()));
        assert!(job.finished_at.is_some() && job.next_attempt_at.is_none());
        assert_eq!(
            (&job.lease_owner, job.lease_expires_at, job.stage),
            (&None, None, None)
        );
        on.one_notification(id).await;
        assert_eq!(cancel(&on, id).await, job, "a second cancel changes nothing");
        on.outbox_is_empty("a second cancel sends no message").await;
    }
    let missing = on.repo.cancel(JobId::random()).await;
    assert_eq!(missing.expect("a missing job is not an error"), None);
}

async fn a_worker_is_asked_to_cancel(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    for _ in 0..2 {
        let job = cancel(&on, id).await;
        assert_eq!((job.status, job.cancel_requested), (JobStatus::Processing, true));
        assert_eq!(job.lease_owner.as_deref(), Some("worker"));
    }
    on.outbox_is_empty("the job has not ended").await;
    let renewed = on.repo.renew(&lease, LEASE, PROGRESS).await;
    assert!(
        renewed.expect("renewing").cancel_requested,
        "the renewal reports the request"
    );
    let job = on.finish(&lease, &cancelled()).await;
    assert_eq!(job.status, JobStatus::Cancelled);
    assert_eq!(cancel(&on, id).await, job);
    on.one_notification(id).await;
}

async fn a_worker_may_finish_despite_a_cancel_request(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    cancel(&on, id).await;
    let job = on.finish(&lease, &completed("a.zip")).await;
    assert_eq!(job.status, JobStatus::Completed);
    on.one_notification(id).await;
}

async fn a_terminal_job_cannot_be_cancelled(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for (key, outcome, status) in [
        ("a", completed("a.zip"), JobStatus::Completed),
        ("b", failed(), JobStatus::Failed),
    ] {
        let (id, lease) = on.claimed(key).await;
        on.finish(&lease, &outcome).await;
        let before = on.snapshot(id).await;
        let refused = on.repo.cancel(id).await;
        assert!(
            matches!(refused, Err(JobRepoError::WrongState(found)) if found == status),
            "{refused:?}"
        );
        assert_eq!(on.snapshot(id).await, before, "nothing was changed");
    }
}

async fn a_failed_job_can_be_retried(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let id = on.submit(limited("a", HOUR)).await;
    on.claim(id).await;
    on.advance(LEASE + MINUTE).await;
    let lease = on.claim(id).await;
    let renewed = on.repo.renew(&lease, LEASE, PROGRESS).await;
    assert!(renewed.is_ok(), "{renewed:?}");
    on.finish(&lease, &failed()).await;
    on.one_notification(id).await;
    on.advance(HOUR * 5).await;

    let job = retry(&on, id).await;
    assert_eq!((job.status, job.generation), (JobStatus::Pending, 1));
    assert_eq!((job.attempts, job.crash_count), (0, 0));
    assert_eq!((job.frames_done, job.frames_total), (0, 0));
    assert_eq!((job.error(), &job.result, job.finished_at), (None, &None, None));
    assert_eq!(job.lease_epoch, lease.epoch, "epochs never decrease");
    let deadline = job.deadline_at.expect("a deadline");
    about(deadline.since(job.created_at), HOUR * 6 + LEASE + MINUTE * 2);
    on.enqueued(&[id]).await;
    assert!(on.claim(id).await.epoch > lease.epoch);
    assert_eq!(on.get(id).await.attempts, 1);
    let missing = on.repo.retry(JobId::random()).await;
    assert_eq!(missing.expect("a missing job is not an error"), None);
}

async fn a_cancelled_job_can_be_retried(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    cancel(&on, id).await;
    on.finish(&lease, &cancelled()).await;
    on.one_notification(id).await;
    let job = retry(&on, id).await;
    assert_eq!((job.status, job.generation), (JobStatus::Pending, 1));
    assert_eq!((job.cancel_requested, job.deadline_at), (false, None));
    on.enqueued(&[id]).await;
    let lease = on.claim(id).await;
    let renewed = on.repo.renew(&lease, LEASE, PROGRESS).await;
    assert!(
        !renewed.expect("renewing").cancel_requested,
        "the request was for the previous generation"
    );
    // A job that was never claimed can be retried too.
    let unclaimed = on.submit(new_job("b")).await;
    cancel(&on, unclaimed).await;
    assert_eq!(retry(&on, unclaimed).await.status, JobStatus::Pending);
    on.claim(unclaimed).await;
}

async fn every_generation_has_a_notification(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let id = on.submit(new_job("a")).await;
    let mut ids = Vec::new();
    for generation in 0..3 {
        let lease = on.claim(id).await;
        on.finish(&lease, &failed()).await;
        let message = on.one_notification(id).await;
        assert_eq!(parsed(&message)["data"]["generation"], generation);
        assert!(
            !ids.contains(&message.id),
            "every generation has a separate event"
        );
        ids.push(message.id);
        retry(&on, id).await;
        on.enqueued(&[id]).await;
    }
}

async fn only_failed_and_cancelled_jobs_can_be_retried(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let pending = on.submit(new_job("pending")).await;
    let waiting = retry_later(&on, "waiting").await;
    let (processing, _) = on.claimed("processing").await;
    let (finished, lease) = on.claimed("completed").await;
    on.finish(&lease, &completed("a.zip")).await;
    for (id, status) in [
        (pending, JobStatus::Pending),
        (waiting, JobStatus::RetryWait),
        (processing, JobStatus::Processing),
        (finished, JobStatus::Completed),
    ] {
        let before = on.snapshot(id).await;
        let refused = on.repo.retry(id).await;
        assert!(
            matches!(refused, Err(JobRepoError::WrongState(found)) if found == status),
            "{refused:?}"
        );
        assert_eq!(on.snapshot(id).await, before, "nothing was changed");
    }
}

async fn one_of_many_retries_wins(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for round in 0..10 {
        let (id, lease) = on.claimed(&format!("round {round}")).await;
        on.finish(&lease, &failed()).await;
        on.drain().await;
        let retries: Vec<_> = (0..4)
            .map(|_| {
                let repo = Arc::clone(&on.repo);
                tokio::spawn(async move { repo.retry(id).await })
            })
            .collect();
        let mut won = 0;
        for retry in retries {
            match retry.await.expect("a task") {
                Ok(job) => {
                    assert_eq!(job.map(|job| job.generation), Some(1));
                    won += 1;
                }
                Err(error) => assert!(
                    matches!(error, JobRepoError::WrongState(JobStatus::Pending)),
                    "{error:?}"
                ),
            }
        }
        assert_eq!((won, on.get(id).await.generation), (1, 1), "one wins");
        on.enqueued(&[id]).await;
    }
}
