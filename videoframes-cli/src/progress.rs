//! How far it is, on stderr.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use videoframes_console::options::ProgressKind;

/// Shows progress in the way that was asked for.
pub(crate) enum Reporter {
    Bar(ProgressBar),
    Json(Mutex<Option<Instant>>),
    None,
}

impl Reporter {
    /// A bar on a terminal and nothing in a pipe, unless told otherwise.
    pub(crate) fn new(kind: Option<ProgressKind>, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        match kind {
            Some(ProgressKind::Json) => Self::Json(Mutex::new(None)),
            Some(ProgressKind::Bar) => Self::Bar(bar()),
            None if terminal && !quiet => Self::Bar(bar()),
            _ => Self::None,
        }
    }

    /// Frames of a total that may be unknown and is 0 then; `bytes` that were written so far, where known.
    pub(crate) fn show(&self, frames: u64, total: u64, bytes: Option<u64>) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(total.max(frames));
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
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} frames  {per_sec}  {elapsed} (ETA {eta})");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
