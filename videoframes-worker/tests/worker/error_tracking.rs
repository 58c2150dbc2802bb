//! Reports of errors, received by a server that understands the protocol of Sentry.
#![cfg(feature = "sentry")]

use serde_json::{Value, json};

use super::place::{Place, wait};
use super::server::script;
use super::video;

/// A running Bugsink.
struct Tracker {
    folder: tempfile::TempDir,
    dsn: String,
}

impl Tracker {
    /// Starts a tracker; returns `None` with a message if it is not installed.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let dsn = script("bugsink", &["start", folder.path().to_str().unwrap()])?;
        Some(Self { folder, dsn })
    }

    fn events(&self) -> Vec<Value> {
        let events = script("bugsink", &["events", self.folder.path().to_str().unwrap()]).unwrap();
        events
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        script("bugsink", &["stop", self.folder.path().to_str().unwrap()]);
    }
}

#[test]
fn failures_of_the_system_are_reported_by_type_and_place_without_names() {
    let Some(tracker) = Tracker::start() else {
        return;
    };
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let folder = tempfile::tempdir().unwrap();
    // Neither the panic of the first job nor the broken video of the second job may name a file.
    let secret = folder.path().join("confidential.mp4");
    std::fs::copy(video::short(), &secret).unwrap();
    let panicking = place.submit(&secret, &[]);
    let broken = folder.path().join("confidential.txt");
    std::fs::write(&broken, "not a video").unwrap();
    place.submit(&broken, &[]);
    let environment = [
        ("SENTRY_DSN", tracker.dsn.as_str()),
        ("SENTRY_ENVIRONMENT", "tests"),
        ("VF_FAULT", "extracting=panic"),
    ];
    let mut worker = place.worker(&environment, &["--until-idle"]);
    assert!(worker.wait().success(), "{}", worker.log());

    let mut events = Vec::new();
    wait("the panic is reported", || {
        events = tracker.events();
        !events.is_empty()
    });
    let panic = |event: &&Value| event["data"]["exception"]["values"][0]["type"] == "panic";
    let event = &events.iter().find(panic).unwrap()["data"];
    assert_eq!(
        event["fingerprint"],
        json!(["panic", "videoframes-core/src/processor/fault.rs"])
    );
    assert_eq!(event["environment"], "tests");
    assert_eq!(event["release"], concat!("vf-worker@", env!("CARGO_PKG_VERSION")));
    // The default of the protocol.
    assert!(
        event.get("level").is_none_or(|level| level == "error"),
        "{event:#}"
    );
    assert_eq!(event["tags"]["job.id"], panicking, "{event:#}");
    let all = serde_json::to_string(&events).unwrap();
    for name in [
        "confidential",
        "NOT_A_VIDEO",
        "sources/",
        place.folder.path().to_str().unwrap(),
    ] {
        assert!(!all.contains(name), "{name} in {all}");
    }
    let output = place
        .command(&["jobs"])
        .env("SENTRY_DSN", "http://host/1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("SENTRY_DSN"),
        "{output:?}"
    );
}
