//! The presented frames of a video by time.

use crate::units::{Rational, TimeBase};

/// `P`: the timestamps of all frames that a player shows, strictly increasing, and the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    time_base: TimeBase,
    pts: Vec<i64>,
    end: i64,
    has_stored_end: bool,
}

impl Timeline {
    /// From timestamps in any order; of equal ones one is kept. `last_duration` is the stored
    /// duration of the last frame in ticks, where known and positive; the gap before it stands in
    /// otherwise. `None` without a frame.
    pub fn new(time_base: TimeBase, mut pts: Vec<i64>, last_duration: Option<i64>) -> Option<Self> {
        pts.sort_unstable();
        pts.dedup();
        let last = *pts.last()?;
        let gap = match pts.as_slice() {
            [.., before, last] => last.saturating_sub(*before),
            _ => 1,
        };
        let stored = last_duration.filter(|&d| d > 0);
        let end = last.saturating_add(stored.unwrap_or(gap));
        Some(Self {
            time_base,
            pts,
            end,
            has_stored_end: stored.is_some(),
        })
    }

    /// Unit of the timestamps.
    pub fn time_base(&self) -> TimeBase {
        self.time_base
    }

    /// All timestamps, strictly increasing, never empty.
    pub fn pts(&self) -> &[i64] {
        &self.pts
    }

    /// Time of frame `index` in seconds from the first frame.
    pub fn time(&self, index: usize) -> Rational {
        self.time_base
            .seconds(i128::from(self.pts[index]) - i128::from(self.pts[0]))
    }

    /// Seconds from the first frame to the end of the last.
    pub fn duration(&self) -> Rational {
        self.time_base
            .seconds(i128::from(self.end) - i128::from(self.pts[0]))
    }

    /// Returns the timestamp at which the last frame ends, where its duration is stored and not taken from
    /// the gap before it.
    pub fn stored_end(&self) -> Option<i64> {
        self.has_stored_end.then_some(self.end)
    }

    /// Seconds for which frame `index` is displayed.
    pub fn frame_duration(&self, index: usize) -> Rational {
        let until = self.pts.get(index + 1).copied().unwrap_or(self.end);
        self.time_base
            .seconds(i128::from(until) - i128::from(self.pts[index]))
    }

    /// The frame displayed at `time` seconds: the last one with a timestamp at or before it.
    /// A time before the first frame gives the first.
    pub fn frame_at(&self, time: Rational) -> usize {
        let origin = i128::from(self.pts[0]);
        let latest = match self.time_base.whole_ticks(time) {
            Some(ticks) => ticks.saturating_add(origin),
            None => i128::MAX,
        };
        self.pts
            .partition_point(|&pts| i128::from(pts) <= latest)
            .saturating_sub(1)
    }
}

/// Turns timestamps in the order in which a decoder gives frames into a presentation: frames that
/// go back in time are not shown, and of equal timestamps the later frame is.
#[derive(Debug, Default)]
pub struct TimelineBuilder {
    pts: Vec<i64>,
    last_duration: Option<i64>,
}

impl TimelineBuilder {
    /// Takes the next decoded frame's timestamp and, where known, its duration in ticks.
    pub fn push(&mut self, pts: i64, duration: Option<i64>) {
        match self.pts.last() {
            Some(&last) if pts < last => return,
            Some(&last) if pts == last => {}
            _ => self.pts.push(pts),
        }
        self.last_duration = duration;
    }

    /// Takes the frames of another, which come behind these.
    pub fn append(&mut self, other: Self) {
        for pts in other.pts {
            self.push(pts, other.last_duration);
        }
    }

    /// Number of frames so far.
    pub fn len(&self) -> usize {
        self.pts.len()
    }

    /// Whether no frame has come yet.
    pub fn is_empty(&self) -> bool {
        self.pts.is_empty()
    }

    /// The last timestamp so far.
    pub fn last(&self) -> Option<i64> {
        self.pts.last().copied()
    }

    /// The timeline, with `last_duration` standing in where the frames carried none.
    pub fn finish(self, time_base: TimeBase, last_duration: Option<i64>) -> Option<Timeline> {
        Timeline::new(time_base, self.pts, self.last_duration.or(last_duration))
    }
}
