//! The messages that workers understand: our own, and what stores tell of objects.

mod events;
mod request;
mod rules;
mod strict;

use serde_json::{Map, Value, json};

pub use self::events::{Events, ObjectEvent};
pub(crate) use self::request::hash;
pub use self::request::{JobRequest, SourceRef};
pub use self::rules::Rules;
use super::JobId;
use crate::limits::MESSAGE_BYTES;

/// Version of our own form; raised when a reader would have to change.
pub const MESSAGE_VERSION: u64 = 1;

/// Why a message cannot even become a failed job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Poison {
    /// It is larger than messages may be.
    #[error("the message has {bytes} bytes, more than the {MESSAGE_BYTES} that are accepted")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// It is not a JSON object, or one that names a field twice.
    #[error("it is not a JSON object: {0}")]
    NotJson(String),
    /// Its version is not one of ours.
    #[error("its version {0} is not known here, {MESSAGE_VERSION} is")]
    UnknownVersion(String),
    /// It names neither a job nor a source.
    #[error("it names neither a job nor a source")]
    NoSource,
    /// It tells of something else, or not all that is needed.
    #[error("no job can be made of this event: {0}")]
    Event(String),
}

/// A message to the workers.
#[derive(Debug, Clone, PartialEq)]
pub enum JobMessage {
    /// About a job that is known.
    Known(JobId),
    /// That asks for a job.
    Asked(Box<JobRequest>),
    /// That tells of new objects: what is asked of them is a matter of [`Rules`].
    Events(Events),
    /// That tells of nothing new: a test of a store's settings, or an object that is gone.
    Nothing,
}

impl JobMessage {
    /// Reads a message: our own form, an S3 event notification, an event of S3 by EventBridge, or one of
    /// these in the envelope of SNS.
    ///
    /// # Errors
    /// [`Poison`] for what can become no job at all. Values that mean nothing make a job that fails.
    pub fn parse(body: &str) -> Result<Self, Poison> {
        if body.len() > MESSAGE_BYTES {
            return Err(Poison::TooLarge { bytes: body.len() });
        }
        let fields = object(body)?;
        match events::enveloped(&fields)? {
            Some(inner) => Self::read(object(inner)?),
            None => Self::read(fields),
        }
    }

    fn read(mut fields: Map<String, Value>) -> Result<Self, Poison> {
        let version = fields.get("version").cloned().unwrap_or(Value::Null);
        if version.as_u64() != Some(MESSAGE_VERSION) {
            return match events::read(&fields)? {
                Some(message) => Ok(message),
                None => Err(Poison::UnknownVersion(shown(&version))),
            };
        }
        if let Some(id) = fields.get("job_id").and_then(Value::as_str) {
            return id.parse().map(Self::Known).map_err(|_| Poison::NoSource);
        }
        let Some(source) = fields.remove("source").filter(|source| source["key"].is_string()) else {
            return Err(Poison::NoSource);
        };
        Ok(Self::Asked(Box::new(JobRequest::read(source, fields))))
    }

    /// The body of a message about a job that is known.
    pub fn known(job: JobId) -> String {
        json!({"version": MESSAGE_VERSION, "job_id": job}).to_string()
    }
}

fn object(body: &str) -> Result<Map<String, Value>, Poison> {
    match strict::parse(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Poison::NotJson("it is another kind of value".to_owned())),
        Err(error) => Err(Poison::NotJson(error.to_string())),
    }
}

/// A value as it may stand in a reason.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_can_become_no_job_is_poison() {
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
    fn a_message_of_any_legal_size_is_read_and_a_larger_one_refused() {
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
    fn a_message_about_a_known_job_is_read_back() {
        let id = JobId::random();
        assert_eq!(
            JobMessage::parse(&JobMessage::known(id)),
            Ok(JobMessage::Known(id))
        );
    }
}
