//! Tenants and priorities: the order in which jobs start, and limits.

use std::time::Duration;

use serde_json::{Map, json};
use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::{Enqueue, JobFilter, JobRepo, JobRequest, JobStatus, SourceRef, VideoJob};
use videoframes_core::processor::{ProcessorConfig, Until};
use videoframes_core::queue::Queue;
use videoframes_core::tenant::Tenants;

use crate::setup::Setup;

async fn submit(setup: &Setup, tenant: &str, priority: &str, jobs: usize) {
    let number = setup.repo.list(&JobFilter::default()).await.unwrap().jobs.len();
    let jobs = (number..number + jobs).map(|number| {
        let fields = json!({"tenant": tenant, "priority": priority, "selection": {"count": 1},
            "idempotency_key": format!("{number:04}")});
        let fields: Map<_, _> = fields.as_object().unwrap().clone();
        let source = SourceRef::current("v.mp4".parse().unwrap());
        JobRequest::new(&source, fields).into_job(None, Duration::from_secs(3600))
    });
    let jobs: Vec<_> = jobs.collect();
    setup.repo.submit(&jobs, Enqueue::ThroughOutbox).await.unwrap();
}

/// Returns all jobs with the start and the end of their only attempt, in the order of their starts.
async fn attempts(setup: &Setup) -> Vec<(UnixMillis, UnixMillis, VideoJob)> {
    let mut attempts = Vec::new();
    for job in setup.repo.list(&JobFilter::default()).await.unwrap().jobs {
        assert_eq!(job.status, JobStatus::Completed, "{job:?}");
        let history = setup.repo.attempts(job.id).await.unwrap();
        assert_eq!(history.len(), 1, "{history:?}");
        attempts.push((history[0].started_at, history[0].ended_at.unwrap(), job));
    }
    attempts.sort_by_key(|(start, ..)| *start);
    attempts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_one_tenant_does_not_delay_another() {
    let config = ProcessorConfig::default().reuse(false);
    let setup = Setup::with(config).await;
    submit(&setup, "many", "low", 1).await;
    submit(&setup, "many", "normal", 9).await;
    setup
        .run_during(async {
            setup
                .until(|setup| setup.extractions.load(std::sync::atomic::Ordering::SeqCst) > 0)
                .await;
            submit(&setup, "one", "normal", 1).await;
            submit(&setup, "many", "high", 1).await;
            let ended = JobFilter::default().statuses([JobStatus::Completed]);
            while setup.repo.list(&ended).await.unwrap().jobs.len() < 12 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    let starts: Vec<String> = attempts(&setup).await.iter().map(name).collect();
    let position = |name: &str| starts.iter().position(|start| start == name).unwrap();
    // One job was in work, and the slot may have received the next one.
    assert!(position("many/high") <= 2, "{starts:?}");
    assert!(position("one/normal") <= 4, "{starts:?}");
    assert_eq!(position("many/low"), 11, "{starts:?}");
}

fn name((.., job): &(UnixMillis, UnixMillis, VideoJob)) -> String {
    format!("{}/{}", job.tenant, job.priority)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_no_more_jobs_in_work_than_its_limit() {
    let tenants = Tenants::from_json(r#"{"default": {"max_jobs": 1}}"#).unwrap();
    let config = ProcessorConfig::default().reuse(false).concurrency(4);
    let setup = Setup::with_tenants(config, tenants).await;
    submit(&setup, "many", "normal", 9).await;
    submit(&setup, "one", "normal", 1).await;
    setup.run(Until::Idle).await;
    let attempts = attempts(&setup).await;
    assert_eq!(attempts.len(), 10);
    let many: Vec<_> = attempts
        .iter()
        .filter(|(.., job)| job.tenant.as_str() == "many")
        .collect();
    for pair in many.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "two jobs of a tenant at once: {pair:?}");
    }
    // The slots claim the first jobs at once, and later jobs do not overtake parked ones.
    let order: Vec<&str> = many
        .iter()
        .map(|(.., job)| job.idempotency_key.as_str())
        .collect();
    assert!(
        order[4..].is_sorted() && order[..4].iter().all(|key| *key < order[4]),
        "{order:?}"
    );
    let one = attempts
        .iter()
        .position(|(.., job)| job.tenant.as_str() == "one")
        .unwrap();
    assert!(one <= 1, "another tenant does not wait");
    assert_eq!(setup.input.depth().await.unwrap(), Default::default());
}
