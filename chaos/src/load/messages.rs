//! Messages of clients and of the store.

use serde_json::{Map, Value, json};

use super::plan::Poison;
use crate::servers::cloud::BUCKET;

/// Returns a native message.
pub(crate) fn native(source: &str, selection: Value, mut more: Map<String, Value>) -> String {
    more.insert("version".to_owned(), json!(1));
    more.insert("source".to_owned(), json!({"key": source}));
    more.insert("selection".to_owned(), selection);
    Value::from(more).to_string()
}

/// Returns the test event of a store.
pub(crate) fn test_event() -> String {
    json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}).to_string()
}

/// Returns a message that cannot become a job, with a text that identifies it.
pub(crate) fn poison(kind: Poison, text: &str) -> String {
    match kind {
        Poison::NotJson => format!("{{{text} is no JSON"),
        Poison::UnknownVersion => json!({"a": text, "version": 99, "source": {"key": "x"}}).to_string(),
        Poison::NoSource => json!({"a": text, "version": 1}).to_string(),
        Poison::Oversized => json!({"a": text, "version": 1, "padding": "x".repeat(300 << 10)}).to_string(),
    }
}

fn record(key: &str, etag: &str, sequencer: &str) -> Value {
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-24T12:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": BUCKET, "arn": format!("arn:aws:s3:::{BUCKET}")},
            "object": {"key": form_encoded(key), "size": 1, "eTag": etag, "sequencer": sequencer},
        },
    })
}

/// Returns an event notification with a record per object: key, ETag and sequencer.
pub(crate) fn event(objects: &[(&str, &str, &str)]) -> String {
    let records: Vec<Value> = objects
        .iter()
        .map(|(key, etag, sequencer)| record(key, etag, sequencer))
        .collect();
    json!({"Records": records}).to_string()
}

/// Returns an event from EventBridge, in which keys are not encoded.
pub(crate) fn event_bridge(key: &str, etag: &str, sequencer: &str) -> String {
    json!({
        "version": "0", "id": "e", "source": "aws.s3", "detail-type": "Object Created",
        "detail": {
            "version": "0", "bucket": {"name": BUCKET}, "reason": "PutObject",
            "object": {"key": key, "size": 1, "etag": etag, "sequencer": sequencer},
        },
    })
    .to_string()
}

/// Returns a message in an envelope of SNS.
pub(crate) fn enveloped(message: &str) -> String {
    json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-1:0:t", "Message": message})
        .to_string()
}

/// Encodes a key like an HTML form, with a plus for a space.
fn form_encoded(key: &str) -> String {
    let encoded = key.bytes().map(|byte| match byte {
        b' ' => "+".to_owned(),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}
