//! Events: of several events of one object only the newest is processed, and a message requests one job.

use std::sync::Arc;

use serde_json::json;

use super::harness::{
    CLAIM, HOUR, JobRepoHarness, LEASE, MINUTE, RETENTION, Subject, completed, failed, new_job,
};
use crate::jobs::{
    Claim, Enqueue, ErrorCode, JobError, JobId, JobRepoError, JobStatus, NewJob, OutboxDestination,
    OutboxMessage, Submitted, VideoJob,
};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    an_older_event_is_superseded_at_once(harness).await;
    a_newer_event_supersedes_waiting_jobs(harness).await;
    only_the_newest_event_of_a_batch_is_enqueued(harness).await;
    a_newer_event_does_not_interrupt_a_running_job(harness).await;
    a_sweep_ends_superseded_jobs(harness).await;
    only_events_of_the_same_object_are_compared(harness).await;
    a_retried_job_is_not_superseded(harness).await;
    the_newest_of_many_concurrent_events_remains(harness).await;
    a_message_requests_one_job(harness).await;
    a_different_message_with_the_same_identifier_requests_another_job(harness).await;
    one_of_many_deliveries_creates_the_job(harness).await;
}

/// Returns a job for an event of an object.
pub(super) fn event(key: &str, sequencer: &str) -> NewJob {
    NewJob {
        source: json!({"bucket": "uploads", "key": "Größe 100%.mp4", "etag": format!("{key:?}")}).into(),
        sequencer: Some(sequencer.to_owned()),
        ..new_job(key)
    }
}

fn superseded(job: &VideoJob) {
    assert_eq!(job.status, JobStatus::Cancelled);
    assert_eq!(job.error_code.as_deref(), Some(ErrorCode::Superseded.as_str()));
    assert!(job.finished_at.is_some() && job.next_attempt_at.is_none());
    assert_eq!(
        (&job.lease_owner, job.lease_expires_at, job.stage),
        (&None, None, None)
    );
}

async fn an_older_event_is_superseded_at_once(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let newer = on.submit(event("newer", "0055AED6DCD90281E501")).await;
    let lease = on.claim(newer).await;
    on.finish(&lease, &completed("a.zip")).await;
    on.drain().await;
    let jobs = [event("older", "0055aed6dcd90281e5")];
    let id = jobs[0].id;
    for created in [true, false] {
        let submitted = on.repo.submit(&jobs, Enqueue::ThroughOutbox).await;
        assert_eq!(submitted.expect("an event"), [Submitted { id, created }]);
    }
    let job = on.get(id).await;
    superseded(&job);
    assert_eq!(job.attempts, 0);
    on.one_notification(id).await;
    on.claim_ended(id).await;
    on.outbox_is_empty("there is one notification").await;
}

async fn a_newer_event_supersedes_waiting_jobs(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let pending = on.submit(event("pending", "1A")).await;
    let error = JobError::new(ErrorCode::SourceUnavailable, "503");
    let waiting = on.submit(event("waiting", "1A")).await;
    assert_eq!(
        on.status(pending).await,
        JobStatus::Pending,
        "the same event twice"
    );
    let lease = on.claim(waiting).await;
    on.repo
        .retry_later(&lease, &error, HOUR)
        .await
        .expect("scheduling another attempt");
    let newer = on.submit(event("newer", "1A01")).await;
    assert_eq!(on.status(newer).await, JobStatus::Pending);
    let mut sent: Vec<_> = on.drain().await.into_iter().map(|message| message.id).collect();
    let mut expected = Vec::new();
    for id in [pending, waiting] {
        let job = on.get(id).await;
        superseded(&job);
        expected.push(OutboxMessage::notification(&job).id);
    }
    sent.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sent, expected, "each job has one notification");
    assert_eq!(on.get(waiting).await.attempts, 1);
    on.claim(newer).await;
}

async fn only_the_newest_event_of_a_batch_is_enqueued(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let other = NewJob {
        source: json!({"bucket": "uploads", "key": "other.mp4"}).into(),
        ..event("other", "0A")
    };
    let batch = [event("b", "0B"), event("c", "0C"), event("a", "0A"), other];
    let submitted = on.repo.submit(&batch, Enqueue::ThroughOutbox).await;
    let expected = [0, 1, 2, 3].map(|n: usize| Submitted {
        id: batch[n].id,
        created: true,
    });
    assert_eq!(submitted.expect("a batch"), expected);
    let messages = on.drain().await;
    let to_workers = messages
        .iter()
        .filter(|message| message.destination == OutboxDestination::Input);
    let to_workers: Vec<JobId> = to_workers.map(|message| message.job).collect();
    for (job, expected) in batch.iter().zip([false, true, false, true]) {
        assert_eq!(to_workers.contains(&job.id), expected, "{}", job.idempotency_key);
    }
    for job in [&batch[0], &batch[2]] {
        let job = on.get(job.id).await;
        superseded(&job);
        let id = OutboxMessage::notification(&job).id;
        assert_eq!(messages.iter().filter(|message| message.id == id).count(), 1);
    }
    assert_eq!(messages.len(), 4);
}

async fn a_newer_event_does_not_interrupt_a_running_job(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let mut older = Vec::new();
    for key in ["finished", "crashed", "released"] {
        let id = on.submit(event(key, "1")).await;
        older.push((id, on.claim(id).await));
    }
    on.submit(event("newer", "2")).await;
    on.outbox_is_empty("running jobs continue").await;
    for (id, _) in &older {
        let claim = on.repo.claim(*id, "other", &CLAIM).await.expect("claiming");
        assert!(matches!(claim, Claim::Held(_)), "{claim:?}");
    }
    on.finish(&older[0].1, &completed("a.zip")).await;
    assert_eq!(on.status(older[0].0).await, JobStatus::Completed);
    on.drain().await;
    on.repo.release(&older[2].1).await.expect("releasing");
    on.advance(LEASE + MINUTE).await;
    for (id, _) in &older[1..] {
        superseded(&on.claim_ended(*id).await);
        on.one_notification(*id).await;
    }
}

async fn a_sweep_ends_superseded_jobs(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let crashed = on.submit(event("crashed", "1")).await;
    on.claim(crashed).await;
    on.submit(event("newer", "2")).await;
    assert_eq!(on.sweep().await.cancelled, 0, "a worker holds the job");
    on.advance(LEASE + MINUTE).await;
    assert_eq!(on.sweep().await.cancelled, 1);
    superseded(&on.get(crashed).await);
    on.one_notification(crashed).await;
    assert_eq!(on.sweep().await.cancelled, 0);
}

async fn only_events_of_the_same_object_are_compared(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let source = |source: serde_json::Value| NewJob {
        source: source.clone().into(),
        ..event(&source.to_string(), "1")
    };
    let key = "Größe 100%.mp4";
    let plain = NewJob {
        sequencer: None,
        ..event("no event", "")
    };
    let others = [
        source(json!({"key": key})),
        source(json!({"bucket": "other", "key": key})),
        source(json!({"bucket": "uploads", "key": "other.mp4"})),
        event("no number", "first"),
        plain,
    ];
    let mut ids = Vec::new();
    for job in others {
        ids.push(on.submit(job).await);
    }
    let rejected = NewJob {
        rejection: Some(JobError::new(ErrorCode::InvalidRequest, "no")),
        ..event("rejected", "FF")
    };
    on.submit(rejected).await;
    let versioned = NewJob {
        source: json!({"bucket": "uploads", "key": key, "version": "v1"}).into(),
        ..event("versioned", "1")
    };
    let versioned = on.submit(versioned).await;
    on.drain().await;
    on.submit(event("newer", "2")).await;
    for id in ids {
        assert_eq!(on.status(id).await, JobStatus::Pending);
        on.claim(id).await;
    }
    superseded(&on.get(versioned).await);
    on.one_notification(versioned).await;
}

async fn a_retried_job_is_not_superseded(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let older = on.submit(event("older", "1")).await;
    on.submit(event("newer", "2")).await;
    superseded(&on.get(older).await);
    on.repo.retry(older).await.expect("retrying");
    on.submit(event("newest", "3")).await;
    assert_eq!(on.sweep().await.cancelled, 0);
    let lease = on.claim(older).await;
    on.finish(&lease, &completed("a.zip")).await;
    assert_eq!(on.status(older).await, JobStatus::Completed);
}

async fn the_newest_of_many_concurrent_events_remains(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for round in 0..10 {
        let events: Vec<_> = (0..4)
            .map(|n| event(&format!("{round}/{n}"), &format!("{}{n}", 10 + round)))
            .collect();
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        let submits: Vec<_> = events
            .into_iter()
            .map(|event| {
                let repo = Arc::clone(&on.repo);
                tokio::spawn(async move { repo.submit(&[event], Enqueue::AlreadyQueued).await })
            })
            .collect();
        for submit in submits {
            submit.await.expect("a task").expect("an event");
        }
        // Jobs whose submissions did not see each other are superseded by the claim.
        for id in &ids[..3] {
            superseded(&on.claim_ended(*id).await);
        }
        on.claim(ids[3]).await;
        let sent = on.drain().await.len();
        assert_eq!(sent, 3, "each job has one notification");
    }
}

/// Returns a job for a message that is redelivered after its source was replaced.
fn delivered(key: &str, message: &str) -> NewJob {
    NewJob {
        payload_hash: "hash of the request".to_owned(),
        message_id: Some(message.to_owned()),
        ..new_job(key)
    }
}

async fn a_message_requests_one_job(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let id = on.submit(delivered("as it was", "input/1 ü")).await;
    let again = [delivered("replaced", "input/1 ü")];
    for enqueue in [Enqueue::AlreadyQueued, Enqueue::ThroughOutbox] {
        let before = on.snapshot(id).await;
        let submitted = on.repo.submit(&again, enqueue).await.expect("the same message");
        assert_eq!(submitted, [Submitted { id, created: false }]);
        assert_eq!(on.snapshot(id).await, before, "nothing changes");
    }
    assert_eq!(on.repo.get(again[0].id).await.expect("reading"), None);
    // A redrive changes the identifier of a message; then the idempotency key decides.
    let redriven = [
        delivered("as it was", "input/2"),
        delivered("replaced", "input/3"),
    ];
    let submitted = on.repo.submit(&redriven, Enqueue::AlreadyQueued).await;
    let expected = [(id, false), (redriven[1].id, true)].map(|(id, created)| Submitted { id, created });
    assert_eq!(submitted.expect("other messages"), expected);
    // A deleted job releases its message.
    let lease = on.claim(id).await;
    on.finish(&lease, &failed()).await;
    on.drain().await;
    on.advance(RETENTION + HOUR).await;
    assert_eq!(on.sweep().await.forgotten, 1);
    on.submit(delivered("anew", "input/1 ü")).await;
}

async fn a_different_message_with_the_same_identifier_requests_another_job(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let first = on.submit(delivered("a", "input/1")).await;
    let other = NewJob {
        payload_hash: "something else".to_owned(),
        ..delivered("b", "input/1")
    };
    on.submit(other).await;
    let conflict = NewJob {
        payload_hash: "something else".to_owned(),
        ..delivered("a", "input/1")
    };
    let refused = on.repo.submit(&[conflict], Enqueue::AlreadyQueued).await;
    assert!(
        matches!(&refused, Err(JobRepoError::IdempotencyConflict(key)) if key == "a"),
        "{refused:?}"
    );
    assert_eq!(on.status(first).await, JobStatus::Pending);
}

async fn one_of_many_deliveries_creates_the_job(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for round in 0..10 {
        let submits: Vec<_> = (0..4)
            .map(|n| {
                let job = delivered(&format!("{round} version {n}"), &format!("input/{round}"));
                let repo = Arc::clone(&on.repo);
                tokio::spawn(async move { repo.submit(&[job], Enqueue::AlreadyQueued).await })
            })
            .collect();
        let mut answers = Vec::new();
        for submit in submits {
            answers.extend(submit.await.expect("a task").expect("the same message"));
        }
        let created: Vec<_> = answers.iter().filter(|answer| answer.created).collect();
        assert_eq!(created.len(), 1, "one delivery creates the job: {answers:?}");
        let id = created[0].id;
        assert!(answers.iter().all(|answer| answer.id == id), "{answers:?}");
    }
}
