//! Restored databases: a repository that saw a later mark changes nothing.

use super::harness::{
    CLAIM, HOUR, JobRepoHarness, MINUTE, Subject, completed, failed, limited, new_job, parsed, result,
};
use crate::clock::UnixMillis;
use crate::jobs::{
    Claim, Enqueue, ErrorCode, JobError, JobId, JobRecord, JobRepoError, JobStatus, OutboxDestination,
    RestoreMark, RestoreState,
};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    one_worker_per_interval_increases_the_mark(harness).await;
    nothing_changes_behind_a_mark_that_was_seen(harness).await;
    claims_after_a_restore_have_new_epochs(harness).await;
    another_database_is_trusted_only_after_an_observation(harness).await;
    a_lost_row_is_rebuilt(harness).await;
    a_completed_row_is_rebuilt_with_its_notification(harness).await;
    unfinished_jobs_are_enqueued_once(harness).await;
    a_lost_generation_is_reached(harness).await;
}

async fn mark(on: &Subject<'_>) -> RestoreMark {
    on.repo.restore_mark().await.expect("a mark").mark
}

fn later(mark: RestoreMark) -> RestoreMark {
    RestoreMark {
        mark: mark.mark + 5,
        ..mark
    }
}

async fn one_worker_per_interval_increases_the_mark(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    on.advance(HOUR).await;
    let before = mark(&on).await;
    let advanced = on.repo.advance_mark(MINUTE * 30).await.expect("advancing");
    let advanced = advanced.expect("the interval is over").mark;
    assert_eq!(
        advanced,
        RestoreMark {
            mark: before.mark + 1,
            ..before
        }
    );
    for _ in 0..2 {
        assert_eq!(on.repo.advance_mark(MINUTE * 30).await.expect("advancing"), None);
    }
    assert_eq!(mark(&on).await, advanced);
    on.advance(HOUR).await;
    let again = on.repo.advance_mark(MINUTE * 30).await.expect("advancing");
    assert_eq!(again.expect("the interval is over").mark.mark, before.mark + 2);
}

async fn nothing_changes_behind_a_mark_that_was_seen(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let waiting = on.submit(new_job("waiting")).await;
    let late = on.submit(limited("late", MINUTE)).await;
    let (held, lease) = on.claimed("held").await;
    on.advance(MINUTE * 2).await;
    let now = mark(&on).await;
    on.repo.observe_mark(&later(now));
    // An earlier mark changes nothing.
    on.repo.observe_mark(&now);
    let before = [
        on.snapshot(waiting).await,
        on.snapshot(late).await,
        on.snapshot(held).await,
    ];
    let error = JobError::new(ErrorCode::NoSpace, "full");
    let restored = |what: &str, answer: Result<(), JobRepoError>| {
        assert!(
            matches!(answer, Err(JobRepoError::Restored)),
            "{what}: {answer:?}"
        );
    };
    restored("claim", on.repo.claim(waiting, "w", &CLAIM).await.map(drop));
    let missing = on.repo.claim(JobId::random(), "w", &CLAIM).await;
    restored("claim of a missing job", missing.map(drop));
    restored("finish", on.repo.finish(&lease, &completed("k")).await.map(drop));
    restored("retry", on.repo.retry_later(&lease, &error, MINUTE).await);
    restored("defer", on.repo.defer(&lease, &error, MINUTE).await);
    restored("release", on.repo.release(&lease).await);
    restored("sweep", on.repo.sweep(&super::harness::SWEEP).await.map(drop));
    restored("advance", on.repo.advance_mark(MINUTE).await.map(drop));
    let after = [
        on.snapshot(waiting).await,
        on.snapshot(late).await,
        on.snapshot(held).await,
    ];
    assert_eq!(before, after);
    let row = on.repo.restore_mark().await.expect("a mark");
    assert!(row.is_behind());
    assert_eq!(
        RestoreState::compare(&row, None),
        RestoreState::Restored { marks: 5 }
    );

    let accepted = on.repo.accept_restore(None).await.expect("accepting").mark;
    assert_eq!(accepted.generation, now.generation + 1);
    on.finish(&lease, &completed("k")).await;
    on.claim(waiting).await;
    assert!(!on.repo.restore_mark().await.expect("a mark").is_behind());
}

async fn claims_after_a_restore_have_new_epochs(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lost) = on.claimed("a").await;
    on.advance(HOUR).await;
    let store = later(mark(&on).await);
    let accepted = on
        .repo
        .accept_restore(Some(&store))
        .await
        .expect("accepting")
        .mark;
    assert!(accepted.mark > store.mark && accepted.generation > store.generation);
    let lease = on.claim(id).await;
    let first = accepted.generation << 20;
    assert_eq!(lease.epoch.get(), first + 1);
    let stale = on.repo.finish(&lost, &failed()).await;
    assert!(matches!(stale, Err(JobRepoError::LeaseLost)), "{stale:?}");
    on.advance(HOUR).await;
    assert_eq!(on.claim(id).await.epoch.get(), first + 2);
}

async fn another_database_is_trusted_only_after_an_observation(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let id = on.submit(new_job("a")).await;
    let own = mark(&on).await;
    let other = RestoreMark {
        deployment: JobId::random().uuid(),
        ..own
    };
    on.repo.observe_mark(&other);
    let answer = on.repo.claim(id, "w", &CLAIM).await;
    assert!(matches!(answer, Err(JobRepoError::Restored)), "{answer:?}");
    on.repo.observe_mark(&own);
    on.claim(id).await;
}

/// Returns the record of a job that another database has.
fn record(key: &str) -> JobRecord {
    let mut job = crate::jobs::VideoJob::new(&limited(key, HOUR), UnixMillis::new(1_600_000_000_000));
    (job.generation, job.sequencer) = (2, Some("0A".to_owned()));
    job.client_metadata = Some(serde_json::json!({"user": "ü"}));
    job.trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .ok();
    JobRecord::of(&job).expect("a valid job")
}

async fn a_lost_row_is_rebuilt(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, record) = (JobId::random(), record("lost"));
    for new in [true, false] {
        let inserted = on.repo.rebuild(id, &record, None).await;
        assert_eq!(inserted.expect("rebuilding"), new);
    }
    let job = on.get(id).await;
    assert_eq!(
        (job.status, job.attempts, job.generation),
        (JobStatus::Pending, 0, 2)
    );
    assert_eq!(JobRecord::of(&job), Some(record.clone()));
    assert!(job.deadline_at.is_some_and(|deadline| deadline > job.updated_at));
    on.outbox_is_empty("the caller holds the message").await;
    let conflict = on.repo.rebuild(JobId::random(), &record, None).await;
    assert!(
        matches!(&conflict, Err(JobRepoError::IdempotencyConflict(key)) if key == "lost"),
        "{conflict:?}"
    );
    let lease = on.claim(id).await;
    on.finish(&lease, &completed("k")).await;
    on.one_notification(id).await;
}

async fn a_completed_row_is_rebuilt_with_its_notification(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, record) = (JobId::random(), record("done"));
    let ended = UnixMillis::new(1_700_000_000_000);
    let result = (result("results/a/3.zip"), ended);
    for new in [true, false] {
        let inserted = on.repo.rebuild(id, &record, Some(&result)).await;
        assert_eq!(inserted.expect("rebuilding"), new);
    }
    let job = on.get(id).await;
    assert_eq!(
        (job.status, job.result.as_ref()),
        (JobStatus::Completed, Some(&result.0))
    );
    assert_eq!(job.finished_at, Some(ended));
    let message = on.one_notification(id).await;
    assert_eq!(parsed(&message)["data"]["generation"], 2);
    assert!(matches!(
        on.repo.claim(id, "w", &CLAIM).await.expect("claiming"),
        Claim::Terminal(_)
    ));
}

async fn unfinished_jobs_are_enqueued_once(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let waiting = on.submit(new_job("waiting")).await;
    let (held, _) = on.claimed("held").await;
    let (done, lease) = on.claimed("done").await;
    on.finish(&lease, &failed()).await;
    on.one_notification(done).await;
    let announced = new_job("announced");
    on.repo
        .submit(std::slice::from_ref(&announced), Enqueue::ThroughOutbox)
        .await
        .expect("a new job");
    let all = [waiting, held, done, announced.id, JobId::random()];
    for messages in [2, 0] {
        assert_eq!(on.repo.enqueue(&all).await.expect("enqueueing"), messages);
    }
    let messages = on.drain().await;
    assert_eq!(messages.len(), 3);
    for message in &messages {
        assert_eq!(message.destination, OutboxDestination::Input);
        on.is_about_its_job(message).await;
    }
}

async fn a_lost_generation_is_reached(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (ended, lease) = on.claimed("ended").await;
    on.finish(&lease, &failed()).await;
    let (done, lease) = on.claimed("done").await;
    on.finish(&lease, &completed("k")).await;
    on.drain().await;
    let late = on.submit(limited("late", MINUTE)).await;
    let (held, lease) = on.claimed("held").await;
    on.advance(HOUR).await;

    for _ in 0..2 {
        let job = on.repo.raise(ended, 3).await.expect("raising").expect("a job");
        assert_eq!((job.status, job.generation), (JobStatus::Pending, 3));
        assert_eq!((job.attempts, &job.error_code, job.finished_at), (0, &None, None));
    }
    let messages = on.drain().await;
    assert_eq!(messages.len(), 1, "one message about the retried job");
    on.is_about_its_job(&messages[0]).await;
    let lease_of_ended = on.claim(ended).await;
    on.finish(&lease_of_ended, &completed("k3")).await;
    let message = on.one_notification(ended).await;
    assert_eq!(parsed(&message)["data"]["generation"], 3);

    // The deadline has passed, and begins anew.
    for generation in [0, 2, 1] {
        on.repo.raise(late, generation).await.expect("raising");
    }
    let job = on.get(late).await;
    assert_eq!((job.status, job.generation), (JobStatus::Pending, 2));
    on.claim(late).await;

    // The lease of an earlier claim remains valid until the next claim.
    on.repo.raise(held, 1).await.expect("raising");
    let job = on.get(held).await;
    assert_eq!(
        (job.status, job.generation, job.attempts),
        (JobStatus::Processing, 1, 0)
    );
    on.outbox_is_empty("no message about an unfinished job").await;
    on.finish(&lease, &completed("k1")).await;
    assert_eq!(parsed(&on.one_notification(held).await)["data"]["generation"], 1);

    let answer = on.repo.raise(done, 9).await;
    assert!(
        matches!(answer, Err(JobRepoError::WrongState(JobStatus::Completed))),
        "{answer:?}"
    );
    assert_eq!(on.repo.raise(JobId::random(), 1).await.expect("raising"), None);
}
