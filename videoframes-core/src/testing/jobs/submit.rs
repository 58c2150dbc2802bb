//! Submission: jobs are created once, and batches are atomic.

use std::sync::Arc;

use serde_json::json;

use super::harness::{HOUR, JobRepoHarness, Subject, about, completed, new_job};
use crate::jobs::{Enqueue, ErrorCode, JobError, JobRepoError, JobStatus, LeaseEpoch, NewJob, Submitted};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    a_new_job_waits_for_a_worker(harness).await;
    a_new_job_is_enqueued_on_request(harness).await;
    the_same_key_returns_the_same_job(harness).await;
    a_batch_is_answered_in_order(harness).await;
    a_conflict_rejects_the_whole_batch(harness).await;
    no_job_replaces_another(harness).await;
    a_rejected_job_fails_at_once(harness).await;
    one_of_many_submissions_creates_the_job(harness).await;
}

async fn a_new_job_waits_for_a_worker(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let none = on.repo.submit(&[], Enqueue::ThroughOutbox).await;
    assert_eq!(none.expect("an empty batch"), []);
    let job = NewJob {
        output_key: Some("results/ü 1.zip".parse().expect("a valid key")),
        client_metadata: Some(json!({"ticket": [1, null, "ü ✓"]})),
        sequencer: Some("0055AED6DCD90281E5".to_owned()),
        time_limit: Some(HOUR),
        ..new_job("ключ")
    };
    let id = on.submit(job.clone()).await;
    let row = on.get(id).await;
    assert_eq!(row.id, id);
    assert_eq!(row.status, JobStatus::Pending);
    assert_eq!(row.source, job.source);
    assert_eq!(row.options, job.options);
    assert_eq!(row.output_key.as_deref(), Some("results/ü 1.zip"));
    assert_eq!(row.client_metadata, job.client_metadata);
    assert_eq!(row.sequencer, job.sequencer);
    assert_eq!(row.idempotency_key, job.idempotency_key);
    assert_eq!(row.payload_hash, job.payload_hash);
    assert_eq!(row.time_limit_ms, Some(3_600_000));
    let deadline = row.deadline_at.expect("a deadline");
    about(deadline.since(row.created_at), HOUR);
    assert_eq!((row.attempts, row.crash_count, row.generation), (0, 0, 0));
    assert_eq!((row.frames_done, row.frames_total), (0, 0));
    assert_eq!(row.lease_epoch, LeaseEpoch(0));
    assert_eq!(
        (&row.lease_owner, row.lease_expires_at, row.stage),
        (&None, None, None)
    );
    assert_eq!((row.next_attempt_at, row.finished_at), (None, None));
    assert_eq!((row.error(), &row.result), (None, &None));
    assert!(!row.cancel_requested);
    on.outbox_is_empty("the message is already in the queue").await;
}

async fn a_new_job_is_enqueued_on_request(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let jobs = ["a", "b"].map(new_job);
    let submitted = on.repo.submit(&jobs, Enqueue::ThroughOutbox).await;
    assert!(submitted.is_ok(), "{submitted:?}");
    on.enqueued(&[jobs[0].id, jobs[1].id]).await;
}

async fn the_same_key_returns_the_same_job(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    let again = [new_job("a")];
    for enqueue in [Enqueue::ThroughOutbox, Enqueue::AlreadyQueued] {
        let before = on.snapshot(id).await;
        let submitted = on.repo.submit(&again, enqueue).await.expect("the same job again");
        assert_eq!(submitted, [Submitted { id, created: false }]);
        assert_eq!(on.snapshot(id).await, before, "nothing changes");
    }
    on.finish(&lease, &completed("a.zip")).await;
    on.drain().await;
    let submitted = on.repo.submit(&again, Enqueue::ThroughOutbox).await;
    let submitted = submitted.expect("the same job again");
    assert_eq!(submitted, [Submitted { id, created: false }]);
    on.outbox_is_empty("a finished job is not enqueued again").await;
    let other = on.repo.get(again[0].id).await.expect("reading");
    assert_eq!(other, None, "the second id was never used");
}

async fn a_batch_is_answered_in_order(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let known = on.submit(new_job("b")).await;
    let batch = ["a", "b", "c", "a"].map(new_job);
    let submitted = on.repo.submit(&batch, Enqueue::ThroughOutbox).await;
    let expected = [
        (batch[0].id, true),
        (known, false),
        (batch[2].id, true),
        (batch[0].id, false),
    ];
    let expected = expected.map(|(id, created)| Submitted { id, created });
    assert_eq!(submitted.expect("a batch"), expected);
    on.enqueued(&[batch[0].id, batch[2].id]).await;
}

async fn a_conflict_rejects_the_whole_batch(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let known = on.submit(new_job("known")).await;
    let before = on.snapshot(known).await;
    let other = |key: &str| NewJob {
        payload_hash: "of a different request".to_owned(),
        ..new_job(key)
    };
    for (batch, key) in [
        ([new_job("a"), other("known")], "known"),
        ([other("known"), new_job("a")], "known"),
        ([new_job("a"), other("a")], "a"),
    ] {
        let refused = on.repo.submit(&batch, Enqueue::ThroughOutbox).await;
        assert!(
            matches!(&refused, Err(JobRepoError::IdempotencyConflict(named)) if named == key),
            "{refused:?}"
        );
        for job in &batch {
            let job = on.repo.get(job.id).await.expect("reading");
            assert_eq!(job, None, "no job of the batch is created");
        }
        assert_eq!(on.snapshot(known).await, before);
    }
}

async fn no_job_replaces_another(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let id = on.submit(new_job("a")).await;
    let before = on.snapshot(id).await;
    let same_id = NewJob { id, ..new_job("b") };
    // The answer is unspecified: ids are random, and do not collide by accident.
    let _ = on.repo.submit(&[same_id], Enqueue::AlreadyQueued).await;
    assert_eq!(on.snapshot(id).await, before);
}

async fn a_rejected_job_fails_at_once(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let rejection = JobError::new(ErrorCode::InvalidRequest, "selection.fps: is negative");
    let job = NewJob {
        rejection: Some(rejection.clone()),
        client_metadata: Some(json!("ticket 7")),
        ..new_job("bad")
    };
    let jobs = [job];
    let id = jobs[0].id;
    for created in [true, false] {
        let submitted = on.repo.submit(&jobs, Enqueue::ThroughOutbox).await;
        assert_eq!(submitted.expect("a rejected job"), [Submitted { id, created }]);
    }
    let row = on.get(id).await;
    assert_eq!((row.status, row.attempts), (JobStatus::Failed, 0));
    assert_eq!(row.error(), Some(rejection));
    assert!(row.finished_at.is_some());
    on.one_notification(id).await;
    assert_eq!(on.claim_ended(id).await, row);
}

async fn one_of_many_submissions_creates_the_job(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for round in 0..10 {
        let submits: Vec<_> = (0..4)
            .map(|_| {
                let (repo, job) = (Arc::clone(&on.repo), new_job(&format!("round {round}")));
                tokio::spawn(async move { repo.submit(&[job], Enqueue::ThroughOutbox).await })
            })
            .collect();
        let mut answers = Vec::new();
        for submit in submits {
            let submitted = submit.await.expect("a task").expect("the same job");
            answers.extend(submitted);
        }
        let created: Vec<_> = answers.iter().filter(|answer| answer.created).collect();
        assert_eq!(created.len(), 1, "one submission creates the job: {answers:?}");
        let id = created[0].id;
        assert!(
            answers.iter().all(|answer| answer.id == id),
            "all submissions return the job: {answers:?}"
        );
        on.enqueued(&[id]).await;
    }
}
