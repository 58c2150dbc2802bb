//! What `vf-worker` prints, compared with `snapshots/`. `INSTA_UPDATE=always cargo test` writes them anew.
//!
//! IDs, times, sizes, digests and versions are redacted.

use serde_json::Value;

use super::place::Place;
use super::video;

#[test]
fn help_reads_as_agreed() {
    let place = Place::sqlite();
    insta::assert_snapshot!("help", place.stdout(&["--help"]));
    for command in [
        "run",
        "submit",
        "jobs",
        "job",
        "watch",
        "cancel",
        "retry",
        "keep",
        "release",
        "stats",
        "result",
        "notifications",
        "backup",
        "restore",
        "restore-objects",
        "migrate",
        "reconcile",
        "dlq",
        "provision",
        "fleet",
        "fleet shift",
        "fleet canary",
    ] {
        let args: Vec<_> = command.split(' ').chain(["--help"]).collect();
        insta::assert_snapshot!(format!("help_{}", command.replace(' ', "_")), place.stdout(&args));
    }
}

#[test]
fn jobs_and_notifications_have_the_agreed_fields() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), &["-n", "2"]);
    place.finish();
    insta::assert_json_snapshot!("job", redacted(place.job(&id)));
    let notifications = place.notifications();
    assert_eq!(notifications.len(), 1, "{notifications:?}");
    insta::assert_json_snapshot!("notification", redacted(notifications[0].clone()));
}

/// Returns JSON without values that differ between runs or machines.
fn redacted(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name.clone(), redacted_field(&name, value)))
            .collect(),
        Value::Array(values) => values.into_iter().map(redacted).collect(),
        value => value,
    }
}

fn redacted_field(name: &str, value: Value) -> Value {
    let varies = [
        "id", "worker", "subject", "key", "version", "etag", "owner", "hash", "sha256", "done", "total",
    ]
    .iter()
    .any(|part| name == *part || name.ends_with(&format!("_{part}")))
        || ["_at", "_ms", "_s", "bytes", "size", "time"]
            .iter()
            .any(|end| name.ends_with(end));
    match value {
        Value::Null | Value::Object(_) | Value::Array(_) => redacted(value),
        _ if varies => Value::from(format!("[{name}]")),
        value => value,
    }
}
