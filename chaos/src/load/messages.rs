//! Messages of clients and of the store.

use serde_json::{Value, json};

use crate::servers::cloud::BUCKET;

/// Returns a native message.
pub(crate) fn native(source: &str, selection: Value, more: Value) -> String {
    let mut message = json!({"version": 1, "source": {"key": source}, "selection": selection});
    if let (Some(message), Some(more)) = (message.as_object_mut(), more.as_object()) {
        message.extend(more.clone());
    }
    message.to_string()
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
