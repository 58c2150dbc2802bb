//! Events of stores, which become jobs.

use std::time::Duration;

use serde_json::{Value, json};
use videoframes_core::jobs::{JobRepo, JobStatus, RenditionResult, Rules, VideoJob};
use videoframes_core::processor::Until;
use videoframes_core::queue::{Message, Queue};

use crate::setup::{BUCKET, Setup};
use crate::unavailable;

const VIDEO: &str = "testsrc2=s=160x90:r=10:d=1";

/// Returns a setup with a rule that extracts one picture of every `.mp4` below `uploads/`.
async fn setup() -> Setup {
    let rules = json!([{
        "bucket": BUCKET,
        "prefix": "uploads/",
        "suffix": ".mp4",
        "request": {"selection": {"count": 1}, "client_metadata": {"rule": 1}},
    }]);
    let mut setup = Setup::new().await;
    setup.rules = Rules::from_json(&rules.to_string()).unwrap();
    setup
}

/// Returns a record with the key in the encoding of S3.
fn record(name: &str, key: &str) -> Value {
    let encoded = key.bytes().map(|byte| match byte {
        b' ' => "+".to_owned(),
        b'/' | b'.' | b'a'..=b'z' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    json!({
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {
            "bucket": {"name": BUCKET},
            "object": {"key": encoded.collect::<String>(), "size": 1024, "sequencer": "0055AED6DCD90281E5"},
        },
    })
}

fn created(keys: &[&str]) -> String {
    let records: Vec<_> = keys.iter().map(|key| record("ObjectCreated:Put", key)).collect();
    json!({"Records": records}).to_string()
}

/// Returns all jobs, sorted by the keys of their sources.
async fn jobs(setup: &Setup) -> Vec<VideoJob> {
    let mut jobs = setup.repo.list(&Default::default()).await.unwrap().jobs;
    jobs.sort_by_key(|job| job.source.json()["key"].to_string());
    jobs
}

fn keys(jobs: &[VideoJob]) -> Vec<&str> {
    jobs.iter().map(|job| job.source_key().unwrap()).collect()
}

async fn dead_letter_messages(setup: &Setup) -> Vec<Message> {
    let hidden = Duration::from_secs(3600);
    setup
        .dead_letter_queue
        .receive(10, hidden, Duration::ZERO)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_new_object_becomes_a_job_with_its_exact_key() {
    let setup = setup().await;
    let names = ["uploads/a b+c%41.mp4", "uploads/z.mp4", "uploads/日本 ü.mp4"];
    for name in names {
        setup.store(name, VIDEO).await;
    }
    let mut message: Value = serde_json::from_str(&created(&names)).unwrap();
    let removed = record("ObjectRemoved:Delete", "uploads/gone.mp4");
    message["Records"].as_array_mut().unwrap().push(removed);
    setup.ask(&message.to_string()).await;
    setup.run(Until::Idle).await;

    let jobs = jobs(&setup).await;
    assert_eq!(keys(&jobs), names);
    for job in &jobs {
        assert_eq!(job.status, JobStatus::Completed, "{job:?}");
        assert_eq!(job.source.json()["bucket"], BUCKET);
        assert_eq!(job.sequencer.as_deref(), Some("0055AED6DCD90281E5"));
        assert_eq!(job.result.as_ref().unwrap().frames, 1);
    }
    let notifications = setup.notifications().await;
    assert_eq!(notifications.len(), names.len());
    assert!(
        notifications
            .iter()
            .all(|event| event["data"]["client_metadata"] == json!({"rule": 1}))
    );
    assert_eq!(
        setup.input.depth().await.unwrap(),
        Default::default(),
        "no message is left"
    );
    assert_eq!(dead_letter_messages(&setup).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_of_a_single_event_processes_its_job() {
    let setup = setup().await;
    setup.store("uploads/a.mp4", VIDEO).await;
    setup.ask(&created(&["uploads/a.mp4", "elsewhere/b.mp4"])).await;
    setup.run(Until::Idle).await;
    assert_eq!(setup.only_job().await.status, JobStatus::Completed);
    assert_eq!(setup.input.calls("send"), 1, "nothing but the event was sent");
    assert_eq!(setup.input.depth().await.unwrap(), Default::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn redelivered_events_submit_no_second_jobs() {
    let setup = setup().await;
    let names = ["uploads/a.mp4", "uploads/b.mp4"];
    for name in names {
        setup.store(name, VIDEO).await;
    }
    // Once because the submission had no reply, and once because stores deliver events repeatedly.
    setup.repo.lose_answer("submit", 1, unavailable);
    setup.ask(&created(&names)).await;
    setup.ask(&created(&names)).await;
    setup.run(Until::Idle).await;
    // The first message is hidden for a while; waiting until idle does not include such messages.
    setup.clock.advance(Duration::from_secs(60));
    setup.ask(&created(&names)).await;
    setup.run(Until::Idle).await;
    assert_eq!(setup.repo.calls("submit"), 4);
    assert_eq!(keys(&jobs(&setup).await), names);
    assert_eq!(setup.notifications().await.len(), names.len());
    assert_eq!(setup.input.depth().await.unwrap(), Default::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn drops_events_without_a_matching_rule() {
    let setup = setup().await;
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET});
    let removed = json!({"Records": [record("ObjectRemoved:Delete", "uploads/a.mp4")]});
    setup.ask(&test.to_string()).await;
    setup.ask(&removed.to_string()).await;
    setup.ask(&created(&["elsewhere/a.mp4", "uploads/a.txt"])).await;
    let own = "results/0192d5f2-7c1e-7cc2-8f5e-000000000000/1.zip";
    setup.ask(&created(&[own])).await;
    setup.run(Until::Idle).await;
    assert_eq!(jobs(&setup).await, []);
    assert_eq!(setup.repo.calls("submit"), 0);
    assert_eq!(setup.input.depth().await.unwrap(), Default::default());
    assert_eq!(dead_letter_messages(&setup).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_records_are_dead_lettered_and_the_others_processed_once() {
    let setup = setup().await;
    setup.store("uploads/a.mp4", VIDEO).await;
    let mut message: Value = serde_json::from_str(&created(&["uploads/a.mp4", "uploads/b.mp4"])).unwrap();
    message["Records"][1]["s3"]["object"]["key"] = Value::Null;
    setup.ask(&message.to_string()).await;
    setup.run(Until::Idle).await;
    assert_eq!(setup.only_job().await.status, JobStatus::Completed);
    let dead = dead_letter_messages(&setup).await;
    assert_eq!(dead.len(), 1);
    assert!(dead[0].attributes["reason"].contains("s3.object.key"), "{dead:?}");

    setup.ask(&dead[0].body).await;
    setup.run(Until::Idle).await;
    assert_eq!(setup.only_job().await.status, JobStatus::Completed);
    assert_eq!(setup.notifications().await.len(), 1);
    assert_eq!(
        dead_letter_messages(&setup).await.len(),
        1,
        "the dead-letter message is unchanged"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_key_becomes_a_failed_job_with_a_notification() {
    let setup = setup().await;
    setup.ask(&created(&["uploads//a.mp4"])).await;
    setup.run(Until::Idle).await;
    assert_eq!(
        setup.only_job().await.error_code.as_deref(),
        Some("INVALID_REQUEST")
    );
    let notifications = setup.notifications().await;
    assert_eq!(notifications.len(), 1);
    assert_eq!(notifications[0]["data"]["error"]["code"], "INVALID_REQUEST");
    assert_eq!(dead_letter_messages(&setup).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_deleted_version_does_not_use_another_version() {
    let setup = setup().await;
    setup.store("uploads/a.mp4", VIDEO).await;
    let mut message: Value = serde_json::from_str(&created(&["uploads/a.mp4"])).unwrap();
    message["Records"][0]["s3"]["object"]["eTag"] = json!("of an earlier one");
    setup.ask(&message.to_string()).await;
    setup.run(Until::Idle).await;
    assert_eq!(
        setup.only_job().await.error_code.as_deref(),
        Some("INPUT_CHANGED")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_does_not_match_its_own_renditions() {
    let rules = json!([{
        "suffix": ".mp4",
        "request": {"selection": {"count": 1}, "output": {"key": "{key}.{version}.zip"}, "renditions": [{}]},
    }]);
    let mut setup = Setup::new().await;
    setup.rules = Rules::from_json(&rules.to_string()).unwrap();
    setup.store("a.mp4", VIDEO).await;
    setup.ask(&created(&["a.mp4"])).await;
    setup.run(Until::Idle).await;
    let made = setup.only_job().await.result.unwrap().renditions;
    let RenditionResult::Made(rendition) = &made[0] else {
        panic!("{made:?}");
    };
    assert!(rendition.key.starts_with("a.mp4.") && rendition.key.ends_with(".1.mp4"));

    setup.ask(&created(&[&rendition.key])).await;
    setup.run(Until::Idle).await;
    assert_eq!(keys(&jobs(&setup).await), ["a.mp4"]);

    let asked = json!({"version": 1, "source": {"key": rendition.key}, "selection": {"count": 1}});
    setup.ask(&asked.to_string()).await;
    setup.run(Until::Idle).await;
    let jobs = jobs(&setup).await;
    assert_eq!(
        keys(&jobs),
        ["a.mp4", rendition.key.as_str()],
        "each event leads to a job"
    );
    assert!(jobs.iter().all(|job| job.status == JobStatus::Completed));
}
