//! Progress on stderr.

mod line;
mod terminal;

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use videoframes_console::options::ProgressKind;

use self::line::{State, line};
use self::terminal::{Stderr, columns};

/// Reports progress in the requested form.
pub(crate) enum Reporter {
    Bar(ProgressBar),
    Json(Mutex<Option<Instant>>),
    None,
}

impl Reporter {
    /// Creates a reporter. By default, a terminal gets a bar, and a pipe gets no progress.
    pub(crate) fn new(kind: Option<ProgressKind>, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        match kind {
            Some(ProgressKind::Json) => Self::Json(Mutex::new(None)),
            Some(ProgressKind::Bar) if terminal => Self::Bar(bar()),
            None if terminal && !quiet => Self::Bar(bar()),
            _ => Self::None,
        }
    }

    /// Shows the number of frames, the total (0 if unknown), and the number of bytes written so far.
    pub(crate) fn show(&self, frames: u64, total: u64, bytes: Option<u64>) {
        match self {
            Self::Bar(bar) => {
                if total > 0 {
                    bar.set_length(total.max(frames));
                }
                bar.set_position(frames);
            }
            Self::Json(last) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let due = last.is_none_or(|at| at.elapsed() >= Duration::from_millis(100));
                if due || frames == total {
                    *last = Some(Instant::now());
                    let mut line = serde_json::json!({"event": "progress", "frames": frames, "total": total});
                    if let Some(bytes) = bytes {
                        line["bytes"] = bytes.into();
                    }
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }
            Self::None => {}
        }
    }

    pub(crate) fn done(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(Stderr)));
    let draw = |state: &ProgressState, to: &mut dyn fmt::Write| {
        let state = State {
            frames: state.pos(),
            total: state.len(),
            per_second: state.per_sec(),
            eta: state.eta(),
        };
        // An error while drawing is ignored: progress is optional.
        let _ = to.write_str(&line(columns(), &state));
    };
    let style = ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.with_key("line", draw));
    bar
}
