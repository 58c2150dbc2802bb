//! How far it is, on stderr.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use videoframes_core::pipeline::Progress;

use crate::args::ProgressKind;

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

    pub(crate) fn show(&self, progress: Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(progress.total);
                bar.set_position(progress.frames);
            }
            Self::Json(last) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let due = last.is_none_or(|at| at.elapsed() >= Duration::from_millis(100));
                if due || progress.frames == progress.total {
                    *last = Some(Instant::now());
                    let line = serde_json::json!({
                        "event": "progress", "frames": progress.frames, "total": progress.total, "bytes": progress.bytes,
                    });
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
