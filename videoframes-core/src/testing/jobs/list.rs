//! Listing: jobs are read individually and in pages.

use super::harness::{JobRepoHarness, MINUTE, Subject, completed, failed, new_job};
use crate::jobs::{Enqueue, JobCursor, JobFilter, JobId, JobStatus, Unfinished};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    jobs_are_listed_newest_first(harness).await;
    pages_contain_every_job_once(harness).await;
    unfinished_jobs_are_counted(harness).await;
}

async fn list(on: &Subject<'_>, status: Option<JobStatus>, limit: Option<u32>) -> Vec<JobId> {
    let filter = JobFilter {
        status,
        limit,
        after: None,
    };
    page(on, &filter).await.0
}

/// Returns the jobs of a page and the start of the next one.
async fn page(on: &Subject<'_>, filter: &JobFilter) -> (Vec<JobId>, Option<JobCursor>) {
    let page = on.repo.list(filter).await.expect("listing");
    for job in &page.jobs {
        assert_eq!(*job, on.get(job.id).await, "a list returns the jobs");
    }
    (page.jobs.into_iter().map(|job| job.id).collect(), page.next)
}

async fn pages_contain_every_job_once(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    // Several jobs have the same time: the id decides their order.
    let mut ids = Vec::new();
    for round in 0..3 {
        let batch: Vec<_> = (0..4).map(|n| new_job(&format!("{round}/{n}"))).collect();
        let submitted = on.repo.submit(&batch, Enqueue::AlreadyQueued).await;
        assert!(submitted.is_ok(), "{submitted:?}");
        let mut batch: Vec<JobId> = batch.iter().map(|job| job.id).collect();
        batch.sort_unstable();
        ids.extend(batch);
        on.advance(MINUTE).await;
    }
    ids.reverse();
    on.repo.cancel(ids[5]).await.expect("cancelling");
    let mut pending = ids.clone();
    pending.remove(5);
    for (status, expected) in [(None, &ids), (Some(JobStatus::Pending), &pending)] {
        for limit in [1, 5, 6, 12, 13] {
            assert_eq!(
                all_pages(&on, status, limit).await,
                *expected,
                "{status:?} by {limit}"
            );
        }
    }
    // A job submitted in the meantime comes before all remaining pages.
    let filter = JobFilter {
        limit: Some(6),
        ..JobFilter::default()
    };
    let (first, after) = page(&on, &filter).await;
    on.submit(new_job("meanwhile")).await;
    let (second, _) = page(&on, &JobFilter { after, ..filter }).await;
    assert_eq!([first, second].concat(), ids);
}

async fn all_pages(on: &Subject<'_>, status: Option<JobStatus>, limit: u32) -> Vec<JobId> {
    let mut filter = JobFilter {
        status,
        limit: Some(limit),
        after: None,
    };
    let mut listed = Vec::new();
    loop {
        let (jobs, next) = page(on, &filter).await;
        assert!(jobs.len() <= limit as usize);
        listed.extend(jobs);
        if next.is_none() {
            return listed;
        }
        filter.after = next;
    }
}

async fn jobs_are_listed_newest_first(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    assert_eq!(list(&on, None, None).await, []);
    let missing = on.repo.get(JobId::random()).await;
    assert_eq!(missing.expect("a missing job is not an error"), None);
    let mut ids = Vec::new();
    for key in ["a", "b", "c", "d", "e"] {
        ids.insert(0, on.submit(new_job(key)).await);
        on.advance(MINUTE).await;
    }
    let [e, d, c, b, a] = ids[..] else {
        unreachable!("five jobs were submitted");
    };
    // Later changes of a job do not affect its position.
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
    let of = |pending, processing, retry_wait| Unfinished {
        pending,
        processing,
        retry_wait,
    };
    assert_eq!(unfinished().await, of(0, 0, 0));
    let pending = on.submit(new_job("pending")).await;
    let (_, processing) = on.claimed("processing").await;
    let (_, waiting) = on.claimed("waiting").await;
    let error = crate::jobs::JobError::new(crate::jobs::ErrorCode::NoSpace, "full");
    let given = on.repo.retry_later(&waiting, &error, MINUTE).await;
    assert!(given.is_ok(), "{given:?}");
    assert_eq!(unfinished().await, of(1, 1, 1));
    on.finish(&processing, &failed()).await;
    assert_eq!(unfinished().await, of(1, 0, 1));
    on.repo.cancel(pending).await.expect("cancelling");
    assert_eq!(unfinished().await, of(0, 0, 1));
    on.repo.retry(pending).await.expect("retrying");
    assert_eq!(unfinished().await, of(1, 0, 1));
}
