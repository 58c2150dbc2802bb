//! Event messages of object stores: S3 event notifications, S3 events from EventBridge, and the SNS envelope.
//!
//! The formats are those of the user guides: "Event message structure" and "EventBridge event message
//! structure" of S3, and "HTTP/HTTPS notification JSON format" of SNS. Only S3 event notifications encode
//! keys.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::poison::{Poison, shown};
use crate::jobs::source::KEY_BYTES;
use crate::storage::ObjectVersion;

/// Maximum number of records in one message. S3 sends one.
const RECORDS: usize = 1000;

/// A new object, or a new version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectEvent {
    /// Bucket of the object.
    pub bucket: String,
    /// Decoded key of the object, which is not necessarily a valid [`crate::storage::ObjectKey`].
    pub key: String,
    /// Version of the object that the event is about.
    pub version: ObjectVersion,
    /// Size in bytes, if the event contains one.
    pub size: Option<u64>,
    /// Sequencer, which orders the events of one object.
    pub sequencer: Option<String>,
}

/// The events of one message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Events {
    /// New objects.
    pub created: Vec<ObjectEvent>,
    /// Error of the first invalid record, if any. Invalid records do not affect the others.
    pub broken: Option<String>,
}

/// Takes the data of a CloudEvent in JSON (structured mode).
pub(super) fn cloud_event_data(fields: &mut Map<String, Value>) -> Option<Map<String, Value>> {
    text(fields, "specversion")?;
    match fields.remove("data") {
        Some(Value::Object(data)) => Some(data),
        _ => None,
    }
}

/// Returns the content of an SNS envelope, or `None` if the message is not an envelope.
pub(super) fn enveloped(fields: &Map<String, Value>) -> Result<Option<&str>, Poison> {
    match (text(fields, "Type"), text(fields, "Message")) {
        (Some("Notification"), Some(message)) => Ok(Some(message)),
        (Some(kind @ ("SubscriptionConfirmation" | "UnsubscribeConfirmation")), Some(_)) => Err(
            Poison::Event(format!("a {kind} from SNS needs an answer by a person")),
        ),
        _ => Ok(None),
    }
}

/// Reads a message that is not in this crate's own format; `None` if the format is unknown. A message without
/// events reports nothing new.
pub(super) fn read(fields: &Map<String, Value>) -> Result<Option<Events>, Poison> {
    if let Some(records) = fields.get("Records").and_then(Value::as_array) {
        return read_records(records).map(Some);
    }
    if text(fields, "Event") == Some("s3:TestEvent") {
        return Ok(Some(Events::default()));
    }
    if let (Some(source), Some(kind)) = (text(fields, "source"), text(fields, "detail-type")) {
        return read_event_bridge(source, kind, fields.get("detail").unwrap_or(&Value::Null)).map(Some);
    }
    if enveloped(fields)?.is_some() {
        return Err(Poison::Event(
            "an SNS envelope cannot contain another envelope".to_owned(),
        ));
    }
    Ok(None)
}

fn read_records(records: &[Value]) -> Result<Events, Poison> {
    if records.len() > RECORDS {
        return Err(Poison::Event(format!(
            "the message has more than {RECORDS} records"
        )));
    }
    // Stores that are compatible with S3 use other prefixes.
    let from_store = |record: &&Value| record["eventSource"].as_str().is_some_and(|s| s.ends_with(":s3"));
    let created = |record: &&Value| {
        let name = record["eventName"].as_str().unwrap_or_default();
        name.strip_prefix("s3:")
            .unwrap_or(name)
            .starts_with("ObjectCreated:")
    };
    let mut from_store = records.iter().filter(from_store).peekable();
    if from_store.peek().is_none() {
        return Err(Poison::Event(
            "the message has no record of an object store".to_owned(),
        ));
    }
    collect(from_store.filter(created).map(|record| {
        let s3 = &record["s3"];
        let object = &s3["object"];
        let key = form_decoded(string(&object["key"], "s3.object.key")?)?;
        event(&s3["bucket"], key, object, ["eTag", "versionId"])
    }))
}

fn read_event_bridge(source: &str, kind: &str, detail: &Value) -> Result<Events, Poison> {
    if source != "aws.s3" {
        return Err(Poison::Event(format!(
            "the source of the event is {}",
            shown(&source.into())
        )));
    }
    if kind != "Object Created" {
        return Ok(Events::default());
    }
    let object = &detail["object"];
    collect(std::iter::once_with(|| {
        let key = string(&object["key"], "detail.object.key")?.to_owned();
        event(&detail["bucket"], key, object, ["etag", "version-id"])
    }))
}

/// Returns the valid events, or an error if no event is valid.
fn collect(read: impl Iterator<Item = Result<ObjectEvent, String>>) -> Result<Events, Poison> {
    let mut events = Events::default();
    for event in read {
        match event {
            Ok(event) if is_folder(&event) => {}
            Ok(event) => events.created.push(event),
            Err(wrong) => {
                events.broken.get_or_insert(wrong);
            }
        }
    }
    match events.broken {
        Some(wrong) if events.created.is_empty() => Err(Poison::Event(wrong)),
        _ => Ok(events),
    }
}

/// Returns whether the object is a placeholder for a folder, as storage consoles create.
fn is_folder(event: &ObjectEvent) -> bool {
    event.key.ends_with('/') && event.size == Some(0)
}

fn event(bucket: &Value, key: String, object: &Value, names: [&str; 2]) -> Result<ObjectEvent, String> {
    let optional = |name: &str| match &object[name] {
        Value::Null => Ok(None),
        value => string(value, name).map(|text| Some(text.to_owned())),
    };
    let etag = optional(names[0])?;
    Ok(ObjectEvent {
        bucket: string(&bucket["name"], "bucket.name")?.to_owned(),
        key,
        version: ObjectVersion {
            id: optional(names[1])?,
            etag: etag.map(|etag| etag.trim_matches('"').to_owned()),
        },
        size: object["size"].as_u64(),
        sequencer: optional("sequencer")?,
    })
}

/// Returns a required string of a record. Keys are validated later, against separate limits.
fn string<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    match value.as_str() {
        Some("") | None => Err(format!("a record has no {name}")),
        Some(text) if text.len() > KEY_BYTES && !name.ends_with("key") => {
            Err(format!("a record has a {name} of more than {KEY_BYTES} bytes"))
        }
        Some(text) => Ok(text),
    }
}

/// Decodes a key of an S3 event notification. An invalid percent sequence stays as it is, for stores that do
/// not encode keys.
fn form_decoded(key: &str) -> Result<String, String> {
    let spaced = key.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(|key| key.into_owned())
        .map_err(|_| "a record has a key that is not UTF-8".to_owned())
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::jobs::JobMessage;

    /// A record as in the S3 user guide ("Event message structure").
    fn record(name: &str, key: &str) -> Value {
        json!({
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "us-west-2",
            "eventTime": "1970-01-01T00:00:00.000Z",
            "eventName": name,
            "userIdentity": {"principalId": "AIDAJDPLRKLG7UEXAMPLE"},
            "requestParameters": {"sourceIPAddress": "172.16.0.1"},
            "responseElements": {
                "x-amz-request-id": "C3D13FE58DE4C810",
                "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD",
            },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "testConfigRule",
                "bucket": {
                    "name": "amzn-s3-demo-bucket",
                    "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                    "arn": "arn:aws:s3:::amzn-s3-demo-bucket",
                },
                "object": {
                    "key": key,
                    "size": 1024,
                    "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                    "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
                    "sequencer": "0055AED6DCD90281E5",
                },
            },
        })
    }

    /// An event as in the S3 user guide ("EventBridge event message structure").
    fn event_bridge(kind: &str, key: &str) -> Value {
        json!({
            "version": "0",
            "id": "17793124-05d4-b198-2fde-7ededc63b103",
            "detail-type": kind,
            "source": "aws.s3",
            "account": "111122223333",
            "time": "2021-11-12T00:00:00Z",
            "region": "ca-central-1",
            "resources": ["arn:aws:s3:::amzn-s3-demo-bucket1"],
            "detail": {
                "version": "0",
                "bucket": {"name": "amzn-s3-demo-bucket1"},
                "object": {
                    "key": key,
                    "size": 5,
                    "etag": "b1946ac92492d2347c6235b4d2611184",
                    "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                    "sequencer": "617f08299329d189",
                },
                "request-id": "N4N7GDK58NMKJ12R",
                "requester": "123456789012",
                "source-ip-address": "1.2.3.4",
                "reason": "PutObject",
            },
        })
    }

    /// The envelope that SNS adds to messages for a queue.
    fn sns(message: &Value) -> Value {
        json!({
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
            "Subject": "Amazon S3 Notification",
            "Message": message.to_string(),
            "Timestamp": "2012-05-02T00:54:06.655Z",
            "SignatureVersion": "1",
            "Signature": "EXAMPLEw6JRN...",
            "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem",
            "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe",
        })
    }

    fn parse(message: &Value) -> Result<JobMessage, Poison> {
        JobMessage::parse(&message.to_string())
    }

    fn events(message: &Value) -> Events {
        match parse(message).unwrap() {
            JobMessage::Events(events) => events,
            other => panic!("{message}: {other:?}"),
        }
    }

    fn poison(message: &Value) -> String {
        parse(message).unwrap_err().to_string()
    }

    #[test]
    fn all_fields_of_a_notification_are_read() {
        let message = json!({"Records": [record("ObjectCreated:Put", "happyface.jpg")]});
        let expected = ObjectEvent {
            bucket: "amzn-s3-demo-bucket".to_owned(),
            key: "happyface.jpg".to_owned(),
            version: ObjectVersion {
                id: Some("096fKKXTRTtl3on89fVO.nfljtsv6qko".to_owned()),
                etag: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
            },
            size: Some(1024),
            sequencer: Some("0055AED6DCD90281E5".to_owned()),
        };
        assert_eq!(events(&message).created, [expected]);
    }

    #[test]
    fn keys_are_decoded_in_notifications_but_not_in_event_bridge_events() {
        for (encoded, key) in [
            ("red+flower.jpg", "red flower.jpg"),
            ("1%2B1%3D2+100%25.mp4", "1+1=2 100%.mp4"),
            ("%E6%97%A5%E6%9C%AC/%C3%BC.mp4", "日本/ü.mp4"),
            ("50%.mp4", "50%.mp4"),
        ] {
            let notified = json!({"Records": [record("ObjectCreated:Put", encoded)]});
            assert_eq!(events(&notified).created[0].key, key);
            let bridged = event_bridge("Object Created", encoded);
            assert_eq!(events(&bridged).created[0].key, encoded);
        }
    }

    #[test]
    fn event_bridge_events_have_the_same_fields() {
        let event = events(&event_bridge("Object Created", "example-key"))
            .created
            .remove(0);
        assert_eq!(event.bucket, "amzn-s3-demo-bucket1");
        assert_eq!(
            event.version.id.as_deref(),
            Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e")
        );
        assert_eq!(
            event.version.etag.as_deref(),
            Some("b1946ac92492d2347c6235b4d2611184")
        );
        assert_eq!(
            (event.size, event.sequencer.as_deref()),
            (Some(5), Some("617f08299329d189"))
        );
    }

    #[test]
    fn an_envelope_may_contain_any_other_format_but_no_envelope() {
        let own = json!({"version": 1, "source": {"key": "v.mp4"}});
        assert!(matches!(parse(&sns(&own)), Ok(JobMessage::Asked(_))));
        let records = json!({"Records": [record("ObjectCreated:Put", "v.mp4")]});
        for inner in [records, event_bridge("Object Created", "v.mp4")] {
            assert_eq!(events(&sns(&inner)), events(&inner));
            assert!(poison(&sns(&sns(&inner))).contains("envelope"));
        }
        let confirmation = json!({"Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe",
            "SubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription"});
        assert!(poison(&confirmation).contains("a person"));
        assert!(poison(&sns(&json!("text"))).contains("not a JSON object"));
    }

    #[test]
    fn messages_without_a_new_object_are_ignored() {
        let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2014-10-13T15:57:02.089Z",
            "Bucket": "amzn-s3-demo-bucket", "RequestId": "5582815E1AEA5ADF", "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR"});
        let mut folder = record("ObjectCreated:Put", "uploads/");
        folder["s3"]["object"]["size"] = json!(0);
        for message in [
            test.clone(),
            sns(&test),
            json!({"Records": [record("ObjectRemoved:Delete", "v.mp4")]}),
            json!({"Records": [record("ObjectRestore:Completed", "v.mp4"), folder]}),
            event_bridge("Object Deleted", "v.mp4"),
        ] {
            assert_eq!(parse(&message), Ok(JobMessage::Nothing), "{message}");
        }
    }

    #[test]
    fn only_new_objects_among_several_records_count() {
        let message = json!({"Records": [
            record("ObjectCreated:Put", "a.mp4"),
            record("ObjectRemoved:Delete", "b.mp4"),
            record("s3:ObjectCreated:CompleteMultipartUpload", "c.mp4"),
            {"eventSource": "aws:sqs", "body": "x"},
        ]});
        let events = events(&message);
        let keys: Vec<_> = events.created.iter().map(|event| event.key.as_str()).collect();
        assert_eq!((keys, events.broken), (vec!["a.mp4", "c.mp4"], None));
    }

    #[test]
    fn an_invalid_record_is_reported_and_does_not_affect_others() {
        let mut broken = record("ObjectCreated:Put", "a.mp4");
        broken["s3"]["object"]["key"] = json!(7);
        let message = json!({"Records": [broken, record("ObjectCreated:Put", "b.mp4")]});
        let events = events(&message);
        assert_eq!(events.created[0].key, "b.mp4");
        assert!(events.broken.unwrap().contains("s3.object.key"));
        assert!(poison(&json!({"Records": [broken]})).contains("s3.object.key"));
    }

    #[test]
    fn events_with_missing_or_oversized_fields_are_poison() {
        let without = |path: &str| {
            let mut record = record("ObjectCreated:Put", "a.mp4");
            *record.pointer_mut(path).unwrap() = Value::Null;
            json!({"Records": [record]})
        };
        let with_key = |key: &str| json!({"Records": [record("ObjectCreated:Put", key)]});
        let long = |path: &str| {
            let mut record = record("ObjectCreated:Put", "a.mp4");
            *record.pointer_mut(path).unwrap() = json!("x".repeat(300));
            json!({"Records": [record]})
        };
        for (message, word) in [
            (without("/s3/object/key"), "key"),
            (without("/s3/bucket/name"), "bucket"),
            (without("/s3"), "key"),
            (with_key(""), "key"),
            (with_key("%FF"), "UTF-8"),
            (long("/s3/bucket/name"), "bucket"),
            (long("/s3/object/sequencer"), "sequencer"),
            (long("/s3/object/versionId"), "versionId"),
            (
                json!({"Records": vec![json!({"s3": {"bucket": {"name": "b"}}}); 1001]}),
                "more than 1000",
            ),
            (json!({"Records": []}), "no record"),
            (json!({"Records": [7, {"eventSource": "aws:sns"}]}), "no record"),
            (
                json!({"version": "0", "source": "aws.ec2", "detail-type": "Object Created"}),
                "aws.ec2",
            ),
            (
                json!({"version": "0", "source": "aws.s3", "detail-type": "Object Created"}),
                "key",
            ),
        ] {
            assert!(poison(&message).contains(word), "{word}: {}", poison(&message));
        }
    }

    /// Returns arbitrary JSON, mostly with names that the parser knows.
    fn json() -> impl Strategy<Value = Value> {
        let names = prop::sample::select(vec![
            "Records",
            "eventSource",
            "eventName",
            "s3",
            "bucket",
            "object",
            "key",
            "name",
            "size",
            "eTag",
            "versionId",
            "sequencer",
            "Type",
            "Message",
            "version",
            "source",
            "detail-type",
            "detail",
            "job_id",
            "Event",
            "idempotency_key",
            "output",
            "client_metadata",
        ]);
        let texts = prop::sample::select(vec![
            "aws:s3",
            "ObjectCreated:Put",
            "aws.s3",
            "Object Created",
            "Notification",
            "s3:TestEvent",
            "%F",
            "a+%41",
            "",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            Just(json!(1)),
            any::<i64>().prop_map(|n| json!(n)),
            texts.prop_map(|text| json!(text)),
            ".{0,12}".prop_map(|text| json!(text)),
        ];
        leaf.prop_recursive(6, 48, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                prop::collection::hash_map(names.clone(), inner.clone(), 0..6).prop_map(|fields| fields
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()),
                inner.prop_map(|value| json!({"Type": "Notification", "Message": value.to_string()})),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = JobMessage::parse(&text);
        }

        #[test]
        fn no_json_makes_the_parser_panic(value in json()) {
            let _ = parse(&value);
        }

        #[test]
        fn no_record_makes_the_parser_panic_and_every_event_becomes_a_job(object in json(), bucket in json()) {
            let mut record = record("ObjectCreated:Put", "a.mp4");
            record["s3"] = json!({"object": object, "bucket": bucket});
            if let Ok(JobMessage::Events(events)) = parse(&json!({"Records": [record]})) {
                let rules = super::super::Rules::from_json("[{}]").unwrap();
                for event in events.created {
                    if let Some(request) = rules.request(&event) {
                        request.into_job(None, std::time::Duration::MAX);
                    }
                }
            }
        }

        #[test]
        fn any_key_round_trips(key in "[^\0]{1,40}") {
            let encoded: String = key.bytes().map(|byte| match byte {
                b' ' => "+".to_owned(),
                byte => format!("%{byte:02X}"),
            }).collect();
            let message = json!({"Records": [record("ObjectCreated:Put", &encoded)]});
            prop_assert_eq!(&events(&message).created[0].key, &key);
        }
    }
}
