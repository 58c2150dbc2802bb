//! Restored databases, and jobs whose rows a restored database lost.

use std::sync::Arc;
use std::time::Duration;

use videoframes_core::jobs::{JobMessage, JobRecord, JobRepo, JobStatus, VideoJob};
use videoframes_core::processor::{ReconcileOptions, Reconciler, Until};
use videoframes_core::queue::Queue;
use videoframes_core::storage::{ObjectVersion, PutOptions, Storage, Stores};

use crate::setup::Setup;

const DAY: Duration = Duration::from_secs(24 * 3600);
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// Submits a job elsewhere, and returns its message for a database that does not have the job.
async fn lost_message(setup: &Setup) -> (VideoJob, String) {
    let elsewhere = Setup::new().await;
    elsewhere.clock.advance(DAY * 100);
    setup.clock.advance(DAY * 100);
    elsewhere
        .ask(r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"count": 2}, "client_metadata": "ü"}"#)
        .await;
    elsewhere.run(Until::Idle).await;
    let mut job = elsewhere.only_job().await;
    job.generation = 1;
    let body = JobMessage::known(&job, job.created_at);
    (job, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_row_is_rebuilt_from_its_young_message() {
    let setup = Setup::new().await;
    let (lost, body) = lost_message(&setup).await;
    setup.clock.advance(RETENTION - DAY);
    setup.ask(&body).await;
    setup.ask(&body).await;
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!((job.id, job.status), (lost.id, JobStatus::Completed), "{job:?}");
    assert_eq!(JobRecord::of(&job), JobRecord::of(&lost));
    let notifications = setup.notifications().await;
    assert_eq!(notifications.len(), 1);
    assert_eq!(notifications[0]["data"]["generation"], 1);
    assert_eq!(notifications[0]["data"]["client_metadata"], "ü");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_older_than_the_retention_rebuilds_no_row() {
    let setup = Setup::new().await;
    let (_, body) = lost_message(&setup).await;
    setup.clock.advance(RETENTION + DAY);
    setup.ask(&body).await;
    setup.run(Until::Idle).await;
    assert_eq!(setup.repo.list(&Default::default()).await.unwrap().jobs, []);
    let depth = setup.input.depth().await.unwrap();
    assert_eq!(depth, Default::default(), "the message is deleted");
}

fn reconciler(setup: &Setup, options: ReconcileOptions) -> Reconciler {
    Reconciler::new(setup.repo.clone(), Stores::one(setup.storage.clone()), options)
}

/// Completes a job in a setup, and returns a setup with the same store and an empty database.
async fn without_rows(message: &str) -> (VideoJob, Setup) {
    let before = Setup::new().await;
    before.ask(message).await;
    before.run(Until::Idle).await;
    let job = before.only_job().await;
    assert_eq!(job.status, JobStatus::Completed);
    let mut after = Setup::new().await;
    after.storage = Arc::clone(&before.storage);
    (job, after)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_job_without_a_row_is_rebuilt_from_its_archive() {
    let (lost, setup) =
        without_rows(r#"{"version": 1, "source": {"key": "v.mp4"}, "client_metadata": {"a": "ü"}}"#).await;
    let options = ReconcileOptions::new(RETENTION);
    let dry = reconciler(&setup, options.clone().dry_run(true))
        .run()
        .await
        .unwrap();
    assert_eq!((dry.rebuilt.as_slice(), dry.accepted), (&[lost.id][..], None));
    assert_eq!(setup.repo.get(lost.id).await.unwrap(), None);
    for rebuilt in [&[lost.id][..], &[]] {
        let report = reconciler(&setup, options.clone()).run().await.unwrap();
        assert_eq!(report.rebuilt, rebuilt);
        assert!(report.is_complete(), "{report:?}");
    }
    let job = setup.only_job().await;
    assert_eq!((job.status, &job.result), (JobStatus::Completed, &lost.result));
    assert_eq!(JobRecord::of(&job), JobRecord::of(&lost));
    setup.run(Until::Idle).await;
    assert_eq!(setup.notifications().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_at_a_key_of_the_client_is_found_by_its_prefix() {
    let message = r#"{"version": 1, "source": {"key": "v.mp4"}, "output": {"key": "out/a.zip"}}"#;
    let (lost, setup) = without_rows(message).await;
    let options = ReconcileOptions::new(RETENTION);
    let report = reconciler(&setup, options.clone()).run().await.unwrap();
    assert_eq!(report.rebuilt, []);
    let options = options.prefixes(["out/".to_owned()]);
    let report = reconciler(&setup, options).run().await.unwrap();
    assert_eq!(report.rebuilt, [lost.id]);
    assert_eq!(setup.only_job().await.result, lost.result);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_and_unknown_archives_rebuild_no_rows() {
    let (lost, setup) = without_rows(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    let report = reconciler(&setup, ReconcileOptions::new(Duration::ZERO))
        .run()
        .await
        .unwrap();
    assert_eq!(
        (report.rebuilt.as_slice(), report.problems.as_slice()),
        (&[][..], &[][..])
    );
    let key = "results/ffffffff-ffff-7fff-bfff-ffffffffffff/1.zip"
        .parse()
        .unwrap();
    let sink = setup.storage.create(&key, &PutOptions::default()).await.unwrap();
    sink.finish().await.unwrap();
    let report = reconciler(&setup, ReconcileOptions::new(RETENTION))
        .run()
        .await
        .unwrap();
    assert_eq!(report.rebuilt, [lost.id]);
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert!(!report.is_complete());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_job_without_its_archive_is_reported() {
    let setup = Setup::new().await;
    setup.ask(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    let key = job.result.unwrap().key.parse().unwrap();
    setup.storage.delete(&key).await.unwrap();
    let report = reconciler(&setup, ReconcileOptions::new(RETENTION))
        .run()
        .await
        .unwrap();
    assert_eq!(report.missing_archives, [job.id]);
    assert_eq!(setup.storage.head(&key, &ObjectVersion::CURRENT).await.ok(), None);
}
