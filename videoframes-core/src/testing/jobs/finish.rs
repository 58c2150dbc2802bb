//! Completion: a job ends once, with one notification.

use std::sync::Arc;

use serde_json::{Value, json};

use super::harness::{
    HOUR, JobRepoHarness, LEASE, MINUTE, Subject, about, cancelled, completed, completed_work, failed,
    new_job, parsed, result,
};
use crate::jobs::{
    ErrorCode, JobError, JobProgress, JobRepoError, JobResult, JobStatus, NewJob, Outcome, Stage, WorkHash,
};
use crate::tenant::Priority;

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    a_completed_job_has_its_result(harness).await;
    a_job_without_result_has_an_error(harness).await;
    the_notification_contains_the_outcome(harness).await;
    one_of_many_finishes_wins(harness).await;
    the_latest_result_of_the_same_work_is_found(harness).await;
    results_are_found_by_their_keys(harness).await;
}

async fn a_completed_job_has_its_result(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    let error = JobError::new(ErrorCode::SourceUnavailable, "503");
    let given = on.repo.retry_later(&lease, &error, MINUTE).await;
    assert!(given.is_ok(), "{given:?}");
    on.advance(MINUTE * 2).await;
    let lease = on.claim(id).await;
    let progress = JobProgress {
        stage: Stage::Commit,
        frames_done: 120,
        frames_total: 120,
    };
    let renewed = on.repo.renew(&lease, LEASE, progress).await;
    assert!(renewed.is_ok(), "{renewed:?}");

    let job = on.finish(&lease, &completed("a.zip")).await;
    assert_eq!(job, on.get(id).await, "finishing returns the job");
    assert_eq!(job.status, JobStatus::Completed);
    assert_eq!(job.result, Some(result("a.zip")));
    assert_eq!(job.error(), None, "earlier errors are cleared");
    assert_eq!((job.error_code, job.error_message), (None, None));
    let finished = job.finished_at.expect("a time");
    about(finished.since(job.created_at), MINUTE * 3);
    assert_eq!((job.lease_owner, job.lease_expires_at), (None, None));
    assert_eq!((job.stage, job.next_attempt_at), (None, None));
    assert_eq!((job.attempts, job.lease_epoch), (2, lease.epoch));
    on.one_notification(id).await;
    let again = on.repo.finish(&lease, &completed("a.zip")).await;
    assert!(matches!(again, Err(JobRepoError::LeaseLost)), "{again:?}");
    on.outbox_is_empty("a second finish sends no message").await;
}

async fn a_job_without_result_has_an_error(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for (key, outcome, status) in [
        ("a", failed(), JobStatus::Failed),
        ("b", cancelled(), JobStatus::Cancelled),
    ] {
        let (id, lease) = on.claimed(key).await;
        let job = on.finish(&lease, &outcome).await;
        assert_eq!(job, on.get(id).await);
        assert_eq!((job.status, &job.result), (status, &None));
        let (Outcome::Failed(error) | Outcome::Cancelled(error)) = outcome else {
            unreachable!("neither outcome is completed");
        };
        assert_eq!(job.error(), Some(error));
        assert!(job.finished_at.is_some());
        assert_eq!(
            (job.lease_owner, job.lease_expires_at, job.stage),
            (None, None, None)
        );
        on.one_notification(id).await;
    }
}

/// Returns the result of `completed("a.zip")` in a notification.
fn result_json() -> Value {
    json!({
                "bucket": "videos ü",
                "key": "a.zip",
                "size": 5_u64 << 32,
                "sha256": "ab".repeat(32),
                "frames": 120,
                "partial": false,
                "renditions": [
                    {
                        "status": "made",
                        "key": "a.zip.1.mp4",
                        "size": 3_u64 << 33,
                        "sha256": "cd".repeat(32),
                        "media_type": "video/mp4",
                        "codec": "h264",
                        "width": 1280,
                        "height": 720,
                        "frames": 300,
                        "origin": "encoded",
                        "partial": true,
                    },
                    {"status": "failed", "message": "no ü"},
                ],
                "outputs": [{
                    "kind": "storyboard",
                    "key": "a.zip.storyboard/storyboard.vtt",
                    "media_type": "text/vtt",
                    "sha256": "ef".repeat(32),
                    "manifest": "a.zip.storyboard/manifest.json",
                    "frames": 100,
                    "files": 4,
                    "size": 7_u64 << 33,
                    "partial": false,
                }],
    })
}

async fn the_notification_contains_the_outcome(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for (key, outcome, status, outcome_result, error) in [
        ("a", completed("a.zip"), "completed", result_json(), Value::Null),
        (
            "b",
            failed(),
            "failed",
            Value::Null,
            json!({"code": "NOT_A_VIDEO", "message": "the source is a text: ü"}),
        ),
    ] {
        let job = NewJob {
            client_metadata: Some(json!({"ticket": "ü"})),
            tenant: "acme".parse().unwrap_or_default(),
            priority: Priority::High,
            ..new_job(key)
        };
        let id = on.submit(job).await;
        let lease = on.claim(id).await;
        let job = on.finish(&lease, &outcome).await;
        let message = on.one_notification(id).await;
        let expected = json!({
            "specversion": "1.0",
            "id": message.id,
            "source": "/videoframes",
            "type": format!("videoframes.job.{status}"),
            "subject": id,
            "time": job.finished_at,
            "datacontenttype": "application/json",
            "data": {
                "job_id": id,
                "status": status,
                "generation": 0,
                "source": {"key": "videos/Größe 100%.mp4", "etag": "\"e\""},
                "result": outcome_result,
                "error": error,
                "client_metadata": {"ticket": "ü"},
                "tenant": "acme",
                "priority": "high",
            },
        });
        assert_eq!(parsed(&message), expected);
        assert_eq!(message.id.get_version_num(), 5);
    }
}

async fn one_of_many_finishes_wins(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for round in 0..10 {
        let (id, lease) = on.claimed(&format!("round {round}")).await;
        let finishes: Vec<_> = [completed("a.zip"), failed(), cancelled(), completed("b.zip")]
            .into_iter()
            .map(|outcome| {
                let (repo, lease) = (Arc::clone(&on.repo), lease.clone());
                tokio::spawn(async move { repo.finish(&lease, &outcome).await })
            })
            .collect();
        let mut won = Vec::new();
        for finish in finishes {
            match finish.await.expect("a task") {
                Ok(job) => won.push(job),
                Err(error) => assert!(matches!(error, JobRepoError::LeaseLost), "{error:?}"),
            }
        }
        assert_eq!(won.len(), 1, "one wins: {won:?}");
        assert_eq!(won[0], on.get(id).await);
        on.one_notification(id).await;
    }
}

async fn the_latest_result_of_the_same_work_is_found(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let find = async |work: &str| -> Option<JobResult> {
        let found = on.repo.find_result(&WorkHash(work.to_owned())).await;
        found.expect("searching")
    };
    assert_eq!(find("work").await, None);
    // The job that was submitted first completes last.
    let (_, late) = on.claimed("late").await;
    on.advance(MINUTE).await;
    for (key, outcome) in [
        ("early", completed_work("early.zip", "work")),
        ("other", completed_work("other.zip", "other work")),
        ("unnamed", completed("unnamed.zip")),
        ("failed", failed()),
    ] {
        let (_, lease) = on.claimed(key).await;
        on.finish(&lease, &outcome).await;
        on.advance(MINUTE).await;
    }
    assert_eq!(find("work").await, Some(result("early.zip")));
    on.finish(&late, &completed_work("late.zip", "work")).await;
    on.advance(HOUR).await;
    assert_eq!(find("work").await, Some(result("late.zip")));
    assert_eq!(find("other work").await, Some(result("other.zip")));
    assert_eq!(find("").await, None, "a result without a hash is never found");
}

async fn results_are_found_by_their_keys(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (_, lease) = on.claimed("a").await;
    let key = "results/ü 100%/1.zip";
    assert!(!on.repo.is_result(key).await.expect("querying"));
    on.finish(&lease, &completed(key)).await;
    assert!(on.repo.is_result(key).await.expect("querying"));
    for other in ["results/ü 100%/1", "results/Ü 100%/1.zip", "results/%", ""] {
        assert!(!on.repo.is_result(other).await.expect("querying"), "{other}");
    }
}
