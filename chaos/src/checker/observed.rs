//! What the checker has observed from outside.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::archive::Archive;

/// A violation of the invariant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Violation {
    /// The job, object or worker.
    pub(crate) subject: String,
    pub(crate) text: String,
}

impl Violation {
    pub(crate) fn new(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            text: text.into(),
        }
    }
}

/// A row of the table of jobs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// Key of the source.
    pub(crate) source: String,
    pub(crate) status: String,
    pub(crate) generation: i64,
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) result_key: Option<String>,
    pub(crate) result_sha256: Option<String>,
    pub(crate) result_size: Option<u64>,
    pub(crate) result_frames: Option<u64>,
    pub(crate) finished_at: Option<i64>,
    /// Whether the job waits for the limit of its tenant.
    pub(crate) is_parked: bool,
    /// Keys and checksums of renditions.
    pub(crate) renditions: Vec<(String, String)>,
}

impl Row {
    /// Reads a row of `video_jobs`.
    pub(crate) fn from_json(row: &Value) -> Self {
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let json = |name: &str| -> Value {
            row[name]
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default()
        };
        let renditions = json("result_renditions");
        let renditions = renditions
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|rendition| {
                let field = |name: &str| rendition[name].as_str().map(str::to_owned);
                Some((field("key")?, field("sha256")?))
            });
        Self {
            id: text("id").unwrap_or_default(),
            source: json("source")["key"].as_str().unwrap_or_default().to_owned(),
            status: text("status").unwrap_or_default(),
            generation: row["generation"].as_i64().unwrap_or_default(),
            error_code: text("error_code"),
            error_message: text("error_message"),
            result_key: text("result_key"),
            result_sha256: text("result_sha256"),
            result_size: row["result_size"].as_u64(),
            result_frames: row["result_frames"].as_u64(),
            finished_at: row["finished_at"].as_i64(),
            is_parked: row["parked_at"].is_i64(),
            renditions: renditions.collect(),
        }
    }

    /// Returns whether the job has ended.
    pub(crate) fn is_terminal(&self) -> bool {
        ["completed", "failed", "cancelled"].contains(&self.status.as_str())
    }

    /// Returns `completed` or the error code.
    pub(crate) fn outcome(&self) -> &str {
        match self.status.as_str() {
            "completed" => "completed",
            _ => self.error_code.as_deref().unwrap_or_default(),
        }
    }
}

/// A notification.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) job: String,
    pub(crate) generation: i64,
    pub(crate) status: String,
    /// Bucket, key and checksum of the result.
    pub(crate) result: Option<(String, String, String)>,
    /// The whole notification, without the time of sending.
    pub(crate) content: Value,
}

impl Event {
    /// Reads a notification; `None` if it is none.
    pub(crate) fn from_json(event: &Value) -> Option<Self> {
        let data = &event["data"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let result = &data["result"];
        Some(Self {
            id: text(&event["id"])?,
            job: text(&data["job_id"])?,
            generation: data["generation"].as_i64()?,
            status: text(&data["status"])?,
            result: text(&result["key"])
                .and_then(|key| Some((text(&result["bucket"])?, key, text(&result["sha256"])?))),
            content: data.clone(),
        })
    }
}

/// An object that a row or a notification names: bucket and key.
pub(crate) type Object = (String, String);

/// The state of the servers after the run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    pub(crate) rows: Vec<Row>,
    pub(crate) events: Vec<Event>,
    /// Messages of the notifier queue that are no notifications.
    pub(crate) strange_events: Vec<String>,
    pub(crate) letters: Vec<String>,
    /// Objects that rows or notifications name: the archive, or the reason why it is none.
    pub(crate) archives: BTreeMap<Object, Result<Archive, String>>,
    /// Checksums of renditions that exist.
    pub(crate) renditions: BTreeMap<String, String>,
    /// Keys below `results/`.
    pub(crate) results: BTreeSet<String>,
    /// Keys of incomplete uploads.
    pub(crate) uploads: BTreeSet<String>,
    /// Keys of foreign objects that were changed.
    pub(crate) changed: Vec<String>,
    /// Messages in the outbox that were not sent.
    pub(crate) unsent: u64,
    /// Messages in the input queue.
    pub(crate) waiting: u64,
}
