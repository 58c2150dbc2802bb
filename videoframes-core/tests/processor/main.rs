//! The processor with faulty databases, queues and stores.
#![allow(clippy::unwrap_used)]

mod events;
mod faulty;
mod outages;
mod place;
mod renditions;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use place::{Place, short_timing};
use videoframes_core::jobs::{Claim, ClaimTerms, JobRepo, JobRepoError, JobResult, JobStatus, Outcome};
use videoframes_core::processor::{ProcessorConfig, RetryPolicy, Timing, Until};
use videoframes_core::queue::{Queue, QueueError};
use videoframes_core::storage::{Storage, StorageError};

fn unavailable() -> JobRepoError {
    JobRepoError::Unavailable {
        action: "reach the database",
        source: "it is not there".into(),
    }
}

fn unreachable_queue() -> QueueError {
    QueueError::Unavailable {
        action: "reach",
        queue: "input".to_owned(),
        source: "it is not there".into(),
    }
}

fn io(name: &str) -> StorageError {
    StorageError::Io {
        action: "open",
        name: name.to_owned(),
        source: std::io::Error::other("503 slow down"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_becomes_a_result_and_a_notification() {
    let place = Place::new().await;
    place
        .ask(r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"count": 2}}"#)
        .await;
    place.run(Until::Idle).await;
    let job = place.only_job().await;
    assert_eq!(job.status, JobStatus::Completed, "{job:?}");
    let result = job.result.unwrap();
    assert_eq!(result.frames, 2);
    let told = place.notifications().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["result"]["sha256"], result.sha256);
    assert_eq!(
        place.input.depth().await.unwrap(),
        Default::default(),
        "the message is deleted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_database_at_the_claim_pauses_polling_without_dead_lettering() {
    let place = Place::new().await;
    place.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    place.repo.fail("claim", 3, unavailable);
    place.run(Until::Idle).await;
    let job = place.only_job().await;
    assert_eq!((job.status, job.attempts), (JobStatus::Completed, 1));
    assert_eq!(place.dead_letters.depth().await.unwrap().visible, 0);
    assert!(place.repo.calls("claim") >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_database_at_submission_loses_no_message() {
    let place = Place::new().await;
    place.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    place.repo.fail("submit", 2, unavailable);
    place.run(Until::Stopped).await;
    assert_eq!(place.only_job().await.status, JobStatus::Completed);
    assert_eq!(place.dead_letters.depth().await.unwrap().visible, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_with_a_lost_response_is_not_repeated() {
    let place = Place::new().await;
    place.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    place.repo.lose_answer("finish", 1, unavailable);
    place.run(Until::Idle).await;
    let job = place.only_job().await;
    assert_eq!((job.status, job.attempts), (JobStatus::Completed, 1));
    assert_eq!(place.notifications().await.len(), 1);
    assert_eq!(
        place.input.depth().await.unwrap(),
        Default::default(),
        "the message is deleted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporarily_failing_commit_is_retried() {
    let place = Place::new().await;
    place.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    place.repo.fail("finish", 2, unavailable);
    place.run(Until::Idle).await;
    let job = place.only_job().await;
    assert_eq!(
        (job.status, job.attempts, job.crash_count),
        (JobStatus::Completed, 1, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_database_stops_before_its_lease_expires() {
    let place = Place::with(ProcessorConfig {
        timing: short_timing(),
        ..ProcessorConfig::default()
    })
    .await;
    place.store("long.mp4", "testsrc2=s=1280x720:r=30:d=20").await;
    place.ask(r#"{"version": 1, "source": {"key": "long.mp4"}, "selection": {"all": true}, "picture": {"format": "png"}}"#)
        .await;
    for call in ["renew", "release", "finish"] {
        place.repo.fail(call, usize::MAX, unavailable);
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let running = place.start(Until::Stopped, &stop);
    place.until(|place| place.repo.calls("renew") >= 2).await;
    let lease = short_timing().lease;
    let since = std::time::Instant::now();
    // The extraction was stopped: its partial output is removed, and no outcome is stored.
    place
        .until(|place| place.extractions.load(Ordering::SeqCst) == 0)
        .await;
    assert!(since.elapsed() < lease * 3, "{:?}", since.elapsed());
    let job = place.only_job().await;
    assert_eq!(job.status, JobStatus::Processing);
    stop.cancel();
    running.await.unwrap();
    assert_eq!(place.storage.list("results/", None, 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_releases_its_job_when_the_database_is_back() {
    let place = Place::with(ProcessorConfig {
        timing: short_timing(),
        ..ProcessorConfig::default()
    })
    .await;
    place.store("long.mp4", "testsrc2=s=1280x720:r=30:d=20").await;
    place
        .ask(r#"{"version": 1, "source": {"key": "long.mp4"}, "selection": {"all": true}, "picture": {"format": "png"}}"#)
        .await;
    for call in ["renew", "release", "finish"] {
        place.repo.fail(call, usize::MAX, unavailable);
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let running = place.start(Until::Stopped, &stop);
    place.until(|place| place.repo.calls("release") >= 2).await;
    assert_eq!(place.extractions.load(Ordering::SeqCst), 0);
    place.repo.heal();
    // The clock of the repository stands still, so the lease does not expire, and only its holder can release it.
    place.until_job(|job| job.lease_epoch.0 == 2).await;
    let job = place.only_job().await;
    assert_eq!(
        (job.attempts, job.crash_count),
        (1, 0),
        "nobody vanished: {job:?}"
    );
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_with_a_lost_response_counts_neither_as_attempt_nor_as_crash() {
    let place = Place::new().await;
    place.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    place.repo.lose_answer("claim", 2, unavailable);
    // An unknown lease would last longer than the test waits.
    place.run(Until::Idle).await;
    let job = place.only_job().await;
    assert_eq!(
        (job.status, job.lease_epoch.0),
        (JobStatus::Completed, 1),
        "{job:?}"
    );
    assert_eq!((job.attempts, job.crash_count), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_replaced_between_deliveries_causes_no_second_job() {
    let place = Place::new().await;
    place.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    place.repo.lose_answer("submit", 1, unavailable);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = place.start(Until::Stopped, &stop);
    place.until(|place| place.repo.calls("submit") == 1).await;
    place.replace("v.mp4").await;
    place.clock.advance(Duration::from_secs(200));
    place.until_job(|job| job.status.is_terminal()).await;
    stop.cancel();
    running.await.unwrap();
    place.only_job().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_contains_its_bucket() {
    let place = Place::in_bucket("results-bucket").await;
    place
        .ask(r#"{"version": 1, "source": {"key": "v.mp4"}, "output": {"key": "out.zip"}}"#)
        .await;
    // The first archive is adopted, since its outcome is not stored.
    place.repo.fail("finish", usize::MAX, unavailable);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = place.start(Until::Stopped, &stop);
    place.until(|place| place.repo.calls("finish") > 0).await;
    running.abort();
    place.repo.heal();
    place.clock.advance(Duration::from_secs(200));
    place
        .ask(r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"count": 1}}"#)
        .await;
    place.run(Until::Idle).await;
    let told = place.notifications().await;
    assert_eq!(told.len(), 2);
    for event in told {
        assert_eq!(event["data"]["result"]["bucket"], "results-bucket", "{event}");
        assert_eq!(event["data"]["result"]["sha256"].as_str().unwrap().len(), 64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_even_if_it_cannot_release_its_job() {
    let place = Place::with(ProcessorConfig {
        timing: Timing {
            drain: Duration::from_millis(100),
            ..short_timing()
        },
        ..ProcessorConfig::default()
    })
    .await;
    place.store("long.mp4", "testsrc2=s=1280x720:r=30:d=20").await;
    place
        .ask(r#"{"version": 1, "source": {"key": "long.mp4"}, "selection": {"all": true}, "picture": {"format": "png"}}"#)
        .await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = place.start(Until::Stopped, &stop);
    place
        .until(|place| place.extractions.load(Ordering::SeqCst) == 1)
        .await;
    for call in ["renew", "release", "finish"] {
        place.repo.fail(call, usize::MAX, unavailable);
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), running)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(place.extractions.load(Ordering::SeqCst), 0);
    assert_eq!(place.only_job().await.status, JobStatus::Processing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_queue_finishes_its_job() {
    let place = Place::new().await;
    place.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    place.input.fail("set_visibility", usize::MAX, unreachable_queue);
    place.input.fail("delete", 1, unreachable_queue);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = place.start(Until::Stopped, &stop);
    place.until_job(|job| job.status == JobStatus::Completed).await;
    // The message is redelivered for a finished job and then deleted.
    place.clock.advance(Duration::from_secs(200));
    place.until(|place| place.input.calls("delete") >= 2).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(place.notifications().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_the_number_of_jobs_started_per_minute() {
    let place = Place::with(ProcessorConfig {
        jobs_per_minute: Some(1),
        ..ProcessorConfig::default()
    })
    .await;
    for count in [1, 2] {
        place
            .ask(&format!(
                r#"{{"version": 1, "source": {{"key": "v.mp4"}}, "selection": {{"count": {count}}}}}"#
            ))
            .await;
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let running = place.start(Until::Stopped, &stop);
    place.until_job(|job| job.status == JobStatus::Completed).await;
    place.until(|place| place.input.calls("delete") == 1).await;
    // The job would start immediately; by now other loops have run repeatedly.
    let rounds = place.repo.calls("take_outbox") + 5;
    place
        .until(|place| place.repo.calls("take_outbox") >= rounds)
        .await;
    assert_eq!(place.input.depth().await.unwrap().visible, 1);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_queue_is_polled_again() {
    let place = Place::new().await;
    place.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    place.input.fail("receive", 3, unreachable_queue);
    place.run(Until::Idle).await;
    assert_eq!(place.only_job().await.status, JobStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_wait_for_an_unavailable_notifier() {
    let place = Place::new().await;
    for number in 0..12 {
        place
            .ask(&format!(
                r#"{{"version": 1, "source": {{"key": "missing-{number}"}}}}"#
            ))
            .await;
    }
    place.notifier.fail("send", 3, unreachable_queue);
    place.notifier.refuse_the_first(2);
    place.run(Until::Idle).await;
    assert_eq!(place.repo.outbox_backlog().await.unwrap().pending, 0);
    assert_eq!(place.notifications().await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_store_failures_use_attempts_and_permanent_failures_fail_the_job() {
    for (failures, expected) in [(1, JobStatus::Completed), (usize::MAX, JobStatus::Failed)] {
        let place = Place::with(ProcessorConfig {
            retry: RetryPolicy {
                attempts: 3,
                first: Duration::from_millis(10),
                longest: Duration::from_millis(20),
            },
            ..ProcessorConfig::default()
        })
        .await;
        place.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
        place.storage.fail("open", failures, || io("v.mp4"));
        let stop = tokio_util::sync::CancellationToken::new();
        let running = place.start(Until::Idle, &stop);
        // Pauses between attempts follow the clock of the repository.
        let clock = Arc::clone(&place.clock);
        let ticking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
                clock.advance(Duration::from_millis(20));
            }
        });
        running.await.unwrap();
        ticking.abort();
        let job = place.only_job().await;
        assert_eq!(job.status, expected, "{job:?}");
        if expected == JobStatus::Failed {
            assert_eq!(
                (job.attempts, job.error_code.as_deref()),
                (3, Some("SOURCE_UNAVAILABLE"))
            );
        } else {
            assert_eq!(job.attempts, 2);
        }
        assert_eq!(place.notifications().await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_starts_while_the_store_is_unavailable() {
    let place = Place::with(ProcessorConfig {
        concurrency: 1,
        retry: RetryPolicy {
            attempts: 3,
            first: Duration::from_millis(10),
            longest: Duration::from_millis(10),
        },
        ..ProcessorConfig::default()
    })
    .await;
    for count in [1, 2, 3] {
        let selection = format!(r#"{{"count": {count}}}"#);
        place
            .ask(&format!(
                r#"{{"version": 1, "source": {{"key": "v.mp4"}}, "selection": {selection}}}"#
            ))
            .await;
    }
    for call in ["head", "open", "list"] {
        place.storage.fail(call, usize::MAX, || io("v.mp4"));
    }
    let away = async {
        let heads = place.storage.calls("head");
        place
            .until(|place| place.storage.calls("head") >= heads + 4)
            .await;
        let received = place.input.calls("receive");
        place
            .until(|place| place.storage.calls("head") >= heads + 6)
            .await;
        assert_eq!(place.input.calls("receive"), received, "nothing is begun");
        place.storage.heal();
    };
    tokio::join!(place.run(Until::Idle), away);
    let jobs = place.repo.list(&Default::default()).await.unwrap().jobs;
    assert_eq!(jobs.len(), 3);
    for job in jobs {
        assert_eq!(job.status, JobStatus::Completed);
        assert_eq!(job.attempts, 1, "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_replaced_during_the_extraction_has_no_result() {
    let place = Place::new().await;
    place.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    place.replace_when_read("v.mp4");
    place.run(Until::Idle).await;
    let job = place.only_job().await;
    assert_eq!(job.error_code.as_deref(), Some("INPUT_CHANGED"), "{job:?}");
    assert_eq!(place.storage.list("results/", None, 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_lease_does_not_remove_an_adopted_archive() {
    let place = Place::new().await;
    place.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    place.replace_when_read("v.mp4");
    place.repo.fail("finish", usize::MAX, unavailable);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = place.start(Until::Stopped, &stop);
    place.until(|place| place.repo.calls("finish") > 0).await;
    // The worker has found its source replaced, and would remove its archive if it still held the lease.
    let job = place.only_job().await.id;
    place.clock.advance(Duration::from_secs(200));
    let terms = ClaimTerms {
        lease: Duration::from_secs(90),
        crashes: 3,
    };
    let Claim::Claimed(lease, _) = place.repo.claim(job, "another", &terms).await.unwrap() else {
        panic!("its lease has run out");
    };
    let archives = place.storage.list("results/", None, 10).await.unwrap();
    let result = JobResult {
        bucket: None,
        key: archives[0].key.to_string(),
        size: 1,
        sha256: String::new(),
        frames: 1,
        partial: false,
        renditions: Vec::new(),
    };
    place.repo.heal();
    let adopted = Outcome::Completed(result.clone(), None);
    place.repo.finish(&lease, &adopted).await.unwrap();
    let tried = place.repo.calls("finish");
    place.until(|place| place.repo.calls("finish") > tried).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(place.only_job().await.result, Some(result));
    assert_eq!(place.storage.list("results/", None, 10).await.unwrap(), archives);
}

#[tokio::test(flavor = "multi_thread")]
async fn adopts_an_archive_of_an_earlier_attempt_but_no_foreign_archive() {
    let place = Place::new().await;
    let message = r#"{"version": 1, "source": {"key": "v.mp4"}, "output": {"key": "out.zip"}}"#;
    place.ask(message).await;
    // The outcome of the first attempt is not stored, and its lease expires.
    place.repo.fail("finish", usize::MAX, unavailable);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = place.start(Until::Stopped, &stop);
    place.until(|place| place.repo.calls("finish") > 0).await;
    running.abort();
    place.repo.heal();
    place.clock.advance(Duration::from_secs(200));
    place.run(Until::Idle).await;
    let job = place.only_job().await;
    assert_eq!(
        (job.status, job.lease_epoch.0),
        (JobStatus::Completed, 2),
        "{job:?}"
    );
    assert_eq!(place.storage.calls("create"), 1, "it was extracted once");

    let other = r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"count": 1}, "output": {"key": "out.zip"}}"#;
    place.ask(other).await;
    place.run(Until::Idle).await;
    let jobs = place.repo.list(&Default::default()).await.unwrap().jobs;
    assert_eq!(jobs[0].error_code.as_deref(), Some("OUTPUT_EXISTS"));
}
