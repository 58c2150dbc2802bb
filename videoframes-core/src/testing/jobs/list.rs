//! Listing: jobs are read individually and in pages, and found by filters.

use serde_json::json;

use super::harness::{HOUR, JobRepoHarness, MINUTE, Subject, completed, failed, new_job};
use crate::jobs::{
    Enqueue, ErrorCode, JobCursor, JobError, JobFilter, JobId, JobStatus, NewJob, Outcome, Unfinished,
};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    jobs_are_listed_newest_first(harness).await;
    pages_contain_every_job_once(harness).await;
    jobs_are_filtered_by_error_and_age(harness).await;
    jobs_are_filtered_by_source(harness).await;
    jobs_are_filtered_by_text(harness).await;
    jobs_are_found_by_the_start_of_their_id(harness).await;
    unfinished_jobs_are_counted(harness).await;
}

async fn list(on: &Subject<'_>, status: Option<JobStatus>, limit: Option<u32>) -> Vec<JobId> {
    let mut filter = JobFilter::default().statuses(status);
    filter.limit = limit;
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
    let either = [JobStatus::Cancelled, JobStatus::Pending, JobStatus::Pending];
    for (statuses, expected) in [
        (&[][..], &ids),
        (&[JobStatus::Pending], &pending),
        (&either, &ids),
        (&JobStatus::ALL, &ids),
    ] {
        for limit in [1, 5, 6, 12, 13] {
            assert_eq!(
                all_pages(&on, statuses, limit).await,
                *expected,
                "{statuses:?} by {limit}"
            );
        }
    }
    // A job submitted in the meantime comes before all remaining pages.
    let filter = JobFilter::default().limit(6);
    let (first, after) = page(&on, &filter).await;
    on.submit(new_job("meanwhile")).await;
    let (second, _) = page(&on, &JobFilter { after, ..filter }).await;
    assert_eq!([first, second].concat(), ids);
}

async fn all_pages(on: &Subject<'_>, statuses: &[JobStatus], limit: u32) -> Vec<JobId> {
    let mut filter = JobFilter::default()
        .statuses(statuses.iter().copied())
        .limit(limit);
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

async fn jobs_are_filtered_by_error_and_age(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (text, lease) = on.claimed("text").await;
    on.finish(&lease, &failed()).await;
    on.advance(HOUR).await;
    let (full, lease) = on.claimed("full").await;
    let no_space = JobError::new(ErrorCode::NoSpace, "no space left");
    on.finish(&lease, &Outcome::Failed(no_space)).await;
    on.advance(HOUR).await;
    let waiting = on.submit(new_job("waiting")).await;
    on.advance(MINUTE).await;
    let all = JobFilter::default;
    for (filter, expected) in [
        (all().error_codes(["NO_SPACE"]), &[full][..]),
        (all().error_codes(["NO_SPACE", "NOT_A_VIDEO"]), &[full, text]),
        (all().error_codes(["no_space", "NO%"]), &[]),
        (all().older_than(HOUR / 2), &[full, text]),
        (all().newer_than(HOUR / 2), &[waiting]),
        (all().older_than(HOUR / 2).newer_than(HOUR * 3 / 2), &[full]),
        (
            all().newer_than(HOUR * 3 / 2).statuses([JobStatus::Pending]),
            &[waiting],
        ),
        (
            all()
                .older_than(HOUR / 2)
                .statuses([JobStatus::Pending, JobStatus::Failed]),
            &[full, text],
        ),
        (all().newer_than(HOUR * 5), &[waiting, full, text]),
        (all().older_than(HOUR * 24 * 365 * 3000), &[]),
        (all().ids([text, waiting, JobId::random()]), &[waiting, text]),
        (all().ids([text, waiting]).statuses([JobStatus::Failed]), &[text]),
    ] {
        assert_eq!(page(&on, &filter).await.0, expected, "{filter:?}");
    }
}

async fn jobs_are_filtered_by_source(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let submit = async |source: serde_json::Value| {
        on.advance(MINUTE).await;
        let key = source.to_string();
        let tenant = match source["bucket"].as_str() {
            Some("a_b") => "acme",
            _ => "",
        };
        on.submit(NewJob {
            source: source.into(),
            tenant: tenant.parse().unwrap_or_default(),
            ..new_job(&key)
        })
        .await
    };
    let literal = submit(json!({"key": "a_b/100%.mp4", "etag": "e"})).await;
    let other = submit(json!({"bucket": "up-loads", "key": "axb/\"Größe\".mp4"})).await;
    let upper = submit(json!({"bucket": "a_b", "key": "A_b/x.mp4", "etag": "\"key\":\"a_b"})).await;
    let invalid = submit(json!({"key": 7, "version": {"key": "a_b"}})).await;
    let all = JobFilter::default;
    for (filter, expected) in [
        (all().source_prefix("a_b"), &[literal][..]),
        (all().source_prefix("a_b/100%.mp4"), &[literal]),
        (all().source_prefix("a%"), &[]),
        (all().source_prefix("axb/\"Grö"), &[other]),
        (all().source_prefix("A_b/"), &[upper]),
        (all().source_prefix("b/"), &[]),
        (all().tenant("acme"), &[upper]),
        (all().tenant(""), &[invalid, other, literal]),
        (all().tenant("acm"), &[]),
        (all().source_prefix("a_b/100%.mp4\",\"x"), &[]),
        (all().source_prefix(""), &[upper, other, literal]),
        (all().source_bucket("up-loads"), &[other]),
        (all().source_bucket("up-load"), &[]),
        (all().source_bucket("a_b").source_prefix("A"), &[upper]),
        (all().source_bucket("a_b").source_prefix("a"), &[]),
        (all(), &[invalid, upper, other, literal]),
    ] {
        assert_eq!(page(&on, &filter).await.0, expected, "{filter:?}");
    }
}

async fn jobs_are_filtered_by_text(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let source = json!({"bucket": "uploads", "key": "talks/\"one\".mp4"});
    let job = NewJob {
        source: source.into(),
        client_metadata: Some(json!({"user": "Ada_L", "n": 7})),
        output_key: "out/1.zip".parse().ok(),
        ..new_job("order-1")
    };
    let first = on.submit(job).await;
    on.advance(MINUTE).await;
    let (second, lease) = on.claimed("order_2").await;
    on.finish(&lease, &failed()).await;
    for (text, expected) in [
        ("order", &[second, first][..]),
        ("r_2", &[second]),
        ("r-_", &[]),
        ("ORDER", &[]),
        ("NOT_A", &[second]),
        ("text: ü", &[second]),
        ("Größe 100%", &[second]),
        ("100%%", &[]),
        ("talks/\"one\"", &[first]),
        ("uploads", &[first]),
        ("Ada_L", &[first]),
        ("\"n\":7", &[first]),
        ("out/1", &[first]),
        // The name of a field of the source is no text of the job.
        ("bucket", &[]),
        ("etag", &[]),
        ("\\", &[]),
        ("'", &[]),
    ] {
        let filter = JobFilter::default().text(text);
        assert_eq!(page(&on, &filter).await.0, expected, "{text}");
    }
    // Each page examines a limited number of jobs.
    let filter = JobFilter::default().text("etag").limit(1);
    let (none, next) = page(&on, &filter).await;
    assert_eq!(none, []);
    if let Some(next) = next {
        assert_eq!(page(&on, &filter.after(next)).await.0, []);
    }
}

async fn jobs_are_found_by_the_start_of_their_id(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let ids = [
        "01a20df4-7bcf-71e9-9609-5b0498b3fea5",
        "01a20df4-7bcf-71e9-9609-ffffffffffff",
        "01a20df4-8000-7000-8000-000000000000",
        "f1a20df4-7bcf-71e9-9609-5b0498b3fea5",
    ];
    let ids = ids.map(|id| id.parse::<JobId>().expect("an id"));
    for id in ids.iter().rev() {
        let key = id.to_string();
        on.submit(NewJob {
            id: *id,
            ..new_job(&key)
        })
        .await;
    }
    for (prefix, limit, expected) in [
        ("01a20df4", 9, &ids[..3]),
        ("01A20DF4", 2, &ids[..2]),
        ("01a20df4-7bcf-71e9-9609-", 9, &ids[..2]),
        ("01a20df47bcf71e99609f", 9, &ids[1..2]),
        ("01a20df4-8000-7000-8000-000000000000", 9, &ids[2..3]),
        ("f1a20df4", 9, &ids[3..]),
        ("01a20df5", 9, &[]),
    ] {
        let prefix = prefix.parse().expect("a prefix");
        let found = on.repo.find(&prefix, limit).await.expect("finding");
        assert_eq!(found, expected, "{prefix}");
    }
}

async fn unfinished_jobs_are_counted(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let unfinished = async || on.repo.unfinished().await.expect("counting");
    let of = |pending, processing, retry_wait| Unfinished {
        pending,
        processing,
        retry_wait,
        parked: 0,
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
