//! The table of jobs. Pure.

use std::fmt::Write;

use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::VideoJob;
use videoframes_core::text::printable;

use super::progress;
use crate::terminal::cut;

/// Minimum width of the last columns.
const MIN_TAIL: usize = 18;
/// Maximum width of the column of videos on a terminal, and its width elsewhere.
const VIDEO: usize = 24;
/// Width of the column of tenants, whose longer names are cut on a terminal.
const TENANT: usize = 12;
/// Space between two columns.
const GAP: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Id,
    Status,
    Progress,
    Attempts,
    Duration,
    Created,
    Priority,
    Tenant,
    Video,
    Error,
    /// The error, if there is one, else the video.
    VideoOrError,
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Status => "status",
            Self::Progress => "progress",
            Self::Attempts => "attempts",
            Self::Duration => "duration",
            Self::Created => "created",
            Self::Priority => "priority",
            Self::Tenant => "tenant",
            Self::Video => "video",
            Self::Error => "error",
            Self::VideoOrError => "video or error",
        }
    }

    /// Returns the width of a column; `None` for a column whose width depends on the terminal.
    fn width(self) -> Option<usize> {
        match self {
            Self::Id => Some(36),
            Self::Status => Some(10),
            Self::Progress | Self::Attempts | Self::Duration | Self::Priority => Some(8),
            Self::Tenant => Some(TENANT),
            Self::Created => Some(19),
            Self::Video | Self::Error | Self::VideoOrError => None,
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Progress | Self::Attempts | Self::Duration)
    }

    fn value(self, job: &VideoJob, now: UnixMillis) -> String {
        match self {
            Self::Id => job.id.to_string(),
            Self::Status => job.status.to_string(),
            Self::Progress => progress::short(job),
            Self::Attempts => job.attempts.to_string(),
            Self::Duration => progress::duration(job, now).map_or_else(|| "-".to_owned(), progress::human),
            Self::Created => {
                let created = job.created_at.to_string();
                created.get(..19).unwrap_or(&created).to_owned()
            }
            Self::Priority => job.priority.to_string(),
            Self::Tenant => job.tenant.name().unwrap_or("-").to_owned(),
            Self::Video => video(job).to_owned(),
            Self::Error => error(job).unwrap_or_else(|| "-".to_owned()),
            Self::VideoOrError => error(job).unwrap_or_else(|| video(job).to_owned()),
        }
    }
}

/// Returns the last part of the key of the source.
pub(crate) fn video(job: &VideoJob) -> &str {
    let key = job.source_key().unwrap_or("?");
    key.rsplit('/').next().unwrap_or(key)
}

/// Returns code and message of the last error.
pub(super) fn error(job: &VideoJob) -> Option<String> {
    job.error()
        .map(|error| format!("{}: {}", error.code, error.message))
}

/// A table with one line per job.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Columns with the width to pad to, and whether longer values are cut.
    columns: Vec<(Column, usize, bool)>,
}

impl Table {
    /// Creates a table that fits a terminal of `width` columns. Without a terminal, the table has all columns, and
    /// no value is cut.
    pub(super) fn new(width: Option<usize>) -> Self {
        use Column::{
            Attempts, Created, Duration, Error, Id, Priority, Progress, Status, Tenant, Video, VideoOrError,
        };
        let of = |columns: &[Column]| -> Vec<(Column, usize, bool)> {
            let width = |column: &Column| column.width().unwrap_or(VIDEO);
            columns.iter().map(|c| (*c, width(c), false)).collect()
        };
        let Some(width) = width else {
            let columns = [
                Id, Status, Progress, Attempts, Duration, Created, Priority, Tenant, Video, Error,
            ];
            return Self {
                columns: of(&columns),
            };
        };
        let mut columns = of(&[Id, Status]);
        let used = |columns: &[(Column, usize, bool)]| -> usize {
            columns.iter().map(|(_, width, _)| width + GAP).sum()
        };
        for (column, tail) in [
            (Progress, MIN_TAIL),
            (Duration, 2 * MIN_TAIL),
            (Attempts, 2 * MIN_TAIL),
            (Created, 2 * MIN_TAIL),
            (Priority, 2 * MIN_TAIL),
            (Tenant, 2 * MIN_TAIL),
        ] {
            let next = of(&[column]);
            if used(&columns) + used(&next) + tail <= width {
                columns.extend(
                    next.into_iter()
                        .map(|(column, width, _)| (column, width, column == Tenant)),
                );
            }
        }
        let tail = width.saturating_sub(used(&columns));
        match tail {
            0 => {}
            _ if tail < 2 * MIN_TAIL => columns.push((VideoOrError, tail, true)),
            _ => {
                let video = (tail * 2 / 5).min(VIDEO);
                columns.push((Video, video, true));
                columns.push((Error, tail - video - GAP, true));
            }
        }
        Self { columns }
    }

    pub(super) fn heading(&self) -> String {
        self.line(|column| column.heading().to_owned())
    }

    pub(super) fn row(&self, job: &VideoJob, now: UnixMillis) -> String {
        self.line(|column| column.value(job, now))
    }

    fn line(&self, value: impl Fn(Column) -> String) -> String {
        let mut line = String::new();
        for (number, (column, width, is_cut)) in self.columns.iter().enumerate() {
            if number > 0 {
                line.push_str("  ");
            }
            let value = value(*column);
            let value = match is_cut {
                true => cut(&value, *width),
                false => printable(&value).into_owned(),
            };
            let padding = width.saturating_sub(crate::terminal::width_of(&value));
            // Writing to a string cannot fail.
            let _ = match column.is_number() {
                true => write!(line, "{:padding$}{value}", ""),
                false => write!(line, "{value}{:padding$}", ""),
            };
        }
        format!("{}\n", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::tests::job;
    use super::*;

    fn headings(width: Option<usize>) -> String {
        let heading = Table::new(width).heading();
        heading.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_narrow_table_has_fewer_columns() {
        for (width, expected) in [
            (30, "id status"),
            (66, "id status video or error"),
            (80, "id status progress video or error"),
            (100, "id status progress video error"),
            (110, "id status progress duration video error"),
            (120, "id status progress duration attempts video error"),
            (140, "id status progress duration attempts created video error"),
            (
                150,
                "id status progress duration attempts created priority video error",
            ),
            (
                180,
                "id status progress duration attempts created priority tenant video error",
            ),
        ] {
            assert_eq!(headings(Some(width)), expected, "{width}");
        }
        assert_eq!(
            headings(None),
            "id status progress attempts duration created priority tenant video error"
        );
    }

    #[test]
    fn lines_fit_the_terminal_and_are_whole_elsewhere() {
        let mut job = job();
        job.source = serde_json::json!({"key": "a/動画動画動画動画動画動画動画動画動画\u{1b}[2J.mp4"}).into();
        let now = job.created_at;
        let message = "the video is damaged\nat 7 s, and then much more text";
        for error in [None, Some(message)] {
            job.error_code = error.map(|_| "DAMAGED_VIDEO".to_owned());
            job.error_message = error.map(str::to_owned);
            for width in 50..200 {
                let line = Table::new(Some(width)).row(&job, now);
                let columns = crate::terminal::width_of(line.trim_end());
                assert!(columns <= width, "{width}: {line}");
                assert!(!line.trim_end().contains(char::is_control), "{line}");
            }
            let line = Table::new(None).row(&job, now);
            assert!(line.contains("\\u{1b}[2J.mp4"), "{line}");
            let whole = "DAMAGED_VIDEO: the video is damaged\\nat 7 s, and then much more text\n";
            assert_eq!(line.ends_with(whole), error.is_some(), "{line}");
        }
    }
}
