//! Which events are reported, and what a report contains.

use serde_json::Value;
use tracing::Level;
use videoframes_core::jobs::ErrorCode;

use super::scrub::scrub;
use crate::logs::Record;

/// Fields that are sent: numbers, identifiers and names of this project, never texts of clients.
const TAGS: &[&str] = &[
    "job.id",
    "job.attempt",
    "lease.epoch",
    "messaging.message.id",
    "receive_count",
    "stage",
    "error.retryable",
    "exit_code",
    "ffmpeg.exit_code",
    "duration_ms",
    "trace_id",
];

/// A report of an error.
#[derive(Debug, PartialEq)]
pub(super) struct Report {
    /// Whether the error is more than a warning.
    pub(super) is_error: bool,
    /// Type of the error.
    pub(super) kind: String,
    /// Where the error occurred: a source file or a module.
    pub(super) place: String,
    pub(super) message: String,
    pub(super) detail: Option<String>,
    pub(super) tags: Vec<(String, String)>,
}

impl Report {
    /// Returns the report of an event; `None` if the event is no failure of the system.
    ///
    /// Reported are all events of the level ERROR, and warnings with an error type, unless the request or its video is
    /// the reason.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let text = |name: &str| record.fields.get(name).and_then(Value::as_str);
        let kind = text("error.type");
        let is_error = record.level == Level::ERROR;
        if !(is_error || kind.is_some_and(is_system_fault)) {
            return None;
        }
        let message = scrub(&record.message);
        // Lines change with every version, files seldom.
        let file = text("panic.location").and_then(|location| location.split(':').next());
        let tag = |name: &&str| {
            let value = record.fields.get(*name)?;
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Some(((*name).to_owned(), value))
        };
        Some(Self {
            is_error,
            kind: kind.map_or_else(|| without_digits(&message), str::to_owned),
            place: file.unwrap_or(&record.target).to_owned(),
            detail: text("error.message").map(scrub),
            tags: TAGS.iter().filter_map(tag).collect(),
            message,
        })
    }
}

fn is_system_fault(code: &str) -> bool {
    ErrorCode::from_name(code).is_none_or(ErrorCode::is_system_fault)
}

/// Makes messages that differ only in numbers the same type.
fn without_digits(message: &str) -> String {
    message.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(level: Level, message: &str, fields: Value) -> Record {
        let fields = fields.as_object().cloned().unwrap_or_default();
        Record {
            level,
            target: "videoframes_core::processor::attempt".to_owned(),
            message: message.to_owned(),
            fields,
        }
    }

    #[test]
    fn failures_of_the_system_are_reported_and_failures_of_requests_are_not() {
        for (level, fields, reported) in [
            (Level::ERROR, json!({}), true),
            (Level::WARN, json!({}), false),
            (Level::INFO, json!({"error.type": "CANCELLED"}), false),
            (Level::WARN, json!({"error.type": "DECODER_FAILED"}), true),
            (Level::WARN, json!({"error.type": "NOT_A_VIDEO"}), false),
            (Level::WARN, json!({"error.type": "DAMAGED_VIDEO"}), false),
            (Level::WARN, json!({"error.type": "NO_SPACE"}), true),
        ] {
            let report = Report::of(&record(level, "job failed", fields.clone()));
            assert_eq!(report.is_some(), reported, "{fields}");
        }
    }

    #[test]
    fn reports_have_listed_fields_only_and_group_by_type_and_place() {
        let fields = json!({
            "error.type": "DECODER_FAILED", "error.message": "'secret/talk.mp4' failed",
            "job.id": "j", "job.attempt": 2, "input.key": "secret/talk.mp4", "ffmpeg.stderr_tail": "secret",
        });
        let report = Report::of(&record(Level::WARN, "job failed", fields));
        let expected = Report {
            is_error: false,
            kind: "DECODER_FAILED".to_owned(),
            place: "videoframes_core::processor::attempt".to_owned(),
            message: "job failed".to_owned(),
            detail: Some("'…' failed".to_owned()),
            tags: [("job.id", "j"), ("job.attempt", "2")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        };
        assert_eq!(report, Some(expected));

        let panic = |location: &str| {
            let fields = json!({"error.type": "panic", "panic.location": location});
            let report = Report::of(&record(Level::ERROR, "thread panicked", fields));
            report.map(|report| (report.kind, report.place))
        };
        assert_eq!(
            panic("src/a.rs:1:2"),
            Some(("panic".to_owned(), "src/a.rs".to_owned()))
        );
        assert_eq!(panic("src/a.rs:1:2"), panic("src/a.rs:30:4"));
        assert_ne!(panic("src/a.rs:1:2"), panic("src/b.rs:1:2"));
    }

    #[test]
    fn alerts_and_reports_agree_about_failures_of_the_system() {
        let rules = include_str!("../../../deploy/monitoring/prometheus/videoframes.rules.yml");
        let excluded = rules
            .split("error_type!~\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let excluded: Vec<&str> = excluded.unwrap_or_default().split('|').collect();
        for code in ErrorCode::ALL {
            // A job with one of these codes counts as cancelled.
            let is_cancellation = matches!(code, ErrorCode::Cancelled | ErrorCode::Superseded);
            let is_excluded = is_cancellation || excluded.contains(&code.as_str());
            assert_eq!(code.is_system_fault(), !is_excluded, "{}", code.as_str());
        }
    }
}
