//! Notifications of new objects from buckets, and the resulting jobs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::place::{Kind, Place, extract, wait};
use super::video;

/// Sequencer of the event of the first put.
const SEQUENCER: &str = "0055AED6DCD90281E5";

/// Writes rules for two frames per second of every `.mp4` in `uploads/`.
fn rules(place: &Place) -> PathBuf {
    let path = place.folder.path().join("rules.json");
    let rules = json!([
        {"prefix": "uploads/", "suffix": ".mp4", "request": {"selection": {"fps": 2}, "client_metadata": {"by": "rule"}}},
    ]);
    std::fs::write(&path, rules.to_string()).unwrap();
    path
}

/// Returns the notification of S3 for a new object.
fn notification(bucket: &str, key: &str, etag: &str, sequencer: &str) -> String {
    let key: String = url_form(key);
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-24T12:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
            "object": {"key": key, "size": 1, "eTag": etag, "sequencer": sequencer},
        },
    }]})
    .to_string()
}

/// Encodes a key like an HTML form, with a plus for a space.
fn url_form(key: &str) -> String {
    key.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Processes the job for a new object, and compares the archive with `vf extract` of the same file.
fn assert_extracted(place: &Place, key: &str) {
    let rules = rules(place);
    let mut worker = place.worker(&[("VF_RULES", rules.to_str().unwrap())], &[]);
    wait("the job is done", || {
        place.jobs().iter().any(|job| job["status"] == "completed")
    });
    worker.signal("TERM");
    assert!(worker.wait().success());
    let job = &place.check(1)[0];
    assert_eq!(job["source"]["key"], key);
    assert_eq!(job["client_metadata"]["by"], "rule");
    let named = place.folder.path().join(Path::new(key).file_name().unwrap());
    std::fs::copy(video::short(), &named).unwrap();
    let expected = place.folder.path().join("expected.zip");
    extract(&named, 2, &expected);
    let archive = place.get(job["result"]["key"].as_str().unwrap()).unwrap();
    assert!(archive == std::fs::read(expected).unwrap(), "byte for byte");
}

#[test]
fn a_new_object_becomes_a_job() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    place.stdout(&["migrate", "up"]);
    let key = "uploads/a clip+100%ü.mp4";
    place.put(key, &std::fs::read(video::short()).unwrap());
    let bucket = place.cloud.as_ref().unwrap().name.clone();
    let etag = place.etag(key);
    place.send(&notification(&bucket, key, &etag, SEQUENCER));
    // Objects written by the worker, and objects that match no rule, cause no job.
    place.send(&notification(&bucket, "elsewhere/x.mp4", "0", SEQUENCER));
    place.send(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#);
    assert_extracted(&place, key);
    assert_eq!(place.dead_letter_messages(), Vec::<String>::new());
}

#[test]
fn notifications_of_the_store_are_sufficient() {
    let Some(place) = Place::of(Kind::Telling) else {
        return;
    };
    place.stdout(&["migrate", "up"]);
    let key = "uploads/a clip+100%.mp4";
    place.put(key, &std::fs::read(video::short()).unwrap());
    assert_extracted(&place, key);
}

/// Runs a worker until the condition holds for the jobs and the queue is empty.
fn worked_off(place: &Place, until: impl Fn(&[Value]) -> bool) {
    let rules = rules(place);
    let mut worker = place.worker(&[("VF_RULES", rules.to_str().unwrap())], &[]);
    wait("the jobs are as expected", || until(&place.jobs()));
    wait("the queue is empty", || place.waiting() == 0);
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
}

#[test]
fn an_event_after_a_newer_event_is_superseded() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    place.stdout(&["migrate", "up"]);
    let key = "uploads/v.mp4";
    place.put(key, &std::fs::read(video::short()).unwrap());
    let bucket = place.cloud.as_ref().unwrap().name.clone();
    place.send(&notification(&bucket, key, &place.etag(key), "00B2"));
    worked_off(&place, |jobs| jobs.iter().any(|job| job["status"] == "completed"));
    place.send(&notification(
        &bucket,
        key,
        "0123456789abcdef0123456789abcdef",
        "00B1",
    ));
    worked_off(&place, |jobs| jobs.len() == 2);
    let older = place
        .check(2)
        .into_iter()
        .find(|job| job["status"] != "completed");
    let older = older.unwrap();
    assert_eq!(
        (&older["status"], &older["error_code"], &older["attempts"]),
        (&"cancelled".into(), &"SUPERSEDED".into(), &0.into()),
        "{older}"
    );
}

#[test]
fn a_redelivered_event_of_a_finished_job_changes_nothing() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    place.stdout(&["migrate", "up"]);
    let key = "uploads/v.mp4";
    place.put(key, &std::fs::read(video::short()).unwrap());
    let bucket = place.cloud.as_ref().unwrap().name.clone();
    let event = notification(&bucket, key, &place.etag(key), SEQUENCER);
    place.send(&event);
    let done = |jobs: &[Value]| jobs.iter().any(|job| job["status"] == "completed");
    worked_off(&place, done);
    let before = place.check(1);
    let reported = place.notifications().len();
    // Like a redrive of a dead-letter message: another message with the same body.
    place.send(&event);
    worked_off(&place, done);
    assert_eq!(place.check(1), before);
    assert_eq!(place.notifications().len(), reported);
}
