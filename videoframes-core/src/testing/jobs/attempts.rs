//! The history of the attempts at a job, for lists.

use std::time::Duration;

use super::harness::{
    CLAIM, HOUR, JobRepoHarness, LEASE, MINUTE, RETENTION, Subject, about, cancelled, completed, failed,
    limited, new_job,
};
use crate::jobs::AttemptOutcome::{Cancelled, Completed, Deferred, Failed, Lost, Released, Retried};
use crate::jobs::{
    Attempt, AttemptOutcome, Claim, ErrorCode, JobError, JobId, Lease, LeaseEpoch, Outcome, Stage, StageTime,
};
use crate::limits::{MAX_ATTEMPTS, MAX_STAGES};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    every_claim_adds_an_attempt(harness).await;
    the_lease_holder_ends_its_attempt(harness).await;
    an_attempt_without_an_answer_is_lost(harness).await;
    a_job_that_ends_without_its_holder_loses_the_attempt(harness).await;
    the_latest_attempts_are_kept(harness).await;
    stages_are_recorded_for_any_attempt(harness).await;
    a_deleted_job_has_no_attempts(harness).await;
}

async fn attempts(on: &Subject<'_>, id: JobId) -> Vec<Attempt> {
    on.repo.attempts(id).await.expect("reading the attempts")
}

async fn outcomes(on: &Subject<'_>, id: JobId) -> Vec<Option<AttemptOutcome>> {
    let attempts = attempts(on, id).await;
    attempts.iter().map(|attempt| attempt.outcome).collect()
}

fn unavailable() -> JobError {
    JobError::new(ErrorCode::SourceUnavailable, "503 ü")
}

async fn every_claim_adds_an_attempt(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    assert_eq!(attempts(&on, JobId::random()).await, [], "a missing job");
    let id = on.submit(new_job("a")).await;
    assert_eq!(attempts(&on, id).await, [], "no claim");
    on.advance(HOUR).await;
    for _ in 0..2 {
        let claim = on.repo.claim(id, "worker/1 ü", &CLAIM).await.expect("claiming");
        assert!(matches!(claim, Claim::Claimed(..)), "{claim:?}");
        let held = on.repo.claim(id, "other", &CLAIM).await.expect("claiming");
        assert!(matches!(held, Claim::Held(_)), "{held:?}");
        let first = attempts(&on, id).await;
        let job = on.get(id).await;
        let begun_at = job.begun_at.expect("a start");
        let expected = Attempt::new(LeaseEpoch(1), 0, "worker/1 ü", begun_at);
        assert_eq!(first, [expected], "a repeated claim adds nothing");
    }
    let lease = Lease {
        job: id,
        epoch: LeaseEpoch(1),
    };
    on.advance(MINUTE * 2).await;
    on.finish(&lease, &failed()).await;
    on.repo.retry(id).await.expect("retrying");
    on.claim(id).await;
    let [first, second] = <[_; 2]>::try_from(attempts(&on, id).await).expect("two attempts");
    let job = on.get(id).await;
    assert_eq!((first.generation, second.generation), (0, 1));
    assert_eq!((second.epoch, second.worker.as_str()), (LeaseEpoch(2), "worker"));
    assert_eq!(Some(second.started_at), job.begun_at);
    let ended_at = first.ended_at.expect("the first attempt ended");
    about(ended_at.since(first.started_at), MINUTE * 3);
    assert_eq!((second.ended_at, second.outcome), (None, None));
}

async fn the_lease_holder_ends_its_attempt(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for (outcome, expected) in [
        (completed("a.zip"), Completed),
        (failed(), Failed),
        (cancelled(), Cancelled),
    ] {
        let (id, lease) = on.claimed(expected.as_str()).await;
        let job = on.finish(&lease, &outcome).await;
        let [attempt] = <[_; 1]>::try_from(attempts(&on, id).await).expect("one attempt");
        assert_eq!(
            (attempt.outcome, attempt.ended_at),
            (Some(expected), job.finished_at)
        );
        assert_eq!(attempt.error.as_ref(), outcome.error());
        let again = on.repo.finish(&lease, &failed()).await;
        assert!(
            again.is_err() && attempts(&on, id).await == [attempt],
            "nothing changes"
        );
    }
    let (id, lease) = on.claimed("waits").await;
    let given = on.repo.retry_later(&lease, &unavailable(), Duration::ZERO).await;
    assert!(given.is_ok(), "{given:?}");
    let given = on
        .repo
        .defer(&on.claim(id).await, &unavailable(), Duration::ZERO)
        .await;
    assert!(given.is_ok(), "{given:?}");
    on.repo.release(&on.claim(id).await).await.expect("releasing");
    // The end of its lease does not end an attempt, unless another worker claims the job.
    let late = on.claim(id).await;
    on.advance(LEASE * 2).await;
    on.finish(&late, &completed("b.zip")).await;
    let attempts = attempts(&on, id).await;
    let ended = attempts
        .iter()
        .map(|attempt| (attempt.outcome, attempt.error.clone()));
    let expected = [
        (Some(Retried), Some(unavailable())),
        (Some(Deferred), Some(unavailable())),
        (Some(Released), None),
        (Some(Completed), None),
    ];
    assert_eq!(ended.collect::<Vec<_>>(), expected);
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt.ended_at >= Some(attempt.started_at))
    );
}

async fn an_attempt_without_an_answer_is_lost(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, crashed) = on.claimed("a").await;
    on.advance(LEASE + HOUR).await;
    assert_eq!(outcomes(&on, id).await, [None], "the worker may be late only");
    let next = on.claim(id).await;
    let lost = attempts(&on, id).await.remove(0);
    assert_eq!((lost.outcome, lost.error.as_ref()), (Some(Lost), None));
    let ended_at = lost.ended_at.expect("a lost attempt has an end");
    about(ended_at.since(lost.started_at), LEASE + MINUTE / 2);
    let late = on.repo.finish(&crashed, &completed("a.zip")).await;
    assert!(late.is_err(), "{late:?}");
    on.finish(&next, &failed()).await;
    assert_eq!(outcomes(&on, id).await, [Some(Lost), Some(Failed)]);
    assert_eq!(attempts(&on, id).await[0], lost);
}

async fn a_job_that_ends_without_its_holder_loses_the_attempt(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (cancelled, _) = on.claimed("cancelled").await;
    let requested = on.submit(new_job("requested")).await;
    on.claim(requested).await;
    on.repo.cancel(requested).await.expect("requesting");
    let late = on.submit(limited("late", HOUR)).await;
    on.claim(late).await;
    let swept = on.submit(limited("swept", HOUR)).await;
    on.claim(swept).await;
    let waiting = on.submit(limited("waiting", HOUR)).await;
    let given = on
        .repo
        .retry_later(&on.claim(waiting).await, &unavailable(), HOUR * 9)
        .await;
    assert!(given.is_ok(), "{given:?}");
    assert_eq!(
        outcomes(&on, requested).await,
        [None],
        "a request ends no attempt"
    );
    on.advance(HOUR * 2).await;
    on.repo.cancel(cancelled).await.expect("cancelling");
    on.claim_ended(requested).await;
    on.claim_ended(late).await;
    assert_eq!(on.sweep().await.failed, 2);
    for id in [cancelled, requested, late, swept] {
        let [attempt] = <[_; 1]>::try_from(attempts(&on, id).await).expect("one attempt");
        assert_eq!((attempt.outcome, attempt.error.as_ref()), (Some(Lost), None));
        let ended_at = attempt.ended_at.expect("a lost attempt has an end");
        about(ended_at.since(attempt.started_at), LEASE + MINUTE / 2);
    }
    assert_eq!(outcomes(&on, waiting).await, [Some(Retried)]);
}

async fn the_latest_attempts_are_kept(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (other, _) = on.claimed("other").await;
    let id = on.submit(new_job("a")).await;
    for _ in 0..MAX_ATTEMPTS + 3 {
        on.repo.release(&on.claim(id).await).await.expect("releasing");
    }
    let epochs = attempts(&on, id).await;
    let epochs: Vec<i64> = epochs.iter().map(|attempt| attempt.epoch.0).collect();
    assert_eq!(epochs, (4..=103).collect::<Vec<_>>());
    assert_eq!(
        outcomes(&on, other).await,
        [None],
        "other jobs keep their attempts"
    );
}

async fn stages_are_recorded_for_any_attempt(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    let stages = [
        StageTime::new(Stage::Prepare, 12),
        StageTime::new(Stage::Extract, u64::from(u32::MAX) * 2),
        StageTime::new(Stage::Compress, 0),
        StageTime::new(Stage::Extract, 7),
    ];
    let record = async |lease: &Lease, stages: &[StageTime]| {
        let recorded = on.repo.record_stages(lease, stages).await;
        assert!(recorded.is_ok(), "{recorded:?}");
    };
    on.finish(&lease, &Outcome::Failed(unavailable())).await;
    let before = on.snapshot(id).await;
    record(&lease, &stages[..1]).await;
    record(&lease, &stages).await;
    let unknown = Lease {
        epoch: LeaseEpoch(9),
        ..lease
    };
    record(&unknown, &stages).await;
    record(
        &Lease {
            job: JobId::random(),
            ..unknown
        },
        &stages,
    )
    .await;
    assert_eq!(on.snapshot(id).await, before, "the job does not change");
    let [attempt] = <[_; 1]>::try_from(attempts(&on, id).await).expect("one attempt");
    assert_eq!(
        (attempt.outcome, attempt.stages.as_slice()),
        (Some(Failed), &stages[..])
    );
    record(&lease, &[stages[0]; MAX_STAGES + 1]).await;
    assert_eq!(attempts(&on, id).await[0].stages, [stages[0]; MAX_STAGES]);
}

async fn a_deleted_job_has_no_attempts(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    let (kept, _) = on.claimed("kept").await;
    on.finish(&lease, &failed()).await;
    on.drain().await;
    on.advance(RETENTION + HOUR).await;
    assert_eq!(outcomes(&on, id).await, [Some(Failed)]);
    assert_eq!(on.sweep().await.forgotten, 1);
    assert_eq!(attempts(&on, id).await, []);
    assert_eq!(outcomes(&on, kept).await, [None]);
}
