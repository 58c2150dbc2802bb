//! The terminal: its width, text that fits, and a line that changes.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use videoframes_core::text::printable;

/// Width if the terminal does not know it.
const COLUMNS: usize = 80;
/// Columns that stay free: a terminal prints `^C` there, which must not wrap.
const MARGIN: usize = 4;

/// Returns the number of columns of a terminal, or `None` for another file.
pub(crate) fn columns(stream: impl AsFd + IsTerminal) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream);
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    Some(if columns == 0 { COLUMNS } else { columns })
}

/// Returns the number of columns that a printable text occupies.
pub(crate) fn width_of(text: &str) -> usize {
    text.width()
}

/// Returns a text without control characters, cut to a number of columns.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    let text = printable(text);
    if text.width() <= columns {
        return text.into_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        kept.push(c);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The last line of the terminal on stderr, which shows progress. Shows nothing if stderr is not a terminal.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    shown: String,
    is_terminal: bool,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        Self {
            shown: String::new(),
            is_terminal: io::stderr().is_terminal(),
        }
    }

    /// Returns whether the line is visible.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Replaces the text.
    pub(crate) fn show(&mut self, text: &str) {
        let Some(columns) = columns(io::stderr()) else {
            return;
        };
        let text = cut(text, columns.saturating_sub(MARGIN));
        if text != self.shown {
            write(&format!("\r{text}\u{1b}[K"));
            self.shown = text;
        }
    }

    /// Removes the text, before other output.
    pub(crate) fn clear(&mut self) {
        if !self.shown.is_empty() {
            write("\r\u{1b}[K");
            self.shown.clear();
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Progress is optional: errors are ignored.
fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_columns() {
        for (text, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("動画", 4, "動画"),
            ("動画x", 4, "動…"),
            ("a\u{1b}b", 8, "a\\u{1b}b"),
            ("a\nb", 3, "a\\…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
            ("", 0, ""),
        ] {
            assert_eq!(cut(text, columns), expected, "{text:?} {columns}");
            assert!(width_of(&cut(text, columns)) <= columns);
        }
    }
}
