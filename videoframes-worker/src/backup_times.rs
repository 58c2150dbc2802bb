//! The times of the last backup and the last restore test, in a file in the text format of Prometheus. Backup jobs
//! write the file, workers and the textfile collector of the node exporter read it.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use videoframes_core::storage::{FileSink, IfExists, Sink, StorageError};

/// Maximum size of a file in bytes.
const MAX_SIZE: u64 = 64 << 10;

/// An operation whose last success is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Backup,
    RestoreTest,
}

impl Operation {
    pub(crate) const ALL: [Self; 2] = [Self::Backup, Self::RestoreTest];

    /// Returns the name of the metric.
    pub(crate) const fn metric(self) -> &'static str {
        match self {
            Self::Backup => "videoframes_backup_last_success_timestamp_seconds",
            Self::RestoreTest => "videoframes_restore_test_last_success_timestamp_seconds",
        }
    }

    /// Returns the meaning of the metric.
    pub(crate) const fn help(self) -> &'static str {
        match self {
            Self::Backup => "Unix time of the last successful backup; 0 if none is known.",
            Self::RestoreTest => "Unix time of the last successful restore test; 0 if none is known.",
        }
    }
}

/// Records that `operation` succeeded now. The file keeps the time of the other operation.
pub(crate) async fn record(file: &Path, operation: Operation) -> Result<(), StorageError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = render(&read(file), operation, now.as_secs());
    let mut sink = FileSink::create(file, IfExists::Replace)?;
    sink.write(text.into()).await?;
    Box::new(sink).finish().await
}

/// Returns the text of a file; empty if the file is missing or unreadable.
fn read(file: &Path) -> String {
    let small = std::fs::metadata(file).is_ok_and(|file| file.is_file() && file.len() <= MAX_SIZE);
    match small {
        true => std::fs::read_to_string(file).unwrap_or_default(),
        false => String::new(),
    }
}

/// Returns the recorded time of an operation, if any.
pub(crate) fn last(file: &Path, operation: Operation) -> Option<f64> {
    time_in(&read(file), operation)
}

/// Returns the newest time of an operation in a text.
fn time_in(text: &str, operation: Operation) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.trim().strip_prefix(operation.metric())?;
        let rest = match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}')?.1,
            None => rest,
        };
        let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
        (value.is_finite() && value >= 0.0).then_some(value)
    });
    values.reduce(f64::max)
}

/// Returns the new text of a file with the text `before`.
fn render(before: &str, operation: Operation, seconds: u64) -> String {
    let mut text = String::new();
    for each in Operation::ALL {
        let value = match each == operation {
            true => Some(seconds as f64),
            false => time_in(before, each),
        };
        if let Some(value) = value {
            let (name, help) = (each.metric(), each.help());
            text += &format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_valid_time_counts() {
        let name = Operation::Backup.metric();
        for (text, expected) in [
            (String::new(), None),
            (format!("{name} 1764356789\n"), Some(1_764_356_789.0)),
            (format!("{name}{{job=\"x\"}} 5\n{name} 4\n"), Some(5.0)),
            (format!("{name} 1.764e9\n"), Some(1.764e9)),
            (format!("{name} NaN\n{name} -1\n{name}\n{name}_total 7"), None),
            (format!("# TYPE {name} gauge\n"), None),
        ] {
            assert_eq!(time_in(&text, Operation::Backup), expected, "{text}");
        }
    }

    #[test]
    fn a_file_keeps_the_time_of_the_other_operation() {
        let first = render("garbage\n", Operation::Backup, 10);
        let both = render(&first, Operation::RestoreTest, 20);
        let again = render(&both, Operation::Backup, 30);
        let times = Operation::ALL.map(|operation| time_in(&again, operation).unwrap());
        assert_eq!(times, [30.0, 20.0]);
        assert_eq!(again.lines().count(), 6, "{again}");
    }

    #[tokio::test]
    async fn times_are_recorded_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("videoframes.prom");
        assert_eq!(last(&file, Operation::Backup), None);
        record(&file, Operation::Backup).await.unwrap();
        assert!(last(&file, Operation::Backup).unwrap() > 1.7e9);
        assert_eq!(last(&file, Operation::RestoreTest), None);
        record(&folder.path().join("missing/x.prom"), Operation::Backup)
            .await
            .unwrap_err();
    }
}
