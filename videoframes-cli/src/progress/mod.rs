//! Progress on stderr.

mod line;
mod terminal;
mod videos;

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use videoframes_console::options::ProgressKind;
use videoframes_core::pipeline::Progress;

use self::line::{State, line};
use self::terminal::{Stderr, columns};
pub(crate) use self::videos::VideosReporter;

/// The form of progress reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bar,
    Json,
    None,
}

impl Form {
    /// Chooses the form. By default, a terminal gets a bar, and a pipe gets no progress.
    fn choose(kind: Option<ProgressKind>, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        match kind {
            Some(ProgressKind::Json) => Self::Json,
            Some(ProgressKind::Bar) if terminal => Self::Bar,
            None if terminal && !quiet => Self::Bar,
            _ => Self::None,
        }
    }
}

/// Reports progress in the requested form.
pub(crate) enum Reporter {
    Bar(ProgressBar),
    Json(Mutex<Option<Instant>>),
    None,
}

impl Reporter {
    /// Creates a reporter.
    pub(crate) fn new(kind: Option<ProgressKind>, quiet: bool) -> Self {
        match Form::choose(kind, quiet) {
            Form::Json => Self::Json(Mutex::new(None)),
            Form::Bar => Self::Bar(bar(|state| {
                let state = State {
                    frames: state.pos(),
                    total: state.len(),
                    per_second: state.per_sec(),
                    eta: state.eta(),
                };
                line(columns(), &state)
            })),
            Form::None => Self::None,
        }
    }

    /// Shows the progress of an extraction.
    pub(crate) fn extracting(&self, progress: &Progress) {
        let bytes = Some(progress.bytes).filter(|_| !progress.examining);
        let event = if progress.examining {
            "examining"
        } else {
            "progress"
        };
        self.event(event, progress.frames, progress.total, bytes);
    }

    /// Shows the number of frames, the total (0 if unknown), and the number of bytes written so far.
    pub(crate) fn show(&self, frames: u64, total: u64, bytes: Option<u64>) {
        self.event("progress", frames, total, bytes);
    }

    fn event(&self, event: &str, frames: u64, total: u64, bytes: Option<u64>) {
        match self {
            Self::Bar(bar) => {
                // The extraction follows the examination.
                if frames < bar.position() {
                    bar.reset();
                }
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
                    let mut line = serde_json::json!({"event": event, "frames": frames, "total": total});
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

/// Returns a bar whose whole text is made by `text`.
fn bar(text: impl Fn(&ProgressState) -> String + Clone + Send + Sync + 'static) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(Stderr)));
    let draw = move |state: &ProgressState, to: &mut dyn fmt::Write| {
        // An error while drawing is ignored: progress is optional.
        let _ = to.write_str(&text(state));
    };
    let style = ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.with_key("line", draw));
    bar
}
