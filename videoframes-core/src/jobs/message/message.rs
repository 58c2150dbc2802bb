//! A message to the workers.

use serde_json::{Map, Value, json};

use super::events::{self, Events};
use super::poison::{MESSAGE_VERSION, Poison, shown};
use super::request::JobRequest;
use super::strict;
use crate::clock::UnixMillis;
use crate::jobs::{JobCopy, JobId, JobRecord, VideoJob};
use crate::limits::MESSAGE_BYTES;
use crate::tenant::Share;
use crate::trace::TraceContext;

/// Maximum size of the copy of a request: queues may have lower limits than this crate.
const COPY_BYTES: usize = 32 << 10;

/// JSON schema of a job message, version 1.
pub const MESSAGE_SCHEMA: &str = include_str!("../../../schema/job-message.schema.json");

/// A message to the workers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum JobMessage {
    /// Names an existing job, with a copy of its request.
    Known(JobId, Option<Box<JobCopy>>),
    /// Requests a job.
    Asked(Box<JobRequest>),
    /// Reports new objects; [`Rules`](crate::jobs::Rules) decide what to do with them.
    Events(Events),
    /// Reports nothing new: a test of a store's notification settings, or a deleted object.
    Nothing,
}

impl JobMessage {
    /// Parses a message: the crate's own format, an S3 event notification, an S3 event from EventBridge, or
    /// one of these in an SNS envelope or as the data of a CloudEvent.
    ///
    /// # Errors
    /// Returns [`Poison`] for a message that cannot become a job. Invalid values create a job that fails.
    pub fn parse(body: &str) -> Result<Self, Poison> {
        if body.len() > MESSAGE_BYTES {
            return Err(Poison::TooLarge { bytes: body.len() });
        }
        let mut fields = object(body)?;
        if let Some(inner) = events::enveloped(&fields)? {
            return Self::read(object(inner)?);
        }
        match events::cloud_event_data(&mut fields) {
            Some(data) => Self::read(data),
            None => Self::read(fields),
        }
    }

    fn read(mut fields: Map<String, Value>) -> Result<Self, Poison> {
        let version = fields.get("version").cloned().unwrap_or(Value::Null);
        if version.as_u64() != Some(MESSAGE_VERSION) {
            return match events::read(&fields)? {
                Some(events) if events.created.is_empty() => Ok(Self::Nothing),
                Some(events) => Ok(Self::Events(events)),
                None => Err(Poison::UnknownVersion(shown(&version))),
            };
        }
        if let Some(id) = fields.get("job_id").and_then(Value::as_str) {
            let id = id.parse().map_err(|_| Poison::NoSource)?;
            return Ok(Self::Known(id, copy(&mut fields).map(Box::new)));
        }
        asked(fields).map(|request| Self::Asked(Box::new(request)))
    }

    /// Parses the request in a message of the crate's own format, in which `version` is optional.
    ///
    /// # Errors
    /// Returns [`Poison`] for a text that cannot become a job. Invalid values are a
    /// [rejection](JobRequest::rejection) of the request.
    pub fn parse_request(body: &str) -> Result<JobRequest, Poison> {
        if body.len() > MESSAGE_BYTES {
            return Err(Poison::TooLarge { bytes: body.len() });
        }
        let mut fields = object(body)?;
        let version = fields.entry("version").or_insert(MESSAGE_VERSION.into());
        match version.as_u64() == Some(MESSAGE_VERSION) {
            true => asked(fields),
            false => Err(Poison::UnknownVersion(shown(version))),
        }
    }

    /// Returns the tenant and the priority of the job, without the weight of the tenant; the defaults if the message has
    /// none.
    #[must_use]
    pub fn share(&self) -> Share {
        match self {
            Self::Known(_, Some(copy)) => Share::new(copy.record.tenant.clone(), copy.record.priority),
            Self::Asked(request) => request.share(),
            Self::Known(..) | Self::Events(_) | Self::Nothing => Share::default(),
        }
    }

    /// Returns the body of a message that names an existing job, with a copy of its request if there is space.
    pub fn known(job: &VideoJob, written_at: UnixMillis) -> String {
        let (id, written_at) = (job.id, written_at.0);
        let record = JobRecord::of(job).and_then(|record| record.to_ascii(COPY_BYTES));
        match record {
            Some(record) => format!(
                r#"{{"version":{MESSAGE_VERSION},"job_id":"{id}","written_at_ms":{written_at},"job":{record}}}"#
            ),
            None => json!({"version": MESSAGE_VERSION, "job_id": id}).to_string(),
        }
    }
}

/// Reads the fields of a request.
fn asked(mut fields: Map<String, Value>) -> Result<JobRequest, Poison> {
    // The trace context is no part of the request.
    for name in [TraceContext::TRACEPARENT, TraceContext::TRACESTATE] {
        fields.remove(name);
    }
    let source = fields.remove("source").filter(|source| source["key"].is_string());
    source
        .map(|source| JobRequest::read(source, fields))
        .ok_or(Poison::NoSource)
}

/// Returns the copy of the request in a message that names a job; `None` if the copy is missing or invalid.
fn copy(fields: &mut Map<String, Value>) -> Option<JobCopy> {
    Some(JobCopy {
        written_at: UnixMillis(fields.get("written_at_ms")?.as_i64()?),
        record: JobRecord::from_value(fields.remove("job")?)?,
    })
}

fn object(body: &str) -> Result<Map<String, Value>, Poison> {
    match strict::parse(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Poison::NotJson("found another type".to_owned())),
        Err(error) => Err(Poison::NotJson(error.to_string())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn messages_that_cannot_become_a_job_are_poison() {
        for (body, expected) in [
            ("frames, please", "not a JSON object"),
            ("[1]", "not a JSON object"),
            (r#"{"source": {"key": "v.mp4"}}"#, "version null"),
            (r#"{"version": 2, "source": {"key": "v.mp4"}}"#, "version 2"),
            (r#"{"version": 1}"#, "neither"),
            (r#"{"version": 1, "source": "v.mp4"}"#, "neither"),
            (r#"{"version": 1, "job_id": "7"}"#, "neither"),
            (
                r#"{"version": 1, "source": {"key": "a"}, "source": {"key": "b"}}"#,
                "'source' twice",
            ),
            (
                r#"{"version": 1, "source": {"key": "a", "k\u0065y": "b"}}"#,
                "'key' twice",
            ),
            (r#"{"Records": [{"s3": 1, "s3": 2}]}"#, "'s3' twice"),
        ] {
            let message = JobMessage::parse(body).unwrap_err().to_string();
            assert!(message.contains(expected), "{body}: {message}");
        }
    }

    #[test]
    fn a_request_needs_no_version() {
        let parse = |body: &str| JobMessage::parse_request(body).map_err(|poison| poison.to_string());
        let plain = parse(r#"{"source": {"key": "v.mp4"}, "selection": {"fps": 2}}"#).unwrap();
        let whole =
            r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"fps": 2}, "traceparent": "x"}"#;
        assert_eq!(parse(whole), Ok(plain.clone()));
        assert_eq!(JobMessage::parse(whole), Ok(JobMessage::Asked(Box::new(plain))));
        for (body, expected) in [
            (r#"{"version": 2, "source": {"key": "v.mp4"}}"#, "version 2"),
            (r#"{"job_id": "0192d5f2-7c1e-7cc2-8f5e-000000000000"}"#, "neither"),
            ("[]", "not a JSON object"),
        ] {
            let error = parse(body).unwrap_err();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }

    #[test]
    fn messages_above_the_size_limit_are_rejected() {
        let sized = |bytes: usize| {
            let body = r#"{"version": 1, "source": {"key": "v.mp4"}, "client_metadata": "#;
            let padding = " ".repeat(bytes - body.len() - 2);
            format!("{body}{padding}1}}")
        };
        assert!(JobMessage::parse(&sized(MESSAGE_BYTES)).is_ok());
        let refused = JobMessage::parse(&sized(MESSAGE_BYTES + 1))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("262145 bytes"), "{refused}");
    }

    #[test]
    fn a_message_about_an_existing_job_round_trips() {
        let request = JobRequest::read(json!({"key": "ü.mp4"}), Map::new());
        let mut job = VideoJob::new(&request.into_job(None, Duration::MAX), UnixMillis(5));
        let copy = JobCopy {
            record: JobRecord::of(&job).unwrap(),
            written_at: UnixMillis(7),
        };
        assert_eq!(
            JobMessage::parse(&JobMessage::known(&job, UnixMillis(7))),
            Ok(JobMessage::Known(job.id, Some(Box::new(copy))))
        );
        let id = job.id;
        let old = format!(r#"{{"version":1,"job_id":"{id}"}}"#);
        assert_eq!(JobMessage::parse(&old), Ok(JobMessage::Known(id, None)));
        job.options = json!({"selection": {"at": vec![1; COPY_BYTES]}}).into();
        let large = JobMessage::known(&job, UnixMillis(7));
        assert_eq!(JobMessage::parse(&large), Ok(JobMessage::Known(id, None)));
    }

    #[test]
    fn an_invalid_copy_of_a_request_is_ignored() {
        let id = JobId::random();
        for copy in ["7", "{}", r#"{"source": {"key": "../x"}}"#] {
            let body = format!(r#"{{"version":1,"job_id":"{id}","written_at_ms":1,"job":{copy}}}"#);
            assert_eq!(JobMessage::parse(&body), Ok(JobMessage::Known(id, None)));
        }
    }
}
