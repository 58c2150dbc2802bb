//! What is asked of one video.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::archive::hex;
use crate::jobs::{ErrorCode, JobError, JobId, JobOptions, NewJob};
use crate::limits::LONGEST_DEADLINE;
use crate::storage::{ObjectKey, ObjectVersion};

/// Longest idempotency key, in bytes.
pub(super) const KEY_BYTES: usize = 256;
/// Most bytes of client metadata.
const METADATA_BYTES: usize = 16 << 10;

/// A job as a message asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRequest {
    /// Hash of all that was asked.
    raw: String,
    source: Value,
    content: Result<Content, String>,
    idempotency_key: Option<String>,
    client_metadata: Option<Value>,
    sequencer: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Content {
    source: SourceRef,
    options: JobOptions,
    output_key: Option<ObjectKey>,
}

/// Where a video is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRef {
    /// The bucket that it is in, where that is not the one of the results.
    pub bucket: Option<String>,
    /// Its name in the store.
    pub key: ObjectKey,
    /// The only version of it that is meant, if that matters.
    pub version: ObjectVersion,
}

impl SourceRef {
    /// The current version of an object in the store of the results.
    pub fn current(key: ObjectKey) -> Self {
        Self {
            bucket: None,
            key,
            version: ObjectVersion::CURRENT,
        }
    }

    /// Reads the `source` of a message or a row.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Form {
            bucket: Option<String>,
            key: String,
            etag: Option<String>,
            version: Option<String>,
        }
        let form = Form::deserialize(value).map_err(|e| format!("source: {e}"))?;
        for (name, text) in [
            ("bucket", &form.bucket),
            ("etag", &form.etag),
            ("version", &form.version),
        ] {
            if text.as_ref().is_some_and(|text| text.len() > KEY_BYTES) {
                return Err(format!("source.{name}: has more than {KEY_BYTES} bytes"));
            }
        }
        Ok(Self {
            bucket: form.bucket,
            key: form.key.parse().map_err(|e| format!("source.key: {e}"))?,
            version: ObjectVersion {
                id: form.version,
                etag: form.etag,
            },
        })
    }

    /// The `source` of a message or a row.
    pub fn to_json(&self) -> Value {
        let mut source = json!({"key": self.key.as_str()});
        for (name, text) in [
            ("bucket", &self.bucket),
            ("etag", &self.version.etag),
            ("version", &self.version.id),
        ] {
            if let Some(text) = text {
                source[name] = json!(text);
            }
        }
        source
    }
}

impl JobRequest {
    /// What is asked of `source`, in the words of a message's fields.
    pub fn new(source: &SourceRef, fields: Map<String, Value>) -> Self {
        Self::read(source.to_json(), fields)
    }

    /// The same of a source that may not be one.
    pub(super) fn read(source: Value, mut fields: Map<String, Value>) -> Self {
        let raw = hash(&json!([source, fields]));
        let mut wrong = None;
        let mut text = |fields: &mut Map<String, Value>, name: &str| match fields.remove(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if !text.is_empty() && text.len() <= KEY_BYTES => Some(text),
            Some(_) => {
                wrong = Some(format!("{name}: is not a text of 1 to {KEY_BYTES} bytes"));
                None
            }
        };
        let idempotency_key = text(&mut fields, "idempotency_key");
        let sequencer = text(&mut fields, "sequencer");
        let mut client_metadata = fields.remove("client_metadata").filter(|value| !value.is_null());
        if client_metadata
            .as_ref()
            .is_some_and(|value| value.to_string().len() > METADATA_BYTES)
        {
            client_metadata = None;
            wrong = Some(format!("client_metadata: has more than {METADATA_BYTES} bytes"));
        }
        let content = match wrong {
            Some(wrong) => Err(wrong),
            None => Content::read(&source, &mut fields),
        };
        Self {
            raw,
            source,
            content,
            idempotency_key,
            client_metadata,
            sequencer,
        }
    }

    /// The source, where it can be named.
    pub fn source(&self) -> Option<&SourceRef> {
        self.content.as_ref().ok().map(|content| &content.source)
    }

    /// Whether it asks for videos at keys of the client's, where events of new objects may tell of them.
    pub(crate) fn writes_videos(&self) -> bool {
        let content = self.content.as_ref();
        content.is_ok_and(|content| content.output_key.is_some() && !content.options.renditions.is_empty())
    }

    /// What is wrong with it, if anything.
    pub fn rejection(&self) -> Option<&str> {
        self.content.as_ref().err().map(String::as_str)
    }

    /// The job. `etag` is that of the source as it is now, where there is one: the same message about
    /// another version of the source asks for another job. The client's own deadline counts from submission;
    /// `longest` is how long the work may take from when it first begins.
    pub fn into_job(self, etag: Option<String>, longest: Duration) -> NewJob {
        let Self {
            raw,
            source,
            content,
            idempotency_key,
            client_metadata,
            sequencer,
        } = self;
        // What was asked: the version that is found now is no part of it, so that the same message is the
        // same request whatever becomes of the source.
        let asked_source = content.as_ref().ok().map(|content| content.source.to_json());
        let (source, options, output_key, rejection) = match content {
            Ok(mut content) => {
                let version = &mut content.source.version;
                version.etag = version.etag.take().or(etag);
                let options = content.options.to_json();
                (content.source.to_json(), options, content.output_key, None)
            }
            Err(message) => {
                // What cannot be understood is not kept whole either: it has to fit a notification.
                let cut = |text: &str| text.chars().take(1024).collect::<String>();
                let source = json!({"key": cut(source["key"].as_str().unwrap_or_default())});
                let rejection = JobError::new(ErrorCode::InvalidRequest, cut(&message));
                (source, Value::Null, None, Some(rejection))
            }
        };
        let payload = json!({
            "source": asked_source,
            "options": options,
            "output": output_key.as_ref().map(ObjectKey::as_str),
            "rejected": rejection.as_ref().map(|_| raw),
        });
        let payload_hash = hash(&payload);
        let asked = options["limits"]["deadline_s"].as_u64().map(Duration::from_secs);
        let asked = asked.map(|asked| asked.min(LONGEST_DEADLINE));
        NewJob {
            id: JobId::random(),
            idempotency_key: idempotency_key.unwrap_or_else(|| {
                hash(&json!({"payload": payload_hash, "source": source, "sequencer": sequencer}))
            }),
            payload_hash,
            source,
            options,
            output_key,
            client_metadata,
            sequencer,
            message_id: None,
            time_limit: asked,
            work_limit: Some(longest),
            rejection,
        }
    }
}

/// Whether a key lies where archives go that have no key of a client's, or where submitted videos are.
fn is_of_a_job(key: &ObjectKey) -> bool {
    let mut parts = key.as_str().split('/');
    matches!((parts.next(), parts.next()), (Some(folder), Some(name)) if is_job_folder(folder, name))
}

/// Whether these two components of a key are those of a job's own folder.
pub(super) fn is_job_folder(folder: &str, name: &str) -> bool {
    match folder {
        "results" => name.parse::<JobId>().is_ok(),
        "sources" => name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()),
        _ => false,
    }
}

impl Content {
    fn read(source: &Value, fields: &mut Map<String, Value>) -> Result<Self, String> {
        let output_key = match fields.remove("output").unwrap_or_default() {
            Value::Null => None,
            output => match output["key"].as_str() {
                Some(key) => Some(key.parse().map_err(|e| format!("output.key: {e}"))?),
                None => return Err("output: has no key".to_owned()),
            },
        };
        let source = SourceRef::from_json(source)?;
        if output_key.as_ref().is_some_and(is_of_a_job) {
            return Err("output.key: is below a job's own folder".to_owned());
        }
        if output_key.as_ref() == Some(&source.key) {
            return Err("output.key: is that of the source".to_owned());
        }
        Ok(Self {
            source,
            options: JobOptions::from_json(&Value::Object(std::mem::take(fields)))
                .map_err(|e| e.to_string())?,
            output_key,
        })
    }
}

/// SHA-256 of a value whose objects are sorted by name, in hexadecimal.
pub(crate) fn hash(value: &Value) -> String {
    hex(&Sha256::digest(value.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::jobs::JobMessage;

    fn asked(body: Value) -> JobRequest {
        match JobMessage::parse(&body.to_string()).unwrap() {
            JobMessage::Asked(request) => *request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bad_values_make_a_job_that_is_failed_from_the_start() {
        for (field, value, word) in [
            ("source", json!({"key": "../../etc/passwd"}), "source.key"),
            ("output", json!({"key": "/root"}), "output.key"),
            ("output", json!({"key": "v.mp4"}), "source"),
            ("output", json!("x"), "output"),
            (
                "output",
                json!({"key": format!("results/{}/1.zip", JobId::random())}),
                "output.key",
            ),
            ("picture", json!({"format": "bmp"}), "picture.format"),
            ("idempotency_key", json!(7), "idempotency_key"),
            (
                "client_metadata",
                json!("x".repeat(METADATA_BYTES)),
                "client_metadata",
            ),
        ] {
            let mut body = json!({"version": 1, "source": {"key": "v.mp4"}});
            body[field] = value;
            let job = asked(body).into_job(None, Duration::MAX);
            let rejection = job.rejection.unwrap();
            assert_eq!(rejection.code, "INVALID_REQUEST");
            assert!(rejection.message.contains(word), "{field}: {}", rejection.message);
        }
    }

    #[test]
    fn what_is_kept_of_a_bad_request_fits_a_notification_and_tells_requests_apart() {
        let bad = |size: usize, quality: u32| {
            let body = json!({"version": 1, "source": {"key": "x".repeat(size), "etag": "e".repeat(size)},
                "picture": {"format": "f".repeat(size), "quality": quality}});
            asked(body).into_job(None, Duration::MAX)
        };
        let job = bad(50_000, 1);
        assert!(job.source.to_string().len() + job.rejection.clone().unwrap().message.len() < 10_000);
        assert_ne!(job.idempotency_key, bad(50_000, 2).idempotency_key);
        assert_eq!(job.idempotency_key, bad(50_000, 1).idempotency_key);
    }

    #[test]
    fn jobs_without_a_key_of_their_own_are_known_by_what_they_ask() {
        let key = |body: Value, etag: &str| {
            asked(body)
                .into_job(Some(etag.to_owned()), Duration::MAX)
                .idempotency_key
        };
        let plain = json!({"version": 1, "source": {"key": "v.mp4"}});
        let same =
            json!({"version": 1, "source": {"key": "v.mp4"}, "selection": {"fps": 1.0}, "new_field": 1});
        let other = json!({"version": 1, "source": {"key": "v.mp4"}, "selection": {"fps": 2}});
        assert_eq!(key(plain.clone(), "a"), key(same, "a"));
        assert_ne!(key(plain.clone(), "a"), key(other, "a"));
        assert_ne!(key(plain.clone(), "a"), key(plain.clone(), "b"));
        let mut named = plain;
        named["idempotency_key"] = json!("mine");
        assert_eq!(key(named, "a"), "mine");
    }
}
