//! Buckets and queues from end to end, and what happens where they are away.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::cloud::Cloud;
use super::place::{Kind, Place, extract, wait};
use super::video;

/// Asks for two frames a second of every `.mp4` below `uploads/`.
fn rules(place: &Place) -> PathBuf {
    let path = place.folder.path().join("rules.json");
    let rules = json!([
        {"prefix": "uploads/", "suffix": ".mp4", "request": {"selection": {"fps": 2}, "client_metadata": {"by": "rule"}}},
    ]);
    std::fs::write(&path, rules.to_string()).unwrap();
    path
}

/// What S3 tells of a new object.
fn notification(bucket: &str, key: &str, etag: &str) -> String {
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
            "object": {"key": key, "size": 1, "eTag": etag, "sequencer": "0055AED6DCD90281E5"},
        },
    }]})
    .to_string()
}

/// As forms encode it: a space is a plus.
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

/// Makes frames of whatever arrived; the archive is the one that `vf extract` makes of the same file.
fn becomes_frames(place: &Place, key: &str) {
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
    extract(&named, &expected);
    let archive = place.get(job["result"]["key"].as_str().unwrap()).unwrap();
    assert!(archive == std::fs::read(expected).unwrap(), "byte for byte");
}

#[test]
fn an_object_that_arrives_becomes_frames() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    place.says(&["migrate", "up"]);
    let key = "uploads/a clip+100%ü.mp4";
    place.put(key, &std::fs::read(video::short()).unwrap());
    let bucket = place.cloud.as_ref().unwrap().name.clone();
    let etag = place.etag(key);
    place.send(&notification(&bucket, key, &etag));
    // What the worker itself writes asks for nothing, and neither does what no rule is about.
    place.send(&notification(&bucket, "elsewhere/x.mp4", "0"));
    place.send(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#);
    becomes_frames(&place, key);
    assert_eq!(place.dead_letters(), Vec::<String>::new());
}

#[test]
fn a_store_that_tells_the_queue_itself_is_all_that_is_needed() {
    let Some(place) = Place::of(Kind::Telling) else {
        return;
    };
    place.says(&["migrate", "up"]);
    let key = "uploads/a clip+100%.mp4";
    place.put(key, &std::fs::read(video::short()).unwrap());
    becomes_frames(&place, key);
}

#[test]
fn credentials_that_are_wrong_are_one_clear_line() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let mut run = place.command(&["run"]);
    let refused = run.env("AWS_SECRET_ACCESS_KEY", "wrong").output().unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(5), "{stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error:")).collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    assert!(errors[0].contains("credentials are wrong"), "{stderr}");
    assert!(
        !stderr.contains("videoframes-secret") && !stderr.contains("panicked"),
        "{stderr}"
    );

    let mut run = place.command(&["run"]);
    let missing = run.env("VF_INPUT_QUEUE", "sqs:no-such-queue").output().unwrap();
    let stderr = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(5), "{stderr}");
    assert!(stderr.contains("no-such-queue"), "{stderr}");
}

/// An SQS of a test's own, which it may stop.
struct Server {
    folder: tempfile::TempDir,
    address: String,
}

impl Server {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let address = ministack(&["start", folder.path().to_str().unwrap()])?;
        Some(Self { folder, address })
    }

    fn signal(&self, name: &str) {
        let id = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        // The process that answers is another one of its group.
        let group = format!("-{}", id.trim());
        let sent = Command::new("kill").args(["-s", name, "--", &group]).status();
        assert!(sent.unwrap().success());
    }

    /// Kills it, with all that it holds, and starts another one at the same address.
    fn restart(&self) {
        self.signal("KILL");
        let folder = self.folder.path().to_str().unwrap();
        ministack(&["stop", folder]);
        let port = self.address.rsplit(':').next().unwrap();
        ministack(&["start", folder, port]).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What is frozen does not end.
        self.signal("CONT");
        ministack(&["stop", self.folder.path().to_str().unwrap()]);
    }
}

/// `None`, with a word, where it is not installed.
fn ministack(args: &[&str]) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/ministack");
    let output = Command::new(script).args(args).output().unwrap();
    if output.status.code() == Some(3) {
        eprintln!("skipped: no SQS is installed");
        return None;
    }
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// A place whose queues are in a server of its own.
fn with_own_queues() -> Option<(Server, Place)> {
    if std::env::var_os("VF_TEST_SQS").is_none() {
        eprintln!("skipped: VF_TEST_SQS names no server");
        return None;
    }
    let server = Server::start()?;
    let place = Place::of(Kind::Postgres)?.with_cloud(async || Cloud::at(&server.address).await)?;
    Some((server, place))
}

#[test]
fn a_queue_that_is_silent_for_a_while_costs_nothing_but_time() {
    let Some((server, place)) = with_own_queues() else {
        return;
    };
    let running = place.submit(video::long(), &["--fps", "4", "-f", "png"]);
    let mut worker = place.worker(&[], &[]);
    place.wait_for(&running, |job| job["frames_done"].as_u64().unwrap() > 0);
    server.signal("STOP");
    let started = place.job(&running)["attempts"].clone();
    place.wait_for(&running, |job| job["status"] == "completed");
    assert_eq!(place.job(&running)["attempts"], started, "it was not begun again");
    server.signal("CONT");
    // The worker sees what is new again, and tells what it could not tell.
    let next = place.submit(video::short(), &["-n", "1"]);
    place.wait_for(&next, |job| job["status"] == "completed");
    wait("both are told of", || place.notifications().len() >= 2);
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    place.check(2);
}

#[test]
fn a_queue_that_starts_anew_and_empty_loses_no_job() {
    let Some((server, place)) = with_own_queues() else {
        return;
    };
    let ids = [(); 3].map(|()| place.submit(video::short(), &["-n", "1"]));
    server.restart();
    // Without its queues a worker does not even start.
    assert_eq!(place.output(&["run"]).status.code(), Some(5));
    place.make_queues();
    let mut worker = place.worker(&[], &[]);
    for id in &ids {
        place.wait_for(id, |job| job["status"] == "completed");
    }
    // Once more, under a worker that runs.
    server.restart();
    place.make_queues();
    let last = place.submit(video::short(), &["-n", "2"]);
    place.wait_for(&last, |job| job["status"] == "completed");
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    let rows: Vec<Value> = place.jobs();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row["attempts"] == 1), "{rows:?}");
}
