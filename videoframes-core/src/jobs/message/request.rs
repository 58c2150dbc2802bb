//! The request for one job.

use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::digest;
use crate::jobs::source::KEY_BYTES;
use crate::jobs::{ErrorCode, JobError, JobId, JobOptions, NewJob, Parsed, RESTORE_MARK, SourceRef};
use crate::limits::MAX_DEADLINE;
use crate::storage::ObjectKey;
use crate::tenant::{InvalidTenant, Priority, Share, Tenant, UnknownPriority};

/// Maximum size of client metadata in bytes.
const METADATA_BYTES: usize = 16 << 10;

/// A request for a job, as read from a message.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRequest {
    /// Hash of the whole request.
    raw: String,
    source: Value,
    content: Result<Content, String>,
    idempotency_key: Option<String>,
    client_metadata: Option<Value>,
    sequencer: Option<String>,
    tenant: Tenant,
    priority: Priority,
}

#[derive(Debug, Clone, PartialEq)]
struct Content {
    source: SourceRef,
    options: JobOptions,
    output_key: Option<ObjectKey>,
}

impl JobRequest {
    /// Returns a request for `source` with the fields of a message.
    #[must_use]
    pub fn new(source: &SourceRef, fields: Map<String, Value>) -> Self {
        Self::read(source.to_json(), fields)
    }

    /// Reads a request whose source may be invalid.
    pub(super) fn read(source: Value, mut fields: Map<String, Value>) -> Self {
        let raw = digest::of_json(&json!([source, fields]));
        let mut wrong = None;
        let mut text = |fields: &mut Map<String, Value>, name: &str| match fields.remove(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if !text.is_empty() && text.len() <= KEY_BYTES => Some(text),
            Some(_) => {
                wrong = Some(format!("{name}: must be a string of 1 to {KEY_BYTES} bytes"));
                None
            }
        };
        let idempotency_key = text(&mut fields, "idempotency_key");
        let sequencer = text(&mut fields, "sequencer");
        let mut parsed = |name: &str| match fields.remove(name) {
            None | Some(Value::Null) => None,
            Some(value) => Some(value),
        };
        let tenant = parsed("tenant").map(serde_json::from_value::<Tenant>);
        let priority = parsed("priority").map(serde_json::from_value::<Priority>);
        let mut client_metadata = fields.remove("client_metadata").filter(|value| !value.is_null());
        if client_metadata
            .as_ref()
            .is_some_and(|value| value.to_string().len() > METADATA_BYTES)
        {
            client_metadata = None;
            wrong = Some(format!(
                "client_metadata: must have at most {METADATA_BYTES} bytes"
            ));
        }
        if matches!(tenant, Some(Err(_))) {
            wrong = Some(format!("tenant: {InvalidTenant}"));
        }
        if matches!(priority, Some(Err(_))) {
            wrong = Some(format!("priority: {UnknownPriority}"));
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
            tenant: tenant.and_then(Result::ok).unwrap_or_default(),
            priority: priority.and_then(Result::ok).unwrap_or_default(),
        }
    }

    /// Returns the source, if it is valid.
    pub fn source(&self) -> Option<&SourceRef> {
        self.content.as_ref().ok().map(|content| &content.source)
    }

    /// Returns whether the request writes renditions or composed outputs under keys that the client chose, where store
    /// events may report them as new objects.
    pub(crate) fn has_additional_objects(&self) -> bool {
        let has_outputs =
            |options: &JobOptions| !options.renditions.is_empty() || !options.outputs.kinds().is_empty();
        let content = self.content.as_ref();
        content.is_ok_and(|content| content.output_key.is_some() && has_outputs(&content.options))
    }

    /// Returns the idempotency key of the client, if there is one.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    /// Returns the tenant and the priority of the job.
    pub(super) fn share(&self) -> Share {
        Share::new(self.tenant.clone(), self.priority)
    }

    /// Sets the tenant of a client that submits jobs of this tenant only.
    ///
    /// # Errors
    /// Returns the tenant of the request if the request names another one.
    pub fn for_tenant(self, tenant: &Tenant) -> Result<Self, Tenant> {
        match self.tenant.is_unnamed() || self.tenant == *tenant {
            true => Ok(Self {
                tenant: tenant.clone(),
                ..self
            }),
            false => Err(self.tenant),
        }
    }

    /// Returns the reason why the request is invalid, if it is.
    pub fn rejection(&self) -> Option<&str> {
        self.content.as_ref().err().map(String::as_str)
    }

    /// Converts the request to a job.
    ///
    /// `etag` is the current ETag of the source, if any: the same message about another version of the source
    /// requests another job. The client's own deadline counts from submission; `longest` limits the time from
    /// the start of the first attempt.
    pub fn into_job(self, etag: Option<String>, longest: Duration) -> NewJob {
        let Self {
            raw,
            source,
            content,
            idempotency_key,
            client_metadata,
            sequencer,
            tenant,
            priority,
        } = self;
        // The current version is not part of the request, so that the same message is the same request
        // whatever happens to the source.
        let requested_source = content.as_ref().ok().map(|content| content.source.to_json());
        let (source, options, output_key, rejection): (_, Parsed<JobOptions>, _, _) = match content {
            Ok(mut content) => {
                let version = &mut content.source.version;
                version.etag = version.etag.take().or(etag);
                let (source, options) = (content.source.into(), content.options.into());
                (source, options, content.output_key, None)
            }
            Err(message) => {
                // An invalid request is truncated: it has to fit into a notification.
                let cut = |text: &str| text.chars().take(1024).collect::<String>();
                let source = json!({"key": cut(source["key"].as_str().unwrap_or_default())});
                let rejection = JobError::new(ErrorCode::InvalidRequest, cut(&message));
                (Parsed::from(source), Value::Null.into(), None, Some(rejection))
            }
        };
        let mut payload = json!({
            "source": requested_source,
            "options": options,
            "output": output_key.as_ref().map(ObjectKey::as_str),
            "rejected": rejection.as_ref().map(|_| raw),
        });
        // Absent without a name: the hash of such a request is the same in all versions. The priority does not make
        // another request of the same one.
        if let Some(name) = tenant.name() {
            payload["tenant"] = json!(name);
        }
        let payload_hash = digest::of_json(&payload);
        let deadline = options.get().ok().and_then(|options| options.limits.deadline_s);
        let time_limit = deadline.map(|seconds| Duration::from_secs(seconds.get()).min(MAX_DEADLINE));
        NewJob {
            id: JobId::random(),
            idempotency_key: idempotency_key.unwrap_or_else(|| {
                digest::of_json(&json!({"payload": payload_hash, "source": source, "sequencer": sequencer}))
            }),
            payload_hash,
            source,
            options,
            output_key,
            client_metadata,
            sequencer,
            message_id: None,
            time_limit,
            work_limit: Some(longest),
            rejection,
            trace: None,
            tenant,
            priority,
        }
    }
}

/// Returns whether a key is in a folder of a job: for archives without a key of the client, or for submitted
/// videos.
fn is_in_job_folder(key: &ObjectKey) -> bool {
    let mut parts = key.as_str().split('/');
    matches!((parts.next(), parts.next()), (Some(folder), Some(name)) if is_job_folder(folder, name))
}

/// Returns whether a client may choose this key for a result.
pub(in crate::jobs) fn is_allowed_output(key: &str) -> bool {
    key.parse().is_ok_and(|key| !is_in_job_folder(&key))
}

/// Returns whether two components of a key name a job's own folder, or the restore mark.
pub(super) fn is_job_folder(folder: &str, name: &str) -> bool {
    match folder {
        "results" => name.parse::<JobId>().is_ok() || name == RESTORE_MARK,
        "sources" => name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "uploads" => Uuid::try_parse(name).is_ok(),
        _ => false,
    }
}

impl Content {
    fn read(source: &Value, fields: &mut Map<String, Value>) -> Result<Self, String> {
        let output_key = match fields.remove("output").unwrap_or_default() {
            Value::Null => None,
            output => match output["key"].as_str() {
                Some(key) => Some(key.parse().map_err(|e| format!("output.key: {e}"))?),
                None => return Err("output: must have a key".to_owned()),
            },
        };
        let source = SourceRef::from_json(source)?;
        if output_key.as_ref().is_some_and(is_in_job_folder) {
            return Err("output.key: must not be in a job's own folder".to_owned());
        }
        if output_key.as_ref() == Some(&source.key) {
            return Err("output.key: must differ from the key of the source".to_owned());
        }
        Ok(Self {
            source,
            options: JobOptions::from_json(&Value::Object(std::mem::take(fields)))
                .map_err(|e| e.to_string())?,
            output_key,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::jobs::JobMessage;

    fn request(body: Value) -> JobRequest {
        match JobMessage::parse(&body.to_string()).unwrap() {
            JobMessage::Asked(request) => *request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn invalid_values_create_a_job_that_fails_at_once() {
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
            ("tenant", json!("a b"), "tenant"),
            ("tenant", json!(7), "tenant"),
            ("priority", json!("highest"), "priority"),
            (
                "client_metadata",
                json!("x".repeat(METADATA_BYTES)),
                "client_metadata",
            ),
        ] {
            let mut body = json!({"version": 1, "source": {"key": "v.mp4"}});
            body[field] = value;
            let job = request(body).into_job(None, Duration::MAX);
            let rejection = job.rejection.unwrap();
            assert_eq!(rejection.code, "INVALID_REQUEST");
            assert!(rejection.message.contains(word), "{field}: {}", rejection.message);
        }
    }

    #[test]
    fn an_invalid_request_fits_into_a_notification_and_stays_distinguishable() {
        let bad = |size: usize, quality: u32| {
            let body = json!({"version": 1, "source": {"key": "x".repeat(size), "etag": "e".repeat(size)},
                "picture": {"format": "f".repeat(size), "quality": quality}});
            request(body).into_job(None, Duration::MAX)
        };
        let job = bad(50_000, 1);
        assert!(job.source.json().to_string().len() + job.rejection.clone().unwrap().message.len() < 10_000);
        assert_ne!(job.idempotency_key, bad(50_000, 2).idempotency_key);
        assert_eq!(job.idempotency_key, bad(50_000, 1).idempotency_key);
    }

    #[test]
    fn a_client_with_a_tenant_requests_no_job_of_another() {
        let body = |tenant: Value| json!({"version": 1, "source": {"key": "v.mp4"}, "tenant": tenant});
        let own: Tenant = "acme".parse().unwrap();
        let same = request(body(json!("acme"))).into_job(None, Duration::MAX);
        for tenant in [Value::Null, json!("acme")] {
            let job = request(body(tenant)).for_tenant(&own).unwrap();
            let job = job.into_job(None, Duration::MAX);
            assert_eq!((&job.tenant, &job.payload_hash), (&own, &same.payload_hash));
        }
        let other = request(body(json!("b"))).for_tenant(&own).unwrap_err();
        assert_eq!(other.as_str(), "b");
    }

    #[test]
    fn requests_without_an_idempotency_key_are_identified_by_content() {
        let key = |body: Value, etag: &str| {
            request(body)
                .into_job(Some(etag.to_owned()), Duration::MAX)
                .idempotency_key
        };
        let plain = json!({"version": 1, "source": {"key": "v.mp4"}});
        let same =
            json!({"version": 1, "source": {"key": "v.mp4"}, "selection": {"fps": 1.0}, "new_field": 1});
        let other = json!({"version": 1, "source": {"key": "v.mp4"}, "selection": {"fps": 2}});
        let tenant = |name: &str, priority: &str| json!({"version": 1, "source": {"key": "v.mp4"}, "tenant": name, "priority": priority});
        assert_ne!(key(plain.clone(), "a"), key(tenant("b", "low"), "a"));
        assert_ne!(key(tenant("c", "low"), "a"), key(tenant("b", "low"), "a"));
        assert_eq!(key(tenant("b", "high"), "a"), key(tenant("b", "low"), "a"));
        // Earlier versions computed the same keys.
        assert_eq!(
            key(plain.clone(), "a"),
            "b325cf1a528d44a8bdc8c3aa07c4169333229d2acfdeffd86b27770f6462910a"
        );
        assert_eq!(key(plain.clone(), "a"), key(same, "a"));
        assert_ne!(key(plain.clone(), "a"), key(other, "a"));
        assert_ne!(key(plain.clone(), "a"), key(plain.clone(), "b"));
        let mut named = plain;
        named["idempotency_key"] = json!("mine");
        assert_eq!(key(named, "a"), "mine");
    }
}
