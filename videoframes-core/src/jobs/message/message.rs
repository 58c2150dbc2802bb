//! A message to the workers.

use serde_json::{Map, Value, json};

use super::events::{self, Events};
use super::poison::{MESSAGE_VERSION, Poison, shown};
use super::request::JobRequest;
use super::strict;
use crate::jobs::JobId;
use crate::limits::MESSAGE_BYTES;
use crate::trace::TraceContext;

/// A message to the workers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum JobMessage {
    /// Names an existing job.
    Known(JobId),
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
        // The trace context is no part of the request.
        for name in [TraceContext::TRACEPARENT, TraceContext::TRACESTATE] {
            fields.remove(name);
        }
        if let Some(id) = fields.get("job_id").and_then(Value::as_str) {
            return id.parse().map(Self::Known).map_err(|_| Poison::NoSource);
        }
        let Some(source) = fields.remove("source").filter(|source| source["key"].is_string()) else {
            return Err(Poison::NoSource);
        };
        Ok(Self::Asked(Box::new(JobRequest::read(source, fields))))
    }

    /// Returns the body of a message that names an existing job.
    pub fn known(job: JobId) -> String {
        json!({"version": MESSAGE_VERSION, "job_id": job}).to_string()
    }
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
        let id = JobId::random();
        assert_eq!(
            JobMessage::parse(&JobMessage::known(id)),
            Ok(JobMessage::Known(id))
        );
    }
}
