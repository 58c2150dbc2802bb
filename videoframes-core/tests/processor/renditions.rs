//! Compressed videos of jobs.

use serde_json::json;
use videoframes_core::jobs::{JobRepo, JobStatus};
use videoframes_core::processor::Until;
use videoframes_core::storage::{ObjectKey, Storage};

use crate::setup::Setup;
use crate::unavailable;

/// Returns the objects in the store other than the source.
async fn results(setup: &Setup) -> Vec<String> {
    let objects = setup.storage.list("out", None, 100).await.unwrap();
    objects.into_iter().map(|object| object.key.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_leaves_no_objects_at_requested_keys() {
    let setup = Setup::new().await;
    let ask = |renditions| {
        json!({"version": 1, "source": {"key": "v.mp4"}, "selection": {"count": 1},
               "output": {"key": "out.zip"}, "renditions": renditions})
        .to_string()
    };
    let theirs: ObjectKey = "out.3.mp4".parse().unwrap();
    setup.store(theirs.as_str(), "testsrc2=s=160x90:r=10:d=1").await;
    setup
        .ask(&ask(json!([{}, {"max_bytes": 1}, {"optional": true}])))
        .await;
    setup.run(Until::Idle).await;
    let failed = setup.only_job().await;
    assert_eq!(failed.status, JobStatus::Failed, "{failed:?}");
    assert_eq!(
        results(&setup).await,
        [theirs.as_str()],
        "objects of other jobs are kept"
    );

    setup.storage.delete(&theirs).await.unwrap();
    setup.ask(&ask(json!([{}, {"max_bytes": 1}]))).await;
    // The failure is stored, but the response to the worker is lost.
    setup.repo.lose_answer("finish", 1, unavailable);
    setup.run(Until::Idle).await;
    let jobs = setup.repo.list(&Default::default()).await.unwrap().jobs;
    let failed = jobs.iter().find(|job| job.id != failed.id).unwrap();
    assert_eq!(
        failed.error_code.as_deref(),
        Some("RENDITION_FAILED"),
        "{failed:?}"
    );
    assert_eq!(results(&setup).await, [] as [&str; 0]);

    setup
        .ask(&ask(json!([{}, {"max_bytes": 1, "optional": true}])))
        .await;
    setup.run(Until::Idle).await;
    let jobs = setup.repo.list(&Default::default()).await.unwrap().jobs;
    assert!(
        jobs.iter().any(|job| job.status == JobStatus::Completed),
        "{jobs:?}"
    );
    assert_eq!(results(&setup).await, ["out.1.mp4", "out.zip"]);
}
