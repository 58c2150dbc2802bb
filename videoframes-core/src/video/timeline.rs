//! Presented frames of a video in order of time.

use crate::units::{Rational, TimeBase};

/// `P`: the timestamps of all presented frames, strictly increasing, and the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    time_base: TimeBase,
    pts: Vec<i64>,
    end: i64,
    has_stored_end: bool,
    /// Indices of the keyframes, ascending.
    keyframes: Vec<u32>,
}

impl Timeline {
    /// Creates a timeline from timestamps in any order; duplicates are removed. `last_duration` is the stored
    /// duration of the last frame in ticks, if known and positive. Otherwise the gap before the last frame is
    /// used. Returns `None` without frames.
    #[must_use]
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
            keyframes: Vec::new(),
        })
    }

    /// Marks the frames with these timestamps, in any order, as keyframes. Timestamps of no presented frame are ignored.
    #[must_use]
    pub fn with_keyframes(mut self, pts: impl IntoIterator<Item = i64>) -> Self {
        let frames = pts
            .into_iter()
            .filter_map(|pts| self.pts.binary_search(&pts).ok());
        let mut frames: Vec<u32> = frames.filter_map(|frame| u32::try_from(frame).ok()).collect();
        frames.sort_unstable();
        frames.dedup();
        self.keyframes = frames;
        self
    }

    /// Returns the indices of the keyframes in ascending order, as marked in the container or by ffmpeg. Empty if they are
    /// unknown.
    pub fn keyframes(&self) -> impl ExactSizeIterator<Item = usize> {
        self.keyframes.iter().map(|&frame| frame as usize)
    }

    /// Returns the time base of the timestamps.
    pub fn time_base(&self) -> TimeBase {
        self.time_base
    }

    /// Returns all timestamps, which are strictly increasing and never empty.
    pub fn pts(&self) -> &[i64] {
        &self.pts
    }

    /// Returns the time of frame `index` in seconds from the first frame.
    #[must_use]
    pub fn time(&self, index: usize) -> Rational {
        self.time_base
            .seconds(i128::from(self.pts[index]) - i128::from(self.pts[0]))
    }

    /// Returns the seconds from the start of the first frame to the end of the last frame.
    #[must_use]
    pub fn duration(&self) -> Rational {
        self.time_base
            .seconds(i128::from(self.end) - i128::from(self.pts[0]))
    }

    /// Returns the timestamp at which the last frame ends, if its duration is stored and not derived from the gap
    /// before the last frame.
    pub fn stored_end(&self) -> Option<i64> {
        self.has_stored_end.then_some(self.end)
    }

    /// Returns the seconds for which frame `index` is displayed.
    #[must_use]
    pub fn frame_duration(&self, index: usize) -> Rational {
        let until = self.pts.get(index + 1).copied().unwrap_or(self.end);
        self.time_base
            .seconds(i128::from(until) - i128::from(self.pts[index]))
    }

    /// Returns the frame displayed at `time` seconds: the last frame with a timestamp at or before `time`. For a
    /// time before the first frame, returns the first frame.
    #[must_use]
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

/// Builds a timeline from timestamps in the order of decoder output. Frames that go back in time are not
/// presented, and of frames with equal timestamps the last frame is presented.
#[derive(Debug, Default)]
pub(crate) struct TimelineBuilder {
    pts: Vec<i64>,
    keyframes: Vec<i64>,
    last_duration: Option<i64>,
}

impl TimelineBuilder {
    /// Adds the timestamp of the next decoded frame and, if known, its duration in ticks.
    pub(crate) fn push(&mut self, pts: i64, duration: Option<i64>) {
        match self.pts.last() {
            Some(&last) if pts < last => return,
            Some(&last) if pts == last => {}
            _ => self.pts.push(pts),
        }
        self.last_duration = duration;
    }

    /// Marks the last frame as a keyframe.
    pub(crate) fn mark_keyframe(&mut self) {
        self.keyframes.extend(self.pts.last());
    }

    /// Appends the frames of another builder.
    pub(crate) fn append(&mut self, other: Self) {
        self.keyframes.extend(other.keyframes);
        for pts in other.pts {
            self.push(pts, other.last_duration);
        }
    }

    /// Returns the number of frames so far.
    pub(crate) fn len(&self) -> usize {
        self.pts.len()
    }

    /// Returns whether there are no frames yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.pts.is_empty()
    }

    /// Returns the last timestamp so far.
    pub(crate) fn last(&self) -> Option<i64> {
        self.pts.last().copied()
    }

    /// Returns the timeline. `last_duration` is used if the frames have no durations.
    pub(crate) fn finish(self, time_base: TimeBase, last_duration: Option<i64>) -> Option<Timeline> {
        let timeline = Timeline::new(time_base, self.pts, self.last_duration.or(last_duration))?;
        Some(timeline.with_keyframes(self.keyframes))
    }
}
