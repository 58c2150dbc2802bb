//! A log line as text.

use std::fmt::Write;

use serde_json::Value;
use videoframes_core::text::printable;

use super::record::Record;

/// Indentation of continued lines on a terminal.
const INDENT: usize = 15;

/// Returns the text of a record on one line, without a line break.
///
/// With a width in columns, long lines wrap onto indented lines, for reading in a terminal.
pub(super) fn line(record: &Record, timestamp: &str, width: Option<usize>) -> String {
    let mut words = vec![printable(&record.message).into_owned()];
    for (name, value) in &record.fields {
        words.push(format!("{name}={}", shown(value)));
    }
    let start = format!("{timestamp} {:>5}", record.level.as_str());
    match width {
        None => format!("{start} {}", words.join(" ")),
        Some(width) => wrapped(&start, &words, width),
    }
}

/// Returns a value as one word: strings with spaces are quoted.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let text = printable(text);
            match text.is_empty() || text.contains([' ', '"', '=']) {
                true => format!("\"{}\"", text.replace('"', "\\\"")),
                false => text.into_owned(),
            }
        }
        other => other.to_string(),
    }
}

/// Breaks lines between words where possible, and inside words that are longer than a line.
fn wrapped(start: &str, words: &[String], width: usize) -> String {
    let width = width.max(INDENT + 20);
    let mut text = start.to_owned();
    let mut column = start.chars().count();
    for word in words.iter().flat_map(|word| word.split(' ')) {
        let length = word.chars().count();
        if column + 1 + length > width && column > INDENT {
            let _ = write!(text, "\n{:INDENT$}", "");
            column = INDENT;
        } else {
            text.push(' ');
            column += 1;
        }
        for c in word.chars() {
            if column == width {
                let _ = write!(text, "\n{:INDENT$}", "");
                column = INDENT;
            }
            text.push(c);
            column += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Map;
    use tracing::Level;

    use super::*;

    fn record(key: &str) -> Record {
        let mut fields = Map::new();
        fields.insert("job.attempt".to_owned(), 2.into());
        fields.insert("input.key".to_owned(), key.into());
        Record {
            level: Level::INFO,
            target: "core".to_owned(),
            message: "job completed".to_owned(),
            fields,
        }
    }

    #[test]
    fn text_has_one_line_without_control_characters() {
        assert_eq!(
            line(&record("a b\n\u{1b}c"), "12:00:00", None),
            r#"12:00:00  INFO job completed input.key="a b\n\u{1b}c" job.attempt=2"#
        );
    }

    #[test]
    fn every_line_fits_the_width_of_a_terminal() {
        for key in ["a.mp4".to_owned(), "k".repeat(300), "a b ".repeat(70)] {
            for width in [60, 80, 120] {
                let text = line(&record(&key), "12:00:00", Some(width));
                assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
                let unbroken = |text: &str| text.replace(['\n', ' '], "");
                assert_eq!(
                    unbroken(&text),
                    unbroken(&line(&record(&key), "12:00:00", None)),
                    "nothing is lost"
                );
            }
        }
    }
}
