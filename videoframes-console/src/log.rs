//! Logs with one line per event.

use std::io::{self, Stderr, Write};

use tracing_subscriber::fmt::MakeWriter;
use videoframes_core::text::{printable, printable_json};

/// Writes each log event to stderr as one line without control or format characters, so that untrusted text
/// cannot forge another event.
#[derive(Debug, Clone, Copy)]
pub enum OneLine {
    /// Events as text.
    Text,
    /// Events as JSON; escaped characters keep their value.
    Json,
}

impl<'a> MakeWriter<'a> for OneLine {
    type Writer = LineWriter<Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter {
            form: *self,
            inner: io::stderr(),
        }
    }
}

/// Treats each write as one event, since `tracing_subscriber::fmt` writes events whole.
#[derive(Debug)]
pub struct LineWriter<W> {
    form: OneLine,
    inner: W,
}

impl<W: Write> Write for LineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = match self.form {
            OneLine::Text => printable(text),
            OneLine::Json => printable_json(text),
        }
        .into_owned();
        line.push('\n');
        self.inner.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_one_line() {
        for (form, event, line) in [
            (
                OneLine::Text,
                "INFO key=a\nERROR b\u{1b}[2J\n",
                "INFO key=a\\nERROR b\\u{1b}[2J\n",
            ),
            (OneLine::Text, "no end", "no end\n"),
            (
                OneLine::Json,
                "{\"a\":\"\u{9b}\u{2028}\"}\n",
                "{\"a\":\"\\u009b\\u2028\"}\n",
            ),
        ] {
            let mut writer = LineWriter {
                form,
                inner: Vec::new(),
            };
            writer.write_all(event.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(writer.inner).unwrap(), line);
        }
    }
}
