//! Progress over several videos.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState};
use videoframes_console::options::ProgressKind;

use super::line::{VideosState, videos_line};
use super::terminal::columns;
use super::{Form, bar};

/// Steps of the bar per video.
const STEPS: u64 = 1000;
/// Minimum time between two lines of JSON.
const INTERVAL: Duration = Duration::from_millis(100);

/// Reports the progress over several videos in the requested form.
pub(crate) struct VideosReporter {
    bar: Option<ProgressBar>,
    counts: Arc<Counts>,
    json: bool,
    state: Mutex<State>,
}

/// Numbers for the text of the bar.
#[derive(Debug, Default)]
struct Counts {
    ended: AtomicU64,
    failed: AtomicU64,
}

struct State {
    total: usize,
    ended: usize,
    failed: usize,
    /// Frames of the videos that have ended.
    frames: u64,
    /// Frames and total of the videos that are in progress, by index.
    running: HashMap<usize, (u64, u64)>,
    reported: Option<Instant>,
}

impl VideosReporter {
    /// Creates a reporter for this number of videos.
    pub(crate) fn new(kind: Option<ProgressKind>, quiet: bool, total: usize) -> Self {
        let form = Form::choose(kind, quiet);
        let counts = Arc::new(Counts::default());
        let bar = (form == Form::Bar).then(|| {
            let counts = Arc::clone(&counts);
            let bar = bar(move |state| counts.line(state));
            bar.set_length(total as u64 * STEPS);
            bar
        });
        let state = State {
            total,
            ended: 0,
            failed: 0,
            frames: 0,
            running: HashMap::new(),
            reported: None,
        };
        Self {
            bar,
            counts,
            json: form == Form::Json,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the number of frames of a video, and the total (0 if unknown).
    pub(crate) fn show(&self, index: usize, frames: u64, total: u64) {
        let mut state = self.state();
        state.running.insert(index, (frames, total));
        self.draw(&mut state, false);
    }

    /// Counts a video that ended, with or without success.
    pub(crate) fn ended(&self, index: usize, success: bool) {
        let mut state = self.state();
        let (frames, _) = state.running.remove(&index).unwrap_or_default();
        state.frames += frames;
        state.ended += 1;
        state.failed += usize::from(!success);
        let is_last = state.ended == state.total;
        self.draw(&mut state, is_last);
    }

    fn draw(&self, state: &mut State, always: bool) {
        if let Some(bar) = &self.bar {
            self.counts.ended.store(state.ended as u64, Ordering::Relaxed);
            self.counts.failed.store(state.failed as u64, Ordering::Relaxed);
            bar.set_position(state.steps());
        }
        if self.json && (always || state.reported.is_none_or(|at| at.elapsed() >= INTERVAL)) {
            state.reported = Some(Instant::now());
            let running: u64 = state.running.values().map(|(frames, _)| frames).sum();
            let line = serde_json::json!({
                "event": "progress",
                "videos": state.ended,
                "total_videos": state.total,
                "failed": state.failed,
                "frames": state.frames + running,
            });
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// Prints with `print`, without mixing its text with the bar.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(crate) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl State {
    /// Returns the position of the bar. Videos in progress count by the share of their frames.
    fn steps(&self) -> u64 {
        let share = |&(frames, total): &(u64, u64)| (frames.min(total) * (STEPS - 1)).checked_div(total);
        let running: u64 = self.running.values().filter_map(share).sum();
        self.ended as u64 * STEPS + running
    }
}

impl Counts {
    fn line(&self, state: &ProgressState) -> String {
        let state = VideosState {
            ended: self.ended.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            total: state.len().unwrap_or(0) / STEPS,
            share: f64::from(state.fraction()),
            per_second: state.per_sec() / STEPS as f64,
            eta: state.eta(),
        };
        videos_line(columns(), &state)
    }
}
