//! The printed result of a backup or a restore.

use std::path::Path;

use serde_json::{Value, json};
use videoframes_core::backup::BackupFacts;

/// Tables that users know, with their names in the report.
const KNOWN: [(&str, &str); 3] = [
    ("video_jobs", "jobs"),
    ("outbox", "outbox messages"),
    ("queue_messages", "queue messages"),
];

/// Returns the facts as one line of text.
pub(super) fn line(file: &Path, facts: &BackupFacts) -> String {
    let counts = KNOWN.iter().filter_map(|(table, name)| {
        let rows = facts.rows.get(*table)?;
        Some(format!("{rows} {name}"))
    });
    let counts: Vec<String> = counts.collect();
    format!(
        "{}: {}, {} bytes, schema {}\n",
        file.display(),
        counts.join(", "),
        facts.bytes,
        facts.schema
    )
}

/// Returns the facts as JSON.
pub(super) fn object(file: &Path, facts: &BackupFacts) -> Value {
    json!({
        "file": file.display().to_string(),
        "bytes": facts.bytes,
        "schema": facts.schema,
        "rows": facts.rows,
    })
}
