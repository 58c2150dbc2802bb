//! Claims: one worker at a time gets a job, and a job that cannot succeed ends.

use std::sync::Arc;
use std::time::Duration;

use super::harness::{
    CLAIM, HOUR, JobRepoHarness, LEASE, MINUTE, Subject, about, cancelled, completed, failed, limited,
    new_job,
};
use crate::jobs::{Claim, ErrorCode, JobError, JobId, JobStatus, LeaseEpoch, NewJob};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    a_claim_gives_a_lease(harness).await;
    a_repeated_claim_returns_the_same_lease(harness).await;
    a_missing_job_cannot_be_claimed(harness).await;
    a_claim_of_a_held_job_returns_the_remaining_time(harness).await;
    a_claim_of_a_waiting_job_returns_the_remaining_time(harness).await;
    a_terminal_job_cannot_be_claimed(harness).await;
    an_expired_lease_is_given_to_another_worker(harness).await;
    a_job_fails_when_its_workers_keep_crashing(harness).await;
    only_expired_leases_count_as_crashes(harness).await;
    a_job_past_its_deadline_fails(harness).await;
    waiting_does_not_count_towards_the_time_for_the_work(harness).await;
    a_lease_protects_from_deadline_and_cancel_request(harness).await;
    a_job_with_a_cancel_request_is_not_started_again(harness).await;
    one_of_many_claims_wins(harness).await;
}

async fn a_claim_gives_a_lease(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let id = on.submit(new_job("a")).await;
    on.advance(MINUTE).await;
    let claim = on.repo.claim(id, "worker ü", &CLAIM).await.expect("claiming");
    let Claim::Claimed(lease, job) = claim else {
        panic!("a pending job can be claimed: {claim:?}");
    };
    assert_eq!((lease.job, lease.epoch), (id, LeaseEpoch(1)));
    assert_eq!(job, on.get(id).await, "a claim returns the job");
    assert_eq!(job.status, JobStatus::Processing);
    assert_eq!(
        (job.attempts, job.crash_count, job.lease_epoch),
        (1, 0, lease.epoch)
    );
    assert_eq!(job.lease_owner.as_deref(), Some("worker ü"));
    let expiry = job.lease_expires_at.expect("a lease ends");
    about(expiry.since(job.created_at), LEASE + MINUTE * 2);
    about(job.updated_at.since(job.created_at), MINUTE * 2);
    on.outbox_is_empty("a claim sends no message").await;
}

async fn a_repeated_claim_returns_the_same_lease(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let id = on.submit(new_job("a")).await;
    let first = on.repo.claim(id, "worker/1 ü", &CLAIM).await.expect("claiming");
    assert!(matches!(first, Claim::Claimed(..)), "{first:?}");
    on.advance(LEASE - MINUTE).await;
    let before = on.snapshot(id).await;
    let again = on.repo.claim(id, "worker/1 ü", &CLAIM).await.expect("claiming");
    assert_eq!(again, first, "the lost answer");
    let other = on.repo.claim(id, "worker/2", &CLAIM).await.expect("claiming");
    assert!(matches!(other, Claim::Held(_)), "{other:?}");
    assert_eq!(on.snapshot(id).await, before, "nothing changes");

    on.advance(MINUTE * 2).await;
    let late = on.repo.claim(id, "worker/1 ü", &CLAIM).await.expect("claiming");
    let Claim::Claimed(lease, job) = late else {
        panic!("the job is not held: {late:?}");
    };
    assert_eq!((lease.epoch, job.crash_count), (LeaseEpoch(2), 1));
}

async fn a_missing_job_cannot_be_claimed(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let claim = on.repo.claim(JobId::random(), "worker", &CLAIM).await;
    assert_eq!(claim.expect("claiming"), Claim::Missing);
}

async fn a_claim_of_a_held_job_returns_the_remaining_time(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, _) = on.claimed("a").await;
    let before = on.snapshot(id).await;
    for (passed, left) in [(MINUTE, LEASE - MINUTE), (MINUTE * 4, LEASE - MINUTE * 5)] {
        on.advance(passed).await;
        match on.repo.claim(id, "other", &CLAIM).await.expect("claiming") {
            Claim::Held(remaining) => about(remaining, left),
            other => panic!("the job is held: {other:?}"),
        }
        assert_eq!(on.snapshot(id).await, before, "no attempt is counted");
    }
}

async fn a_claim_of_a_waiting_job_returns_the_remaining_time(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    let error = JobError::new(ErrorCode::SourceUnavailable, "503");
    let delay = MINUTE * 30;
    let given = on.repo.retry_later(&lease, &error, delay).await;
    assert!(given.is_ok(), "{given:?}");
    let before = on.snapshot(id).await;
    on.advance(MINUTE * 10).await;
    match on.repo.claim(id, "worker", &CLAIM).await.expect("claiming") {
        Claim::NotDue(remaining) => about(remaining, MINUTE * 20),
        other => panic!("the job is not due: {other:?}"),
    }
    assert_eq!(on.snapshot(id).await, before, "no attempt is counted");
    on.advance(MINUTE * 21).await;
    let lease = on.claim(id).await;
    let job = on.get(id).await;
    assert_eq!(
        (lease.epoch, job.attempts, job.crash_count),
        (LeaseEpoch(2), 2, 0)
    );
    assert_eq!((job.status, job.next_attempt_at), (JobStatus::Processing, None));
}

async fn a_terminal_job_cannot_be_claimed(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for (key, outcome) in [("a", completed("a.zip")), ("b", failed()), ("c", cancelled())] {
        let (id, lease) = on.claimed(key).await;
        on.finish(&lease, &outcome).await;
        on.advance(HOUR).await;
        let before = on.snapshot(id).await;
        assert_eq!(on.claim_ended(id).await, before.0);
        assert_eq!(on.snapshot(id).await, before, "nothing changes");
    }
}

async fn an_expired_lease_is_given_to_another_worker(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, first) = on.claimed("a").await;
    on.advance(LEASE + MINUTE).await;
    let claim = on.repo.claim(id, "other", &CLAIM).await.expect("claiming");
    let Claim::Claimed(second, job) = claim else {
        panic!("the job is not held: {claim:?}");
    };
    assert!(second.epoch > first.epoch);
    assert_eq!((job.attempts, job.crash_count), (2, 1));
    assert_eq!(job.lease_owner.as_deref(), Some("other"));
}

async fn a_job_fails_when_its_workers_keep_crashing(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let id = on.submit(new_job("a")).await;
    for crash_count in 0..CLAIM.crashes {
        on.claim(id).await;
        assert_eq!(on.get(id).await.crash_count, crash_count);
        on.advance(LEASE + MINUTE).await;
    }
    let job = on.claim_ended(id).await;
    assert_eq!((job.status, job.attempts), (JobStatus::Failed, CLAIM.crashes));
    assert_eq!(job.crash_count, CLAIM.crashes, "the last crash counts too");
    ended_with(&on, id, ErrorCode::WorkerCrashLoop).await;
}

/// Checks how a job ended without a worker, and that it has one notification.
async fn ended_with(on: &Subject<'_>, id: JobId, code: ErrorCode) {
    let job = on.get(id).await;
    assert_eq!(job.error_code.as_deref(), Some(code.as_str()));
    assert!(job.error_message.is_some_and(|message| !message.is_empty()));
    assert_eq!(
        (job.lease_owner, job.lease_expires_at, job.stage),
        (None, None, None)
    );
    assert!(job.finished_at.is_some() && job.next_attempt_at.is_none() && job.result.is_none());
    on.one_notification(id).await;
    on.claim_ended(id).await;
    on.outbox_is_empty("another claim sends no message").await;
}

async fn only_expired_leases_count_as_crashes(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let id = on.submit(new_job("a")).await;
    let error = JobError::new(ErrorCode::SourceUnavailable, "503");
    for _ in 0..CLAIM.crashes + 1 {
        let lease = on.claim(id).await;
        on.repo.release(&lease).await.expect("releasing");
        let lease = on.claim(id).await;
        let given = on.repo.retry_later(&lease, &error, Duration::ZERO).await;
        assert!(given.is_ok(), "a delay of zero is no delay: {given:?}");
    }
    on.claim(id).await;
    let job = on.get(id).await;
    assert_eq!((job.crash_count, job.attempts), (0, CLAIM.crashes + 2));
}

async fn a_job_past_its_deadline_fails(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let pending = on.submit(limited("pending", HOUR)).await;
    let crashed = on.submit(limited("crashed", HOUR)).await;
    on.claim(crashed).await;
    let waiting = on.submit(limited("waiting", HOUR)).await;
    let lease = on.claim(waiting).await;
    let error = JobError::new(ErrorCode::SourceUnavailable, "503");
    let given = on.repo.retry_later(&lease, &error, HOUR * 3).await;
    assert!(given.is_ok(), "{given:?}");

    on.advance(HOUR + MINUTE).await;
    for id in [pending, crashed, waiting] {
        assert_eq!(on.claim_ended(id).await.status, JobStatus::Failed);
        ended_with(&on, id, ErrorCode::DeadlineExceeded).await;
    }
}

async fn waiting_does_not_count_towards_the_time_for_the_work(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let limited = |key, work_limit| NewJob {
        work_limit: Some(work_limit),
        ..new_job(key)
    };
    let id = on.submit(limited("a", HOUR)).await;
    let short = NewJob {
        time_limit: Some(HOUR * 101),
        ..limited("a shorter deadline of the client", HOUR * 2)
    };
    let short = on.submit(short).await;
    on.advance(HOUR * 100).await;
    assert_eq!(on.sweep().await.failed, 0, "no attempt has started");
    let lease = on.claim(id).await;
    let begun = on.get(id).await;
    let deadline = begun.deadline_at.expect("a deadline");
    about(deadline.since(begun.begun_at.expect("a start")), HOUR);
    on.claim(short).await;
    let left = on.get(short).await.deadline_at.expect("a deadline");
    about(left.since(begun.updated_at), HOUR);
    // Neither a release nor another attempt extends the deadline.
    on.repo.release(&lease).await.expect("releasing");
    on.advance(MINUTE * 30).await;
    let lease = on.claim(id).await;
    assert_eq!(on.get(id).await.deadline_at, Some(deadline));
    on.repo.release(&lease).await.expect("releasing");
    on.advance(HOUR).await;
    let job = on.claim_ended(id).await;
    assert_eq!(job.error_code.as_deref(), Some("DEADLINE_EXCEEDED"));
    // A retry restarts the time limit of the work.
    on.repo.retry(id).await.expect("retrying");
    on.advance(HOUR * 100).await;
    on.claim(id).await;
    let again = on.get(id).await;
    about(
        again.deadline_at.expect("a deadline").since(again.updated_at),
        HOUR,
    );
}

async fn a_lease_protects_from_deadline_and_cancel_request(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let id = on.submit(limited("a", MINUTE * 2)).await;
    let lease = on.claim(id).await;
    on.repo.cancel(id).await.expect("requesting");
    on.advance(MINUTE * 3).await;
    let claim = on.repo.claim(id, "other", &CLAIM).await.expect("claiming");
    assert!(matches!(claim, Claim::Held(_)), "{claim:?}");
    assert_eq!(
        on.finish(&lease, &completed("a.zip")).await.status,
        JobStatus::Completed
    );
}

async fn a_job_with_a_cancel_request_is_not_started_again(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (crashed, _) = on.claimed("crashed").await;
    on.repo.cancel(crashed).await.expect("requesting");
    on.advance(LEASE + MINUTE).await;
    let (released, lease) = on.claimed("released").await;
    on.repo.cancel(released).await.expect("requesting");
    on.repo.release(&lease).await.expect("releasing");
    let (waiting, lease) = on.claimed("waiting").await;
    on.repo.cancel(waiting).await.expect("requesting");
    let error = JobError::new(ErrorCode::SourceUnavailable, "503");
    let given = on.repo.retry_later(&lease, &error, HOUR).await;
    assert!(given.is_ok(), "{given:?}");
    on.outbox_is_empty("no job has ended yet").await;

    for id in [crashed, released, waiting] {
        assert_eq!(on.claim_ended(id).await.status, JobStatus::Cancelled);
        ended_with(&on, id, ErrorCode::Cancelled).await;
    }
}

async fn one_of_many_claims_wins(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for round in 0..20 {
        let id = on.submit(new_job(&format!("round {round}"))).await;
        // First a pending job, then a job with an expired lease.
        for epoch in [1, 2] {
            let claims: Vec<_> = (0..4)
                .map(|n| {
                    let (repo, owner) = (Arc::clone(&on.repo), format!("worker {n}"));
                    tokio::spawn(async move { repo.claim(id, &owner, &CLAIM).await })
                })
                .collect();
            let (mut won, mut held) = (Vec::new(), 0);
            for claim in claims {
                match claim.await.expect("a task").expect("claiming") {
                    Claim::Claimed(lease, job) => won.push((lease, job)),
                    Claim::Held(_) => held += 1,
                    other => panic!("won or held: {other:?}"),
                }
            }
            assert_eq!((won.len(), held), (1, 3), "one wins: {won:?}");
            let (lease, job) = won.remove(0);
            assert_eq!(lease.epoch, LeaseEpoch(epoch));
            assert_eq!(job, on.get(id).await, "the row belongs to the winner");
            assert_eq!(
                (i64::from(job.attempts), i64::from(job.crash_count)),
                (epoch, epoch - 1)
            );
            on.advance(LEASE + MINUTE).await;
        }
    }
}
