//! Restored databases, and jobs whose rows a restored database lost.

use std::sync::Arc;
use std::time::Duration;

use videoframes_core::jobs::{JobMessage, JobRecord, JobRepo, JobStatus, VideoJob};
use videoframes_core::processor::{ReconcileOptions, ReconcileReport, Reconciler, Until};
use videoframes_core::queue::Queue;
use videoframes_core::storage::{
    IfExists, ObjectKey, ObjectVersion, PutOptions, Storage, StorageError, Stores,
};

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

async fn reconcile(setup: &Setup) -> ReconcileReport {
    let reconciler = reconciler(setup, ReconcileOptions::new(RETENTION));
    reconciler.run().await.unwrap()
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
    let report = reconcile(&setup).await;
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
    let report = reconcile(&setup).await;
    assert_eq!(report.missing_archives, [job.id]);
    assert_eq!(setup.storage.head(&key, &ObjectVersion::CURRENT).await.ok(), None);
}

/// Fails a job, retries the job until it completes, and returns the completed job with its notification, and a setup with
/// the same objects and an empty database.
async fn retried_elsewhere(message: &str) -> (VideoJob, serde_json::Value, Setup) {
    let before = Setup::new().await;
    before.ask(message).await;
    before.run(Until::Idle).await;
    let failed = before.only_job().await;
    assert_eq!(failed.status, JobStatus::Failed);
    before.store("later.mp4", "testsrc2=s=160x90:r=10:d=1").await;
    before.repo.retry(failed.id).await.unwrap();
    before.run(Until::Idle).await;
    let job = before.only_job().await;
    assert_eq!((job.status, job.generation), (JobStatus::Completed, 1));
    let notifications = before.notifications().await;
    let completed = notifications
        .into_iter()
        .find(|event| event["data"]["status"] == "completed");
    let mut after = Setup::new().await;
    after.storage = Arc::clone(&before.storage);
    (job, completed.unwrap(), after)
}

/// Inserts the row of a job as it was before its retry, and ends it if `failed`.
async fn before_retry(setup: &Setup, job: &VideoJob, failed: bool) {
    let mut record = JobRecord::of(job).unwrap();
    record.generation = 0;
    setup.repo.rebuild(job.id, &record, None).await.unwrap();
    if failed {
        setup.repo.cancel(job.id).await.unwrap();
    }
}

const RETRIED: [&str; 2] = [
    r#"{"version": 1, "source": {"key": "later.mp4"}}"#,
    r#"{"version": 1, "source": {"key": "later.mp4"}, "output": {"key": "out/a.zip"}}"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_retry_is_reported_under_its_old_id() {
    for message in RETRIED {
        for failed in [false, true] {
            let (lost, notification, setup) = retried_elsewhere(message).await;
            before_retry(&setup, &lost, failed).await;
            let report = reconcile(&setup).await;
            assert_eq!(
                (report.retried.len(), report.adoptable),
                (usize::from(failed), u64::from(!failed))
            );
            assert_eq!(report.unfinished, u64::from(!failed));
            setup.run(Until::Idle).await;
            let job = setup.only_job().await;
            assert_eq!((job.generation, &job.result), (1, &lost.result), "{job:?}");
            let ids: Vec<_> = setup
                .notifications()
                .await
                .into_iter()
                .map(|event| event["id"].clone())
                .collect();
            assert_eq!(ids.last(), Some(&notification["id"]), "{message} {failed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_retry_without_a_record_is_listed() {
    for message in RETRIED {
        let (lost, _, setup) = retried_elsewhere(message).await;
        before_retry(&setup, &lost, true).await;
        let key = lost.result.as_ref().unwrap().key.parse().unwrap();
        rewrite(&setup, &key, &key, |name| name != "vf-request").await;
        let problems = async || {
            let report = reconcile(&setup).await;
            assert_eq!(report.retried, []);
            report.problems
        };
        // Nothing shows a restore: a worker was too late.
        assert_eq!(problems().await, []);
        let found = problems().await;
        assert_eq!(found.len(), 1, "the first run accepted a restore");
        assert_eq!(
            (found[0].job, found[0].key.as_deref()),
            (lost.id, Some(key.as_str()))
        );
        setup.repo.retry(lost.id).await.unwrap();
        setup.run(Until::Idle).await;
        assert_eq!(
            setup.only_job().await.result,
            lost.result,
            "a retry adopts the archive"
        );
    }
}

/// Writes a copy of an object with some of its metadata.
async fn rewrite(setup: &Setup, from: &ObjectKey, to: &ObjectKey, keep: impl Fn(&str) -> bool) {
    let opened = setup.storage.open(from, &ObjectVersion::CURRENT).await.unwrap();
    let length = usize::try_from(opened.source.len()).unwrap();
    let bytes = opened.source.read_at(0, length).await.unwrap();
    let mut options = PutOptions::from(IfExists::Replace);
    options.metadata = opened.info.metadata;
    options.metadata.retain(|name, _| keep(name));
    let mut sink = setup.storage.create(to, &options).await.unwrap();
    sink.write(bytes).await.unwrap();
    sink.finish().await.unwrap();
}

/// Returns a job with archives of the claims 9 and 10, of which the later claim wrote first, and a setup with the archives.
async fn two_archives() -> (VideoJob, String, Setup) {
    let (lost, setup) = without_rows(r#"{"version": 1, "source": {"key": "v.mp4"}}"#).await;
    let first = lost.result.as_ref().unwrap().key.parse().unwrap();
    let key = |epoch| format!("results/{}/{epoch}.zip", lost.id);
    for epoch in [10, 9] {
        rewrite(&setup, &first, &key(epoch).parse().unwrap(), |_| true).await;
    }
    setup.storage.delete(&first).await.unwrap();
    let latest = key(10);
    (lost, latest, setup)
}

fn unavailable() -> StorageError {
    StorageError::Io {
        action: "read",
        name: "k".to_owned(),
        source: std::io::ErrorKind::TimedOut.into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_store_ends_a_reconciliation_and_accepts_nothing() {
    let (lost, latest, setup) = two_archives().await;
    for call in ["head", "open", "list"] {
        setup.storage.fail(call, 1, unavailable);
        let answer = reconciler(&setup, ReconcileOptions::new(RETENTION)).run().await;
        assert!(answer.is_err(), "{call}: {answer:?}");
        assert_eq!(setup.repo.get(lost.id).await.unwrap(), None, "{call}");
        assert_eq!(
            setup.repo.restore_mark().await.unwrap().mark.generation,
            0,
            "{call}"
        );
    }
    let report = reconcile(&setup).await;
    assert_eq!((report.rebuilt, report.problems), (vec![lost.id], vec![]));
    assert_eq!(setup.only_job().await.result.unwrap().key, latest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_adopts_the_archive_that_a_reconciliation_chooses() {
    for outage in [false, true] {
        let (lost, latest, setup) = two_archives().await;
        let record = JobRecord::of(&lost).unwrap();
        setup.repo.rebuild(lost.id, &record, None).await.unwrap();
        reconcile(&setup).await;
        if outage {
            setup.storage.fail("open", 1, unavailable);
        }
        setup.run(Until::Idle).await;
        assert_eq!(setup.only_job().await.result.unwrap().key, latest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_archive_is_replaced_by_an_earlier_one() {
    let (lost, latest, setup) = two_archives().await;
    let mut sink = setup
        .storage
        .create(&latest.parse().unwrap(), &{
            let mut options = PutOptions::from(IfExists::Replace);
            let found = setup
                .storage
                .head(&latest.parse().unwrap(), &ObjectVersion::CURRENT)
                .await;
            options.metadata = found.unwrap().metadata;
            options
        })
        .await
        .unwrap();
    sink.write("no archive".into()).await.unwrap();
    sink.finish().await.unwrap();
    let report = reconcile(&setup).await;
    assert_eq!(report.rebuilt, [lost.id]);
    assert_eq!(
        setup.only_job().await.result.unwrap().key,
        latest.replace("10.zip", "9.zip")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_reads_no_archives() {
    let (lost, _, setup) = two_archives().await;
    let lists = setup.storage.calls("list");
    let accepted = reconciler(&setup, ReconcileOptions::new(RETENTION))
        .accept()
        .await
        .unwrap();
    assert_eq!(accepted.mark.generation, 1);
    assert_eq!(setup.storage.calls("list"), lists);
    assert_eq!(setup.repo.get(lost.id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_lost_retry_retries_the_job() {
    let (lost, notification, setup) = retried_elsewhere(RETRIED[0]).await;
    before_retry(&setup, &lost, true).await;
    setup.run(Until::Idle).await;
    assert_eq!(setup.only_job().await.status, JobStatus::Cancelled);
    let body = JobMessage::known(&lost, lost.created_at);
    for _ in 0..2 {
        setup.ask(&body).await;
    }
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!((job.status, job.generation), (JobStatus::Completed, 1));
    let notifications = setup.notifications().await;
    assert_eq!(notifications.len(), 2, "{notifications:?}");
    assert_eq!(notifications[1]["id"], notification["id"]);
}
