//! Terminal output of progress bars.

use std::io::{self, Write};

use indicatif::TermLike;

use super::line::MARGIN;

/// The terminal of stderr, reported without its last columns.
///
/// indicatif pads a line with spaces to the reported width. With the full width, the `^C` printed by a
/// terminal would wrap, and the line above would stay when the bar is removed.
#[derive(Debug)]
pub(super) struct Stderr;

/// Returns the columns and rows of the terminal, which may change at any time.
fn size() -> (u16, u16) {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.map_or((80, 24), |size| (size.ws_col.max(1), size.ws_row.max(1)))
}

/// Returns the columns of the terminal.
pub(super) fn columns() -> usize {
    usize::from(size().0)
}

fn write(text: &str) -> io::Result<()> {
    io::stderr().write_all(text.as_bytes())
}

fn move_cursor(n: usize, direction: char) -> io::Result<()> {
    match n {
        0 => Ok(()),
        _ => write(&format!("\u{1b}[{n}{direction}")),
    }
}

impl TermLike for Stderr {
    fn width(&self) -> u16 {
        let margin = u16::try_from(MARGIN).unwrap_or(u16::MAX);
        size().0.saturating_sub(margin).max(1)
    }

    fn height(&self) -> u16 {
        size().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        move_cursor(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        move_cursor(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        move_cursor(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        move_cursor(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        write(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        write(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        write("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}
