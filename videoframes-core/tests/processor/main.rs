//! The processor with faulty databases, queues and stores.
#![allow(clippy::unwrap_used)]

mod events;
mod faulty;
mod outages;
mod outputs;
mod renditions;
mod restore;
mod setup;
mod tenants;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use setup::{Setup, short_timing};
use videoframes_core::jobs::{
    AttemptOutcome, Claim, ClaimTerms, JobRepo, JobRepoError, JobResult, JobStatus, Outcome, Stage,
};
use videoframes_core::processor::{ProcessorConfig, RetryPolicy, Until};
use videoframes_core::queue::{Queue, QueueError};
use videoframes_core::storage::{Storage, StorageError};

fn unavailable() -> JobRepoError {
    JobRepoError::Unavailable {
        action: "reach the database",
        source: "unavailable".into(),
    }
}

fn unreachable_queue() -> QueueError {
    QueueError::Unavailable {
        action: "reach",
        queue: "input".to_owned(),
        source: "unavailable".into(),
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
    let setup = Setup::new().await;
    setup
        .ask(r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"count": 2}}"#)
        .await;
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!(job.status, JobStatus::Completed, "{job:?}");
    let result = job.result.unwrap();
    assert_eq!(result.frames, 2);
    let notifications = setup.notifications().await;
    assert_eq!(notifications.len(), 1);
    assert_eq!(notifications[0]["data"]["result"]["sha256"], result.sha256);
    assert_eq!(
        setup.input.depth().await.unwrap(),
        Default::default(),
        "the message is deleted"
    );
    let history = setup.repo.attempts(job.id).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].outcome, Some(AttemptOutcome::Completed));
    let stages: Vec<Stage> = history[0].stages.iter().map(|stage| stage.stage).collect();
    assert_eq!(stages, [Stage::Prepare, Stage::Extract, Stage::Commit]);
    assert!(history[0].stages[1].duration_ms > 0, "{history:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_that_cannot_be_recorded_do_not_affect_the_job() {
    let setup = Setup::new().await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup.repo.fail("record_stages", usize::MAX, unavailable);
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!((job.status, job.attempts), (JobStatus::Completed, 1));
    assert_eq!(setup.input.depth().await.unwrap(), Default::default());
    assert_eq!(setup.repo.calls("record_stages"), 1, "one call per attempt");
    assert_eq!(setup.repo.attempts(job.id).await.unwrap()[0].stages, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_database_at_the_claim_pauses_polling_without_dead_lettering() {
    let setup = Setup::new().await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup.repo.fail("claim", 3, unavailable);
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!((job.status, job.attempts), (JobStatus::Completed, 1));
    assert_eq!(setup.dead_letter_queue.depth().await.unwrap().visible, 0);
    assert!(setup.repo.calls("claim") >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_database_at_submission_loses_no_message() {
    let setup = Setup::new().await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup.repo.fail("submit", 2, unavailable);
    setup.run(Until::Stopped).await;
    assert_eq!(setup.only_job().await.status, JobStatus::Completed);
    assert_eq!(setup.dead_letter_queue.depth().await.unwrap().visible, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_with_a_lost_response_is_not_repeated() {
    let setup = Setup::new().await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup.repo.lose_answer("finish", 1, unavailable);
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!((job.status, job.attempts), (JobStatus::Completed, 1));
    assert_eq!(setup.notifications().await.len(), 1);
    assert_eq!(
        setup.input.depth().await.unwrap(),
        Default::default(),
        "the message is deleted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporarily_failing_commit_is_retried() {
    let setup = Setup::new().await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup.repo.fail("finish", 2, unavailable);
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!(
        (job.status, job.attempts, job.crash_count),
        (JobStatus::Completed, 1, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_database_stops_before_its_lease_expires() {
    let setup = Setup::with(ProcessorConfig::default().timing(short_timing())).await;
    setup.store("long.mp4", "testsrc2=s=1280x720:r=30:d=20").await;
    setup.ask(r#"{"version": 1, "source": {"key": "long.mp4"}, "selection": {"all": true}, "picture": {"format": "png"}}"#)
        .await;
    for call in ["renew", "release", "finish"] {
        setup.repo.fail(call, usize::MAX, unavailable);
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let running = setup.start(Until::Stopped, &stop);
    setup.until(|setup| setup.repo.calls("renew") >= 2).await;
    let lease = short_timing().lease;
    let since = std::time::Instant::now();
    // The extraction was stopped: its partial output is removed, and no outcome is stored.
    setup
        .until(|setup| setup.extractions.load(Ordering::SeqCst) == 0)
        .await;
    assert!(since.elapsed() < lease * 3, "{:?}", since.elapsed());
    let job = setup.only_job().await;
    assert_eq!(job.status, JobStatus::Processing);
    stop.cancel();
    running.await.unwrap();
    assert_eq!(setup.storage.list("results/", None, 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_store_does_not_answer_can_be_cancelled() {
    let setup = Setup::with(ProcessorConfig::default().timing(short_timing())).await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup
        .storage
        .after_open(Box::new(|| Box::pin(std::future::pending())));
    setup
        .run_during(async {
            setup.until(|setup| setup.storage.calls("open") == 1).await;
            let job = setup.only_job().await;
            setup.repo.cancel(job.id).await.unwrap();
            setup.until_job(|job| job.status == JobStatus::Cancelled).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_releases_its_job_when_the_database_is_back() {
    let setup = Setup::with(ProcessorConfig::default().timing(short_timing())).await;
    setup.store("long.mp4", "testsrc2=s=1280x720:r=30:d=20").await;
    setup
        .ask(r#"{"version": 1, "source": {"key": "long.mp4"}, "selection": {"all": true}, "picture": {"format": "png"}}"#)
        .await;
    for call in ["renew", "release", "finish"] {
        setup.repo.fail(call, usize::MAX, unavailable);
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let running = setup.start(Until::Stopped, &stop);
    setup.until(|setup| setup.repo.calls("release") >= 2).await;
    assert_eq!(setup.extractions.load(Ordering::SeqCst), 0);
    setup.repo.heal();
    // The clock of the repository stands still, so the lease does not expire, and only its holder can release it.
    setup.until_job(|job| job.lease_epoch.get() == 2).await;
    let job = setup.only_job().await;
    assert_eq!(
        (job.attempts, job.crash_count),
        (1, 0),
        "no worker crashed: {job:?}"
    );
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_with_a_lost_response_counts_neither_as_attempt_nor_as_crash() {
    let setup = Setup::new().await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup.repo.lose_answer("claim", 2, unavailable);
    // An unknown lease would last longer than the test waits.
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!(
        (job.status, job.lease_epoch.get()),
        (JobStatus::Completed, 1),
        "{job:?}"
    );
    assert_eq!((job.attempts, job.crash_count), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_replaced_between_deliveries_causes_no_second_job() {
    let setup = Setup::new().await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup.repo.lose_answer("submit", 1, unavailable);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = setup.start(Until::Stopped, &stop);
    setup.until(|setup| setup.repo.calls("submit") == 1).await;
    setup.replace("v.mp4").await;
    setup.clock.advance(Duration::from_secs(200));
    setup.until_job(|job| job.status.is_terminal()).await;
    stop.cancel();
    running.await.unwrap();
    setup.only_job().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_contains_its_bucket() {
    let setup = Setup::in_bucket("results-bucket").await;
    setup
        .ask(r#"{"version": 1, "source": {"key": "v.mp4"}, "output": {"key": "out.zip"}}"#)
        .await;
    // The first archive is adopted, since its outcome is not stored.
    setup.repo.fail("finish", usize::MAX, unavailable);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = setup.start(Until::Stopped, &stop);
    setup.until(|setup| setup.repo.calls("finish") > 0).await;
    running.abort();
    setup.repo.heal();
    setup.clock.advance(Duration::from_secs(200));
    setup
        .ask(r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"count": 1}}"#)
        .await;
    setup.run(Until::Idle).await;
    let notifications = setup.notifications().await;
    assert_eq!(notifications.len(), 2);
    for event in notifications {
        assert_eq!(event["data"]["result"]["bucket"], "results-bucket", "{event}");
        assert_eq!(event["data"]["result"]["sha256"].as_str().unwrap().len(), 64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_even_if_it_cannot_release_its_job() {
    let setup =
        Setup::with(ProcessorConfig::default().timing(short_timing().drain(Duration::from_millis(100))))
            .await;
    setup.store("long.mp4", "testsrc2=s=1280x720:r=30:d=20").await;
    setup
        .ask(r#"{"version": 1, "source": {"key": "long.mp4"}, "selection": {"all": true}, "picture": {"format": "png"}}"#)
        .await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = setup.start(Until::Stopped, &stop);
    setup
        .until(|setup| setup.extractions.load(Ordering::SeqCst) == 1)
        .await;
    for call in ["renew", "release", "finish"] {
        setup.repo.fail(call, usize::MAX, unavailable);
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), running)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(setup.extractions.load(Ordering::SeqCst), 0);
    assert_eq!(setup.only_job().await.status, JobStatus::Processing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_queue_finishes_its_job() {
    let setup = Setup::new().await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup.input.fail("set_visibility", usize::MAX, unreachable_queue);
    setup.input.fail("delete", 1, unreachable_queue);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = setup.start(Until::Stopped, &stop);
    setup.until_job(|job| job.status == JobStatus::Completed).await;
    // The message is redelivered for a finished job and then deleted.
    setup.clock.advance(Duration::from_secs(200));
    setup.until(|setup| setup.input.calls("delete") >= 2).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(setup.notifications().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_the_number_of_jobs_started_per_minute() {
    let setup = Setup::with(ProcessorConfig::default().jobs_per_minute(1)).await;
    for count in [1, 2] {
        setup
            .ask(&format!(
                r#"{{"version": 1, "source": {{"key": "v.mp4"}}, "selection": {{"count": {count}}}}}"#
            ))
            .await;
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let running = setup.start(Until::Stopped, &stop);
    setup.until_job(|job| job.status == JobStatus::Completed).await;
    setup.until(|setup| setup.input.calls("delete") == 1).await;
    // The job would start immediately; by now other loops have run repeatedly.
    let rounds = setup.repo.calls("take_outbox") + 5;
    setup
        .until(|setup| setup.repo.calls("take_outbox") >= rounds)
        .await;
    assert_eq!(setup.input.depth().await.unwrap().visible, 1);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_queue_is_polled_again() {
    let setup = Setup::new().await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup.input.fail("receive", 3, unreachable_queue);
    setup.run(Until::Idle).await;
    assert_eq!(setup.only_job().await.status, JobStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_wait_for_an_unavailable_notifier() {
    let setup = Setup::new().await;
    for number in 0..12 {
        setup
            .ask(&format!(
                r#"{{"version": 1, "source": {{"key": "missing-{number}"}}}}"#
            ))
            .await;
    }
    setup.notifier.fail("send", 3, unreachable_queue);
    setup.notifier.refuse_the_first(2);
    setup.run(Until::Idle).await;
    assert_eq!(setup.repo.outbox_backlog().await.unwrap().pending, 0);
    assert_eq!(setup.notifications().await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_store_failures_use_attempts_and_permanent_failures_fail_the_job() {
    for (failures, expected) in [(1, JobStatus::Completed), (usize::MAX, JobStatus::Failed)] {
        let setup = Setup::with(
            ProcessorConfig::default().retry(
                RetryPolicy::default()
                    .attempts(3)
                    .first(Duration::from_millis(10))
                    .longest(Duration::from_millis(20)),
            ),
        )
        .await;
        setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
        setup.storage.fail("open", failures, || io("v.mp4"));
        let stop = tokio_util::sync::CancellationToken::new();
        let running = setup.start(Until::Idle, &stop);
        // Pauses between attempts follow the clock of the repository.
        let clock = Arc::clone(&setup.clock);
        let ticking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
                clock.advance(Duration::from_millis(20));
            }
        });
        running.await.unwrap();
        ticking.abort();
        let job = setup.only_job().await;
        assert_eq!(job.status, expected, "{job:?}");
        if expected == JobStatus::Failed {
            assert_eq!(
                (job.attempts, job.error_code.as_deref()),
                (3, Some("SOURCE_UNAVAILABLE"))
            );
        } else {
            assert_eq!(job.attempts, 2);
        }
        assert_eq!(setup.notifications().await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_starts_while_the_store_is_unavailable() {
    let setup = Setup::with(
        ProcessorConfig::default().concurrency(1).retry(
            RetryPolicy::default()
                .attempts(3)
                .first(Duration::from_millis(10))
                .longest(Duration::from_millis(10)),
        ),
    )
    .await;
    for count in [1, 2, 3] {
        let selection = format!(r#"{{"count": {count}}}"#);
        setup
            .ask(&format!(
                r#"{{"version": 1, "source": {{"key": "v.mp4"}}, "selection": {selection}}}"#
            ))
            .await;
    }
    for call in ["head", "open", "list"] {
        setup.storage.fail(call, usize::MAX, || io("v.mp4"));
    }
    let away = async {
        let heads = setup.storage.calls("head");
        setup
            .until(|setup| setup.storage.calls("head") >= heads + 4)
            .await;
        let received = setup.input.calls("receive");
        setup
            .until(|setup| setup.storage.calls("head") >= heads + 6)
            .await;
        assert_eq!(setup.input.calls("receive"), received, "nothing is begun");
        setup.storage.heal();
    };
    tokio::join!(setup.run(Until::Idle), away);
    let jobs = setup.repo.list(&Default::default()).await.unwrap().jobs;
    assert_eq!(jobs.len(), 3);
    for job in jobs {
        assert_eq!(job.status, JobStatus::Completed);
        assert_eq!(job.attempts, 1, "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_replaced_during_the_extraction_has_no_result() {
    let setup = Setup::new().await;
    let request = r#"{"version": 1, "source": {"key": "v.mp4"}, "outputs": {"storyboard": {}, "sheet": {}}}"#;
    setup.ask(request).await;
    setup.replace_when_read("v.mp4");
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!(job.error_code.as_deref(), Some("INPUT_CHANGED"), "{job:?}");
    assert_eq!(setup.storage.list("results/", None, 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_lease_does_not_remove_an_adopted_archive() {
    let setup = Setup::new().await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup.replace_when_read("v.mp4");
    setup.repo.fail("finish", usize::MAX, unavailable);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = setup.start(Until::Stopped, &stop);
    setup.until(|setup| setup.repo.calls("finish") > 0).await;
    // The worker has found its source replaced, and would remove its archive if it still held the lease.
    let job = setup.only_job().await.id;
    setup.clock.advance(Duration::from_secs(200));
    let terms = ClaimTerms {
        lease: Duration::from_secs(90),
        crashes: 3,
        revision: None,
    };
    let Claim::Claimed(lease, _) = setup.repo.claim(job, "another", &terms).await.unwrap() else {
        panic!("the lease has expired");
    };
    let archives = setup.storage.list("results/", None, 10).await.unwrap();
    let result = JobResult {
        bucket: None,
        key: archives[0].key.to_string(),
        size: 1,
        sha256: String::new(),
        frames: 1,
        partial: false,
        renditions: Vec::new(),
        outputs: Vec::new(),
    };
    setup.repo.heal();
    let adopted = Outcome::Completed(result.clone(), None);
    setup.repo.finish(&lease, &adopted).await.unwrap();
    let tried = setup.repo.calls("finish");
    setup.until(|setup| setup.repo.calls("finish") > tried).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(setup.only_job().await.result, Some(result));
    assert_eq!(setup.storage.list("results/", None, 10).await.unwrap(), archives);
}

#[tokio::test(flavor = "multi_thread")]
async fn adopts_an_archive_of_an_earlier_attempt_but_no_foreign_archive() {
    let setup = Setup::new().await;
    let message = r#"{"version": 1, "source": {"key": "v.mp4"}, "output": {"key": "out.zip"}}"#;
    setup.ask(message).await;
    // The outcome of the first attempt is not stored, and its lease expires.
    setup.repo.fail("finish", usize::MAX, unavailable);
    let stop = tokio_util::sync::CancellationToken::new();
    let running = setup.start(Until::Stopped, &stop);
    setup.until(|setup| setup.repo.calls("finish") > 0).await;
    running.abort();
    setup.repo.heal();
    setup.clock.advance(Duration::from_secs(200));
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!(
        (job.status, job.lease_epoch.get()),
        (JobStatus::Completed, 2),
        "{job:?}"
    );
    assert_eq!(setup.storage.calls("create"), 1, "the source was extracted once");

    let other = r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"count": 1}, "output": {"key": "out.zip"}}"#;
    setup.ask(other).await;
    setup.run(Until::Idle).await;
    let jobs = setup.repo.list(&Default::default()).await.unwrap().jobs;
    assert_eq!(jobs[0].error_code.as_deref(), Some("OUTPUT_EXISTS"));
}
