//! Statistics of jobs.

use std::time::Duration;

use super::harness::{
    CLAIM, HOUR, JobRepoHarness, LEASE, MINUTE, Subject, about, cancelled, completed, failed, new_job,
};
use crate::jobs::{Claim, ErrorCode, JobError, JobId, JobStats, Outcome};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    ended_jobs_are_counted_by_window(harness).await;
    failures_are_counted_by_code(harness).await;
    unexpired_leases_are_counted(harness).await;
    the_oldest_wait_is_that_of_an_unclaimed_job(harness).await;
}

async fn stats(on: &Subject<'_>, windows: &[Duration]) -> JobStats {
    let stats = on.repo.stats(windows).await.expect("counting");
    let unfinished = on.repo.unfinished().await.expect("counting");
    assert_eq!(stats.unfinished, unfinished);
    let returned: Vec<Duration> = stats.ended.iter().map(|ended| ended.window).collect();
    assert_eq!(returned, windows);
    stats
}

async fn ended_jobs_are_counted_by_window(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let windows = [MINUTE * 5, HOUR, HOUR * 24];
    let counts = async || {
        let ended = stats(&on, &windows).await.ended;
        let counts: Vec<_> = ended
            .iter()
            .map(|ended| (ended.completed, ended.failed, ended.cancelled))
            .collect();
        counts
    };
    assert_eq!(counts().await, [(0, 0, 0); 3]);
    on.finish(&on.claimed("old").await.1, &failed()).await;
    on.advance(HOUR * 2).await;
    on.finish(&on.claimed("done").await.1, &completed("a.zip")).await;
    on.finish(&on.claimed("gone").await.1, &cancelled()).await;
    on.advance(MINUTE * 10).await;
    let (bad, lease) = on.claimed("bad").await;
    on.finish(&lease, &failed()).await;
    on.submit(new_job("waiting")).await;
    assert_eq!(counts().await, [(0, 1, 0), (1, 1, 1), (1, 2, 1)]);
    on.repo.retry(bad).await.expect("retrying");
    assert_eq!(counts().await, [(0, 0, 0), (1, 0, 1), (1, 1, 1)]);
    on.advance(HOUR * 24).await;
    assert_eq!(counts().await, [(0, 0, 0); 3]);
    assert_eq!(stats(&on, &[]).await.ended, []);
}

async fn failures_are_counted_by_code(harness: &dyn JobRepoHarness) {
    use ErrorCode::{DamagedVideo, EmptySource, NoSpace};
    let on = Subject::fresh(harness).await;
    let failures = async |windows: &[Duration]| {
        let failures = stats(&on, windows).await.failures.into_iter();
        failures
            .map(|failure| (failure.code, failure.count))
            .collect::<Vec<_>>()
    };
    let fail = async |key: &str, code| {
        let (id, lease) = on.claimed(key).await;
        on.finish(&lease, &Outcome::Failed(JobError::new(code, "ü")))
            .await;
        id
    };
    fail("old", NoSpace).await;
    on.advance(HOUR * 2).await;
    for (key, code) in [
        ("a", NoSpace),
        ("b", DamagedVideo),
        ("c", EmptySource),
        ("d", EmptySource),
    ] {
        fail(key, code).await;
    }
    let retried = fail("retried", DamagedVideo).await;
    on.finish(&on.claimed("done").await.1, &completed("a.zip")).await;
    on.finish(&on.claimed("gone").await.1, &cancelled()).await;
    let (_, lease) = on.claimed("waits").await;
    let given = on
        .repo
        .retry_later(&lease, &JobError::new(NoSpace, "full"), HOUR)
        .await;
    assert!(given.is_ok(), "{given:?}");
    let count = |code: ErrorCode, count| (code.as_str().to_owned(), count);
    let all = [count(DamagedVideo, 2), count(EmptySource, 2), count(NoSpace, 1)];
    assert_eq!(failures(&[MINUTE, HOUR]).await, all);
    on.repo.retry(retried).await.expect("retrying");
    let day = [count(EmptySource, 2), count(NoSpace, 2), count(DamagedVideo, 1)];
    assert_eq!(failures(&[HOUR * 24, HOUR]).await, day);
    assert_eq!(failures(&[]).await, []);
}

async fn unexpired_leases_are_counted(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let owners = async || stats(&on, &[]).await.lease_owners;
    let claim = async |owner: &str| {
        let id = on.submit(new_job(owner)).await;
        match on.repo.claim(id, owner, &CLAIM).await.expect("claiming") {
            Claim::Claimed(lease, _) => lease,
            other => panic!("the job can be claimed: {other:?}"),
        }
    };
    assert_eq!(owners().await, Vec::<String>::new());
    claim("lost").await;
    on.advance(LEASE + MINUTE).await;
    claim("b/2").await;
    let finished = claim("c/1").await;
    claim("B/1").await;
    assert_eq!(owners().await, ["B/1", "b/2", "c/1"]);
    on.finish(&finished, &failed()).await;
    assert_eq!(owners().await, ["B/1", "b/2"]);
}

async fn the_oldest_wait_is_that_of_an_unclaimed_job(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let wait = async || stats(&on, &[]).await.oldest_wait;
    let is_about = async |expected: Duration| {
        let actual = wait().await.expect("a job waits");
        about(actual.saturating_sub(MINUTE / 2), expected);
    };
    assert_eq!(wait().await, None);
    let error = JobError::new(ErrorCode::SourceUnavailable, "503");
    let (_, lease) = on.claimed("not due").await;
    let given = on.repo.retry_later(&lease, &error, HOUR * 9).await;
    assert!(given.is_ok(), "{given:?}");
    let (crashed, _) = on.claimed("crashed").await;
    assert_eq!(wait().await, None, "no job can be claimed");
    on.advance(LEASE + HOUR * 3).await;
    is_about(HOUR * 3).await;
    on.repo.cancel(crashed).await.expect("cancelling");
    assert_eq!(wait().await, None);
    let pending = on.submit(new_job("pending")).await;
    on.advance(HOUR * 2).await;
    is_about(HOUR * 2).await;
    retried(&on, pending).await;
    on.advance(HOUR).await;
    is_about(HOUR).await;
    on.advance(HOUR * 5).await;
    on.claim(pending).await;
    // The job in retry_wait is due since its next attempt.
    is_about(HOUR * 2 + LEASE).await;
}

/// Cancels and retries a job, whose wait starts again.
async fn retried(on: &Subject<'_>, id: JobId) {
    on.repo.cancel(id).await.expect("cancelling");
    on.repo.retry(id).await.expect("retrying");
}
