//! The text of the progress bar for any width.

use std::time::Duration;

/// Number of columns left free. The `^C` printed by a terminal must not wrap the line, since a part of a
/// wrapped line stays when the bar is removed.
pub(super) const MARGIN: usize = 4;
/// Minimum and maximum number of columns of the bar.
const BAR: (usize, usize) = (10, 40);

/// The state of the work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct State {
    pub(super) frames: u64,
    /// Total number of frames; `None` if unknown.
    pub(super) total: Option<u64>,
    pub(super) per_second: f64,
    pub(super) eta: Duration,
}

/// Returns the text for a terminal of `width` columns: as many parts as fit, percentage first.
pub(super) fn line(width: usize, state: &State) -> String {
    let room = width.saturating_sub(MARGIN);
    let rate = format!("{}/s", significant(state.per_second));
    let Some(total) = state.total.filter(|&total| total > 0) else {
        return fitting(room, &[format!("{} frames", state.frames), rate]);
    };
    let share = state.frames.min(total) as f64 / total as f64;
    let parts = [
        format!("{:>3.0} %", (100.0 * share).floor()),
        format!("{}/{total}", state.frames),
        rate,
        format!("ETA {}", clock(state.eta)),
    ];
    with_bar(room, share, &parts)
}

/// The state of an extraction from several videos.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct VideosState {
    /// Number of videos that have ended.
    pub(super) ended: u64,
    pub(super) failed: u64,
    pub(super) total: u64,
    /// Share of the work that is done, 0 to 1.
    pub(super) share: f64,
    /// Videos per second.
    pub(super) per_second: f64,
    pub(super) eta: Duration,
}

/// Returns the text for a terminal of `width` columns: as many parts as fit, percentage first.
pub(super) fn videos_line(width: usize, state: &VideosState) -> String {
    let mut parts = vec![
        format!("{:>3.0} %", (100.0 * state.share).floor()),
        format!("{}/{}", state.ended, state.total),
    ];
    if state.failed > 0 {
        parts.push(format!("{} failed", state.failed));
    }
    parts.push(format!("ETA {}", clock(state.eta)));
    parts.push(format!("{} videos/s", significant(state.per_second)));
    with_bar(width.saturating_sub(MARGIN), state.share, &parts)
}

/// Joins the parts, and adds a bar if all of them and a bar fit into `room` columns.
fn with_bar(room: usize, share: f64, parts: &[String]) -> String {
    let text = fitting(room, parts);
    let bar = room.saturating_sub(text.chars().count() + 2).min(BAR.1);
    if bar < BAR.0 || !parts.last().is_some_and(|last| text.ends_with(last)) {
        return text;
    }
    let full = (bar as f64 * share) as usize;
    format!(
        "{}{}  {text}",
        "█".repeat(full),
        "░".repeat(bar.saturating_sub(full))
    )
}

/// Joins the first parts, as many as fit into `room` columns.
fn fitting(room: usize, parts: &[String]) -> String {
    let mut line = String::new();
    for part in parts {
        let gap = if line.is_empty() { "" } else { "  " };
        if line.chars().count() + gap.len() + part.chars().count() > room {
            break;
        }
        line += gap;
        line += part;
    }
    line
}

/// Formats a value with three significant digits: `79.3`, `1.23k`.
fn significant(value: f64) -> String {
    let (value, unit) = match value {
        value if !value.is_finite() || value <= 0.0 => return "0".to_owned(),
        value if value >= 999_500.0 => (value / 1e6, "M"),
        value if value >= 999.5 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let decimals = match value {
        value if value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        value if value >= 0.9995 => 2,
        value if value >= 0.09995 => 3,
        _ => 4,
    };
    format!("{value:.decimals$}{unit}")
}

/// Formats a duration: `0:09`, `1:02:03`, `2d 03:04`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{:02}", seconds % 60),
        (0, _) => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        (1..=999, _) => format!("{days}d {hours:02}:{minutes:02}"),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_significant_digits() {
        for (rate, shown) in [
            (0.0, "0"),
            (f64::NAN, "0"),
            (0.01234, "0.0123"),
            (1.0, "1.00"),
            (9.999, "10.0"),
            (79.3445, "79.3"),
            (99.96, "100"),
            (999.6, "1.00k"),
            (1234.0, "1.23k"),
            (2_500_000.0, "2.50M"),
        ] {
            assert_eq!(significant(rate), shown, "{rate}");
        }
    }

    #[test]
    fn line_fits_every_width_and_starts_with_the_percentage() {
        let state = State {
            frames: 4_500,
            total: Some(10_000),
            per_second: 79.3445,
            eta: Duration::from_secs(69),
        };
        let all = " 45 %  4500/10000  79.3/s  ETA 1:09";
        for (width, expected) in [
            (0, String::new()),
            (9, " 45 %".to_owned()),
            (30, " 45 %  4500/10000  79.3/s".to_owned()),
            (40, all.to_owned()),
            (60, format!("{}{}  {all}", "█".repeat(8), "░".repeat(11))),
            (120, format!("{}{}  {all}", "█".repeat(18), "░".repeat(22))),
        ] {
            assert_eq!(line(width, &state), expected, "{width}");
        }
        for width in 0..200 {
            assert!(line(width, &state).chars().count() <= width.saturating_sub(MARGIN));
        }
    }

    #[test]
    fn several_videos_show_failures_and_fit_every_width() {
        let state = VideosState {
            ended: 450,
            failed: 2,
            total: 1000,
            share: 0.45,
            per_second: 79.3445,
            eta: Duration::from_secs(7),
        };
        let all = " 45 %  450/1000  2 failed  ETA 0:07  79.3 videos/s";
        for (width, expected) in [
            (20, " 45 %  450/1000".to_owned()),
            (40, " 45 %  450/1000  2 failed  ETA 0:07".to_owned()),
            (56, all.to_owned()),
            (80, format!("{}{}  {all}", "█".repeat(10), "░".repeat(14))),
        ] {
            assert_eq!(videos_line(width, &state), expected, "{width}");
        }
        for width in 0..200 {
            assert!(videos_line(width, &state).chars().count() <= width.saturating_sub(MARGIN));
        }
    }

    #[test]
    fn an_unknown_total_gives_no_percentage() {
        let state = State {
            frames: 7,
            total: None,
            per_second: 2.0,
            eta: Duration::ZERO,
        };
        assert_eq!(line(80, &state), "7 frames  2.00/s");
        let done = State {
            frames: 11,
            total: Some(10),
            eta: Duration::MAX,
            ..state
        };
        assert!(line(40, &done).starts_with("100 %  11/10"));
    }
}
