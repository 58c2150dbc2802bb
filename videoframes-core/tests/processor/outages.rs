//! Outages of a store for one kind of operation, one bucket or one object.

use std::time::{Duration, Instant};

use videoframes_core::jobs::{JobRepo, JobStatus, VideoJob};
use videoframes_core::processor::{ProcessorConfig, RetryPolicy, Until};
use videoframes_core::queue::Queue;
use videoframes_core::storage::{Storage, StorageError};

use crate::io;
use crate::setup::{Setup, UPLOADS};

async fn setup() -> Setup {
    Setup::with(
        ProcessorConfig::default().concurrency(2).retry(
            RetryPolicy::default()
                .attempts(3)
                .first(Duration::from_millis(20))
                .longest(Duration::from_millis(100)),
        ),
    )
    .await
}

/// Requests a distinct job for the source `{source}`.
async fn ask(setup: &Setup, source: &str, count: usize) {
    setup
        .ask(&format!(
            r#"{{"version": 1, "source": {source}, "selection": {{"count": {count}}}}}"#
        ))
        .await;
}

async fn jobs(setup: &Setup) -> Vec<VideoJob> {
    setup.repo.list(&Default::default()).await.unwrap().jobs
}

fn completed(jobs: &[VideoJob]) -> usize {
    jobs.iter()
        .filter(|job| job.status == JobStatus::Completed)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_rejects_writes_uses_no_attempts() {
    let setup = setup().await;
    for count in 1..=6 {
        ask(&setup, r#"{"key": "v.mp4"}"#, count).await;
    }
    setup.storage.fail("create", usize::MAX, || io("results"));
    let outage = async {
        setup.until(|setup| setup.storage.calls("create") >= 4).await;
        let (since, begun) = (Instant::now(), setup.input.calls("receive"));
        setup.until(|setup| setup.storage.calls("create") >= 7).await;
        // Three attempts wait at least 200, 400 and 800 ms, minus up to half of each for jitter.
        assert!(
            since.elapsed() > Duration::from_millis(600),
            "{:?}",
            since.elapsed()
        );
        assert_eq!(setup.input.calls("receive"), begun, "nothing is begun");
        assert!(jobs(&setup).await.iter().all(|job| job.attempts <= 1));
        setup.storage.heal();
    };
    tokio::join!(setup.run(Until::Idle), outage);
    let jobs = jobs(&setup).await;
    assert_eq!(completed(&jobs), 6, "{jobs:?}");
    assert!(jobs.iter().all(|job| job.attempts == 1), "{jobs:?}");
    let results = setup.storage.list("results/", None, 10).await.unwrap();
    assert_eq!(results.len(), 6, "no probe is left: {results:?}");
    assert_eq!(setup.notifications().await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_bucket_blocks_no_jobs_of_other_buckets_and_uses_no_attempts() {
    let setup = setup().await;
    Setup::put(&setup.uploads, "v.mp4", "testsrc2=s=160x90:r=10:d=1").await;
    let uploads = format!(r#"{{"bucket": "{UPLOADS}", "key": "v.mp4"}}"#);
    for count in 1..=6 {
        ask(&setup, &uploads, count).await;
    }
    // Some jobs already have a row when the bucket becomes unavailable.
    for call in ["head", "open"] {
        setup.uploads.fail(call, usize::MAX, || io("v.mp4"));
    }
    ask(&setup, r#"{"key": "v.mp4"}"#, 1).await;
    let outage = async {
        setup
            .until(|setup| setup.uploads.calls("head") >= 4 && setup.input.calls("delete") >= 1)
            .await;
        ask(&setup, r#"{"key": "v.mp4"}"#, 2).await;
        setup.until(|setup| setup.input.calls("delete") >= 2).await;
        let (since, asked) = (Instant::now(), setup.uploads.calls("head"));
        setup
            .until(|setup| setup.uploads.calls("head") >= asked + 2)
            .await;
        assert!(
            since.elapsed() > Duration::from_millis(200),
            "{:?}",
            since.elapsed()
        );
        assert_eq!(completed(&jobs(&setup).await), 2);
        setup.uploads.heal();
        setup.until(|setup| setup.input.calls("delete") >= 8).await;
    };
    setup.run_during(outage).await;
    let jobs = jobs(&setup).await;
    assert_eq!(completed(&jobs), 8, "{jobs:?}");
    assert!(jobs.iter().all(|job| job.attempts == 1), "{jobs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_interrupted_by_an_outage_waits_without_using_an_attempt() {
    let setup = setup().await;
    Setup::put(&setup.uploads, "v.mp4", "testsrc2=s=160x90:r=10:d=1").await;
    ask(
        &setup,
        &format!(r#"{{"bucket": "{UPLOADS}", "key": "v.mp4"}}"#),
        1,
    )
    .await;
    // The message becomes a job whose attempt fails.
    setup.uploads.fail("open", usize::MAX, || io("v.mp4"));
    let failing = async {
        setup.until(|setup| setup.uploads.calls("open") >= 1).await;
        setup.uploads.fail("head", usize::MAX, || io("v.mp4"));
        setup.until_job(|job| job.status == JobStatus::RetryWait).await;
        setup.uploads.heal();
    };
    tokio::join!(setup.run(Until::Idle), failing);
    let job = setup.only_job().await;
    assert_eq!(job.status, JobStatus::Completed, "{job:?}");
    assert!(job.attempts <= 2, "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_source_fails_only_its_job() {
    let setup = setup().await;
    setup.storage.refuse_below("refused/");
    for number in 0..10 {
        setup
            .ask(&format!(
                r#"{{"version": 1, "source": {{"key": "refused/{number}.mp4"}}}}"#
            ))
            .await;
    }
    ask(&setup, r#"{"key": "v.mp4"}"#, 1).await;
    setup.run(Until::Idle).await;
    let jobs = jobs(&setup).await;
    assert_eq!((jobs.len(), completed(&jobs)), (11, 1), "{jobs:?}");
    for job in jobs.iter().filter(|job| job.status != JobStatus::Completed) {
        assert_eq!(
            (job.status, job.attempts, job.error_code.as_deref()),
            (JobStatus::Failed, 3, Some("SOURCE_REFUSED"))
        );
    }
    assert_eq!(setup.notifications().await.len(), 11);
    assert_eq!(setup.dead_letter_queue.depth().await.unwrap().visible, 0);
    let probed = setup.storage.list("results/", None, 10).await.unwrap();
    assert_eq!(probed.len(), 1, "{probed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_object_fails_its_job_and_delays_no_other_job() {
    let setup = setup().await;
    Setup::put(&setup.uploads, "v.mp4", "testsrc2=s=160x90:r=10:d=1").await;
    ask(
        &setup,
        &format!(r#"{{"bucket": "{UPLOADS}", "key": "v.mp4"}}"#),
        1,
    )
    .await;
    setup.uploads.fail("open", usize::MAX, || io("v.mp4"));
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!(
        (job.status, job.attempts, job.error_code.as_deref()),
        (JobStatus::Failed, 3, Some("SOURCE_UNAVAILABLE"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_uses_no_attempts() {
    let setup = setup().await;
    for count in 1..=3 {
        ask(&setup, r#"{"key": "v.mp4"}"#, count).await;
    }
    setup
        .storage
        .fail("create", usize::MAX, || StorageError::NoSpace {
            name: "results".to_owned(),
            source: std::io::ErrorKind::StorageFull.into(),
        });
    let outage = async {
        setup.until(|setup| setup.storage.calls("create") >= 4).await;
        setup.storage.heal();
    };
    tokio::join!(setup.run(Until::Idle), outage);
    let jobs = jobs(&setup).await;
    assert_eq!(completed(&jobs), 3, "{jobs:?}");
    assert!(jobs.iter().all(|job| job.attempts == 1), "{jobs:?}");
}
