//! A copy of the request of a job, from which its row can be rebuilt if a restored database lost the row.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::is_allowed_output;
use super::{JobId, JobStatus, LeaseEpoch, NewJob, VideoJob};
use crate::clock::UnixMillis;
use crate::limits::MAX_DEADLINE;
use crate::tenant::{Priority, Tenant};

/// Latest time of a submission, in the year 9999.
const MAX_CREATED_AT_MS: i64 = 253_402_300_799_999;

/// Maximum number of retries, far more than operators request.
const MAX_GENERATION: u32 = 1 << 20;

/// The parts of a row that do not change while its job is processed.
///
/// Messages to workers and the metadata of archives contain a record as compact JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobRecord {
    /// Location of the source, as in the row.
    pub source: Value,
    /// Options of the job, as in the row.
    pub options: Value,
    /// Key for the result, if the client chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Idempotency key.
    pub key: String,
    /// SHA-256 of the request.
    pub payload: String,
    /// JSON from the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_metadata: Option<Value>,
    /// Whether the record lacks the JSON from the client for lack of space.
    #[serde(default, skip_serializing_if = "is_false")]
    pub without_client_metadata: bool,
    /// Sequencer of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
    /// Maximum time for the whole job in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_ms: Option<u64>,
    /// Maximum time from the start of the first attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_limit_ms: Option<u64>,
    /// Number of retries that operators requested.
    #[serde(default)]
    pub generation: u32,
    /// Time of the submission, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// Trace context of the producer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Tenant of the job.
    #[serde(default, skip_serializing_if = "Tenant::is_unnamed")]
    pub tenant: Tenant,
    /// Priority of the job.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
}

/// A copy of the request of a job in a message to the workers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobCopy {
    /// The request.
    pub record: JobRecord,
    /// Time at which the message was written.
    pub written_at: UnixMillis,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // Required by serde.
fn is_false(value: &bool) -> bool {
    !value
}

impl JobRecord {
    /// Returns the record of a job; `None` for a rejected request, which no worker processes.
    #[must_use]
    pub fn of(job: &VideoJob) -> Option<Self> {
        job.source.get().ok()?;
        job.options.get().ok()?;
        let limit = |millis: Option<i64>| millis.and_then(|millis| u64::try_from(millis).ok());
        Some(Self {
            source: job.source.json().clone(),
            options: job.options.json().clone(),
            output: job.output_key.clone(),
            key: job.idempotency_key.clone(),
            payload: job.payload_hash.clone(),
            client_metadata: job.client_metadata.clone(),
            without_client_metadata: false,
            sequencer: job.sequencer.clone(),
            time_limit_ms: limit(job.time_limit_ms),
            work_limit_ms: limit(job.work_limit_ms),
            generation: job.generation,
            created_at_ms: job.created_at.0,
            trace: job.trace.as_ref().map(ToString::to_string),
            tenant: job.tenant.clone(),
            priority: job.priority,
        })
    }

    /// Parses a record from JSON; `None` if a part is missing or invalid.
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        Self::from_value(serde_json::from_str(json).ok()?)
    }

    pub(crate) fn from_value(json: Value) -> Option<Self> {
        let record: Self = serde_json::from_value(json).ok()?;
        let job = record.to_new_job(JobId::random());
        let is_output = record.output.as_deref().is_none_or(is_allowed_output);
        let limit = record.time_limit_ms.map(Duration::from_millis);
        let are_times = limit.is_none_or(|limit| limit <= MAX_DEADLINE)
            && (0..=MAX_CREATED_AT_MS).contains(&record.created_at_ms)
            && record.generation <= MAX_GENERATION;
        (is_output && are_times && job.source.get().is_ok() && job.options.get().is_ok()).then_some(record)
    }

    /// Returns the record as JSON in printable ASCII, of at most `limit` bytes. Without enough space, the record
    /// lacks the JSON from the client; `None` if even this record is too large.
    #[must_use]
    pub fn to_ascii(&self, limit: usize) -> Option<String> {
        let written = |record: &Self| {
            let json = ascii(&serde_json::to_string(record).ok()?);
            (json.len() <= limit).then_some(json)
        };
        written(self).or_else(|| {
            written(&Self {
                client_metadata: None,
                without_client_metadata: true,
                ..self.clone()
            })
        })
    }

    /// Returns the request for the job.
    pub(crate) fn to_new_job(&self, id: JobId) -> NewJob {
        NewJob {
            id,
            idempotency_key: self.key.clone(),
            payload_hash: self.payload.clone(),
            source: self.source.clone().into(),
            options: self.options.clone().into(),
            output_key: self.output.as_deref().and_then(|key| key.parse().ok()),
            client_metadata: self.client_metadata.clone(),
            sequencer: self.sequencer.clone(),
            message_id: None,
            time_limit: self.time_limit_ms.map(Duration::from_millis),
            work_limit: self.work_limit_ms.map(Duration::from_millis),
            rejection: None,
            trace: self.trace.as_deref().and_then(|trace| trace.parse().ok()),
            tenant: self.tenant.clone(),
            priority: self.priority,
        }
    }

    /// Returns the row of the job before its first attempt, if it becomes due at `now`.
    pub(crate) fn to_job(&self, id: JobId, now: UnixMillis) -> VideoJob {
        VideoJob {
            generation: self.generation,
            created_at: UnixMillis(self.created_at_ms.min(now.0)),
            ..VideoJob::new(&self.to_new_job(id), now)
        }
    }
}

impl VideoJob {
    /// Returns a job that was submitted at `now`.
    pub(crate) fn new(new: &NewJob, now: UnixMillis) -> Self {
        let millis = |limit: Option<Duration>| limit.map(crate::clock::millis);
        let time_limit_ms = millis(new.time_limit);
        Self {
            id: new.id,
            status: JobStatus::Pending,
            stage: None,
            frames_done: 0,
            frames_total: 0,
            attempts: 0,
            crash_count: 0,
            generation: 0,
            error_code: None,
            error_message: None,
            result: None,
            source: new.source.clone(),
            options: new.options.clone(),
            output_key: new.output_key.as_ref().map(ToString::to_string),
            client_metadata: new.client_metadata.clone(),
            idempotency_key: new.idempotency_key.clone(),
            payload_hash: new.payload_hash.clone(),
            sequencer: new.sequencer.clone(),
            cancel_requested: false,
            lease_epoch: LeaseEpoch(0),
            lease_owner: None,
            lease_expires_at: None,
            time_limit_ms,
            work_limit_ms: millis(new.work_limit),
            begun_at: None,
            deadline_at: time_limit_ms.map(|limit| UnixMillis(now.0.saturating_add(limit))),
            next_attempt_at: None,
            created_at: now,
            updated_at: now,
            finished_at: None,
            kept_at: None,
            trace: new.trace.clone(),
            tenant: new.tenant.clone(),
            priority: new.priority,
            parked_at: None,
        }
    }
}

/// Escapes the characters of a JSON text that are not printable ASCII.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~') {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            text += &format!("\\u{unit:04x}");
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(metadata: Value) -> VideoJob {
        let new = NewJob {
            id: JobId::random(),
            idempotency_key: "key ü".to_owned(),
            payload_hash: "ab".repeat(32),
            source: json!({"key": "Größe \u{1f3a5}.mp4", "etag": "\"e\""}).into(),
            options: json!({"selection": {"fps": 1}, "renditions": [{}]}).into(),
            output_key: Some("out/ü.zip".parse().unwrap()),
            client_metadata: Some(metadata),
            sequencer: Some("0A".to_owned()),
            message_id: None,
            time_limit: Some(Duration::from_secs(60)),
            work_limit: None,
            rejection: None,
            trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 a=1"
                .parse()
                .ok(),
            tenant: "acme".parse().unwrap(),
            priority: Priority::High,
        };
        VideoJob::new(&new, UnixMillis(1_700_000_000_000))
    }

    #[test]
    fn a_job_is_rebuilt_from_its_record() {
        let mut before = job(json!({"user": "\u{ffff}\n\u{7f}"}));
        before.generation = 2;
        let text = JobRecord::of(&before).unwrap().to_ascii(1600).unwrap();
        assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text}");
        let record = JobRecord::from_json(&text).unwrap();
        assert_eq!(record.to_job(before.id, before.created_at), before);
    }

    #[test]
    fn a_large_record_lacks_the_metadata_of_the_client() {
        let record = JobRecord::of(&job(json!("x".repeat(2000)))).unwrap();
        let text = record.to_ascii(1600).unwrap();
        let read = JobRecord::from_json(&text).unwrap();
        assert!(read.without_client_metadata && read.client_metadata.is_none());
        assert_eq!(record.to_ascii(100), None);
    }

    #[test]
    fn an_invalid_record_is_not_used() {
        let valid = serde_json::to_value(JobRecord::of(&job(Value::Null)).unwrap()).unwrap();
        assert!(JobRecord::from_value(valid.clone()).is_some());
        for (field, value) in [
            ("source", json!({"key": "../x"})),
            ("options", json!({"selection": {"fps": "fast"}})),
            ("output", json!("/root")),
            ("output", json!(format!("results/{}/1.zip", JobId::random()))),
            ("key", json!(7)),
            ("created_at_ms", json!("now")),
            ("created_at_ms", json!(-1)),
            ("created_at_ms", json!(i64::MAX)),
            ("time_limit_ms", json!(i64::MAX)),
            ("generation", json!(u32::MAX)),
            ("tenant", json!("a b")),
            ("priority", json!("highest")),
        ] {
            let mut invalid = valid.clone();
            invalid[field] = value;
            assert_eq!(JobRecord::from_value(invalid.clone()), None, "{invalid}");
        }
    }
}
