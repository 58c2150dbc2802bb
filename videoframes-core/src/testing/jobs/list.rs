//! Jobs are read one by one and in lists.

use super::{JobRepoHarness, MINUTE, Subject, completed, failed, new_job};
use crate::jobs::{JobFilter, JobId, JobStatus};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    jobs_are_listed_newest_first(harness).await;
    unfinished_jobs_are_counted(harness).await;
}

async fn list(on: &Subject<'_>, status: Option<JobStatus>, most: Option<u64>) -> Vec<JobId> {
    let jobs = on.repo.list(&JobFilter { status, most }).await.expect("listing");
    for job in &jobs {
        assert_eq!(*job, on.get(job.id).await, "a list tells how jobs stand");
    }
    jobs.into_iter().map(|job| job.id).collect()
}

async fn jobs_are_listed_newest_first(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    assert_eq!(list(&on, None, None).await, []);
    let missing = on.repo.get(JobId::random()).await;
    assert_eq!(missing.expect("a missing job is no failure"), None);
    let mut ids = Vec::new();
    for key in ["a", "b", "c", "d", "e"] {
        ids.insert(0, on.submit(new_job(key)).await);
        on.advance(MINUTE).await;
    }
    let [e, d, c, b, a] = ids[..] else {
        unreachable!("five were accepted");
    };
    // What happens to a job later does not move it.
    let lease = on.claim(a).await;
    on.finish(&lease, &completed("a.zip")).await;
    on.claim(c).await;
    assert_eq!(list(&on, None, None).await, ids);
    assert_eq!(list(&on, None, Some(2)).await, [e, d]);
    assert_eq!(list(&on, None, Some(100)).await, ids);
    assert_eq!(list(&on, Some(JobStatus::Pending), None).await, [e, d, b]);
    assert_eq!(list(&on, Some(JobStatus::Pending), Some(1)).await, [e]);
    assert_eq!(list(&on, Some(JobStatus::Processing), None).await, [c]);
    assert_eq!(list(&on, Some(JobStatus::Completed), Some(9)).await, [a]);
    assert_eq!(list(&on, Some(JobStatus::Failed), None).await, []);
}

async fn unfinished_jobs_are_counted(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let unfinished = async || on.repo.unfinished().await.expect("counting");
    assert_eq!(unfinished().await, 0);
    let pending = on.submit(new_job("pending")).await;
    let (_, processing) = on.claimed("processing").await;
    let (_, waiting) = on.claimed("waiting").await;
    let error = crate::jobs::JobError::new(crate::jobs::ErrorCode::NoSpace, "full");
    let given = on.repo.retry_later(&waiting, &error, MINUTE).await;
    assert!(given.is_ok(), "{given:?}");
    assert_eq!(unfinished().await, 3);
    on.finish(&processing, &failed()).await;
    assert_eq!(unfinished().await, 2);
    on.repo.cancel(pending).await.expect("cancelling");
    assert_eq!(unfinished().await, 1);
    on.repo.retry(pending).await.expect("asking again");
    assert_eq!(unfinished().await, 2);
}
