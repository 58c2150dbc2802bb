//! Outages of a store for one kind of operation, one bucket or one object.

use std::time::{Duration, Instant};

use videoframes_core::jobs::{JobRepo, JobStatus, VideoJob};
use videoframes_core::processor::{ProcessorConfig, RetryPolicy, Until};
use videoframes_core::queue::Queue;
use videoframes_core::storage::{Storage, StorageError};

use crate::io;
use crate::place::{Place, UPLOADS};

async fn place() -> Place {
    Place::with(ProcessorConfig {
        concurrency: 2,
        retry: RetryPolicy {
            attempts: 3,
            first: Duration::from_millis(20),
            longest: Duration::from_millis(100),
        },
        ..ProcessorConfig::default()
    })
    .await
}

/// Requests a distinct job for the source `{source}`.
async fn ask(place: &Place, source: &str, count: usize) {
    place
        .ask(&format!(
            r#"{{"version": 1, "source": {source}, "selection": {{"count": {count}}}}}"#
        ))
        .await;
}

async fn jobs(place: &Place) -> Vec<VideoJob> {
    place.repo.list(&Default::default()).await.unwrap().jobs
}

fn completed(jobs: &[VideoJob]) -> usize {
    jobs.iter()
        .filter(|job| job.status == JobStatus::Completed)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_rejects_writes_uses_no_attempts() {
    let place = place().await;
    for count in 1..=6 {
        ask(&place, r#"{"key": "v.mp4"}"#, count).await;
    }
    place.storage.fail("create", usize::MAX, || io("results"));
    let outage = async {
        place.until(|place| place.storage.calls("create") >= 4).await;
        let (since, begun) = (Instant::now(), place.input.calls("receive"));
        place.until(|place| place.storage.calls("create") >= 7).await;
        // Three attempts wait at least 200, 400 and 800 ms, minus up to half of each for jitter.
        assert!(
            since.elapsed() > Duration::from_millis(600),
            "{:?}",
            since.elapsed()
        );
        assert_eq!(place.input.calls("receive"), begun, "nothing is begun");
        assert!(jobs(&place).await.iter().all(|job| job.attempts <= 1));
        place.storage.heal();
    };
    tokio::join!(place.run(Until::Idle), outage);
    let jobs = jobs(&place).await;
    assert_eq!(completed(&jobs), 6, "{jobs:?}");
    assert!(jobs.iter().all(|job| job.attempts == 1), "{jobs:?}");
    let results = place.storage.list("results/", None, 10).await.unwrap();
    assert_eq!(results.len(), 6, "no probe is left: {results:?}");
    assert_eq!(place.notifications().await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_bucket_blocks_no_jobs_of_other_buckets_and_uses_no_attempts() {
    let place = place().await;
    Place::put(&place.uploads, "v.mp4", "testsrc2=s=160x90:r=10:d=1").await;
    let uploads = format!(r#"{{"bucket": "{UPLOADS}", "key": "v.mp4"}}"#);
    for count in 1..=6 {
        ask(&place, &uploads, count).await;
    }
    // Some jobs already have a row when the bucket becomes unavailable.
    for call in ["head", "open"] {
        place.uploads.fail(call, usize::MAX, || io("v.mp4"));
    }
    ask(&place, r#"{"key": "v.mp4"}"#, 1).await;
    let outage = async {
        place
            .until(|place| place.uploads.calls("head") >= 4 && place.input.calls("delete") >= 1)
            .await;
        ask(&place, r#"{"key": "v.mp4"}"#, 2).await;
        place.until(|place| place.input.calls("delete") >= 2).await;
        let (since, asked) = (Instant::now(), place.uploads.calls("head"));
        place
            .until(|place| place.uploads.calls("head") >= asked + 2)
            .await;
        assert!(
            since.elapsed() > Duration::from_millis(200),
            "{:?}",
            since.elapsed()
        );
        assert_eq!(completed(&jobs(&place).await), 2);
        place.uploads.heal();
        place.until(|place| place.input.calls("delete") >= 8).await;
    };
    place.run_during(outage).await;
    let jobs = jobs(&place).await;
    assert_eq!(completed(&jobs), 8, "{jobs:?}");
    assert!(jobs.iter().all(|job| job.attempts == 1), "{jobs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_interrupted_by_an_outage_waits_without_using_an_attempt() {
    let place = place().await;
    Place::put(&place.uploads, "v.mp4", "testsrc2=s=160x90:r=10:d=1").await;
    ask(
        &place,
        &format!(r#"{{"bucket": "{UPLOADS}", "key": "v.mp4"}}"#),
        1,
    )
    .await;
    // The message becomes a job whose attempt fails.
    place.uploads.fail("open", usize::MAX, || io("v.mp4"));
    let failing = async {
        place.until(|place| place.uploads.calls("open") >= 1).await;
        place.uploads.fail("head", usize::MAX, || io("v.mp4"));
        place.until_job(|job| job.status == JobStatus::RetryWait).await;
        place.uploads.heal();
    };
    tokio::join!(place.run(Until::Idle), failing);
    let job = place.only_job().await;
    assert_eq!(job.status, JobStatus::Completed, "{job:?}");
    assert!(job.attempts <= 2, "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_source_fails_only_its_job() {
    let place = place().await;
    place.storage.refuse_below("refused/");
    for number in 0..10 {
        place
            .ask(&format!(
                r#"{{"version": 1, "source": {{"key": "refused/{number}.mp4"}}}}"#
            ))
            .await;
    }
    ask(&place, r#"{"key": "v.mp4"}"#, 1).await;
    place.run(Until::Idle).await;
    let jobs = jobs(&place).await;
    assert_eq!((jobs.len(), completed(&jobs)), (11, 1), "{jobs:?}");
    for job in jobs.iter().filter(|job| job.status != JobStatus::Completed) {
        assert_eq!(
            (job.status, job.attempts, job.error_code.as_deref()),
            (JobStatus::Failed, 3, Some("SOURCE_REFUSED"))
        );
    }
    assert_eq!(place.notifications().await.len(), 11);
    assert_eq!(place.dead_letters.depth().await.unwrap().visible, 0);
    let probed = place.storage.list("results/", None, 10).await.unwrap();
    assert_eq!(probed.len(), 1, "{probed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_object_fails_its_job_and_delays_no_other_job() {
    let place = place().await;
    Place::put(&place.uploads, "v.mp4", "testsrc2=s=160x90:r=10:d=1").await;
    ask(
        &place,
        &format!(r#"{{"bucket": "{UPLOADS}", "key": "v.mp4"}}"#),
        1,
    )
    .await;
    place.uploads.fail("open", usize::MAX, || io("v.mp4"));
    place.run(Until::Idle).await;
    let job = place.only_job().await;
    assert_eq!(
        (job.status, job.attempts, job.error_code.as_deref()),
        (JobStatus::Failed, 3, Some("SOURCE_UNAVAILABLE"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_uses_no_attempts() {
    let place = place().await;
    for count in 1..=3 {
        ask(&place, r#"{"key": "v.mp4"}"#, count).await;
    }
    place
        .storage
        .fail("create", usize::MAX, || StorageError::NoSpace {
            name: "results".to_owned(),
            source: std::io::ErrorKind::StorageFull.into(),
        });
    let outage = async {
        place.until(|place| place.storage.calls("create") >= 4).await;
        place.storage.heal();
    };
    tokio::join!(place.run(Until::Idle), outage);
    let jobs = jobs(&place).await;
    assert_eq!(completed(&jobs), 3, "{jobs:?}");
    assert!(jobs.iter().all(|job| job.attempts == 1), "{jobs:?}");
}
