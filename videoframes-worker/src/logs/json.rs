//! A log line as a flat JSON object.

use serde_json::{Map, Value};
use videoframes_core::text::printable_json;

use super::record::Record;
use crate::service;

/// Returns the line without a line break. `timestamp` is in RFC 3339.
///
/// Fields of the record follow the fixed fields and cannot replace them.
pub(super) fn line(record: Record, timestamp: String) -> String {
    let mut object = Map::new();
    let fixed = [
        ("timestamp", timestamp),
        ("level", record.level.to_string()),
        ("message", record.message),
        ("target", record.target),
        ("service.name", service::NAME.to_owned()),
        ("service.version", service::VERSION.to_owned()),
    ];
    for (name, value) in fixed {
        object.insert(name.to_owned(), Value::String(value));
    }
    if let Some(instance) = service::instance() {
        object.insert("service.instance.id".to_owned(), instance.into());
    }
    for (name, value) in record.fields {
        object.entry(name).or_insert(value);
    }
    printable_json(&Value::Object(object).to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tracing::Level;

    use super::*;

    #[test]
    fn lines_are_flat_and_fixed_fields_cannot_be_replaced() {
        let mut fields = Map::new();
        fields.insert("job.id".to_owned(), "j".into());
        fields.insert("level".to_owned(), "forged".into());
        fields.insert("input.key".to_owned(), "a\u{1b}[2J\u{2028}\nb".into());
        let record = Record {
            level: Level::WARN,
            target: "core".to_owned(),
            message: "job failed".to_owned(),
            fields,
        };
        let line = line(record, "2026-11-28T12:00:00.000000Z".to_owned());
        assert!(line.chars().all(|c| !c.is_control() && c != '\u{2028}'), "{line}");
        let value: Value = serde_json::from_str(&line).expect("a line is JSON");
        assert_eq!(
            value,
            json!({
                "timestamp": "2026-11-28T12:00:00.000000Z",
                "level": "WARN",
                "message": "job failed",
                "target": "core",
                "service.name": "vf-worker",
                "service.version": env!("CARGO_PKG_VERSION"),
                "job.id": "j",
                "input.key": "a\u{1b}[2J\u{2028}\nb",
            })
        );
    }
}
