//! Frames that are decoded to choose among them.

use num_rational::Ratio;
use num_traits::{CheckedDiv, CheckedSub};

use crate::select::{Filters, Pick, Range, SelectError, Selection, presented_in, resolve};
use crate::units::Rational;
use crate::video::Timeline;

/// Maximum number of candidates in an interval.
const PER_INTERVAL: usize = 32;

/// A frame that may be picked, and the frames with which it is compared to find transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(super) frame: u32,
    pub(super) before: u32,
    pub(super) after: u32,
    /// Number of the interval among those with frames.
    pub(super) interval: u32,
}

impl Candidate {
    pub(crate) fn frame(&self) -> usize {
        self.frame as usize
    }

    /// Returns whether both frames are in one interval.
    pub(crate) fn same_interval(&self, other: &Self) -> bool {
        self.interval == other.interval
    }
}

/// Returns whether the picks of a request depend on the content of frames.
pub(crate) fn is_content(selection: &Selection, filters: &Filters) -> bool {
    !filters.is_empty()
        || matches!(
            selection,
            Selection::Scenes(_) | Selection::BestOf(_) | Selection::Thumbnail
        )
}

/// Returns the candidates among the frames that `picks` selects, in order.
pub(crate) fn candidates(
    timeline: &Timeline,
    selection: &Selection,
    range: &Range,
    picks: &[Pick],
) -> Result<Vec<Candidate>, SelectError> {
    if let Selection::BestOf(interval) = selection {
        return of_intervals(timeline, interval.interval(), range);
    }
    let mut frames: Vec<usize> = picks.iter().map(|pick| pick.frame).collect();
    frames.dedup();
    let alone = |frame| Candidate {
        frame: short(frame),
        before: short(frame),
        after: short(frame),
        interval: 0,
    };
    Ok(frames.into_iter().map(alone).collect())
}

/// Returns the number of a frame in fewer bytes: a timeline has at most twelve million frames.
fn short(frame: usize) -> u32 {
    u32::try_from(frame).unwrap_or(u32::MAX)
}

/// Returns evenly spaced frames of each interval, at most [`PER_INTERVAL`].
fn of_intervals(timeline: &Timeline, length: Rational, range: &Range) -> Result<Vec<Candidate>, SelectError> {
    let (start, _) = resolve(range, timeline.duration())?;
    let frames = presented_in(timeline, range)?;
    let interval = |frame| {
        let elapsed = timeline.time(frame).checked_sub(&start);
        let intervals = elapsed.and_then(|elapsed| elapsed.checked_div(&length));
        intervals.map(|number| number.floor().to_integer())
    };
    // A transition takes half a second or more.
    let distance = Ratio::new(1, 4);
    let neighbour = |time| short(timeline.frame_at(time).clamp(frames.start, frames.end - 1));
    let mut candidates = Vec::new();
    let (mut first, mut intervals) = (frames.start, 0);
    while first < frames.end {
        let number = interval(first).ok_or(SelectError::OutOfRange)?;
        // Frames are in order of time, so that the end of the interval is found by bisection.
        let rest: std::ops::Range<usize> = first..frames.end;
        let size = partition_point(rest, |frame| interval(frame) == Some(number)) - first;
        let count = size.min(PER_INTERVAL);
        candidates.extend((0..count).map(|k| {
            let frame = first + (2 * k + 1) * size / (2 * count);
            let time = timeline.time(frame);
            Candidate {
                frame: short(frame),
                before: neighbour(time - distance),
                after: neighbour(time + distance),
                interval: intervals,
            }
        }));
        first += size;
        intervals += 1;
    }
    Ok(candidates)
}

/// Returns the first frame of `frames` for which `is_inside` is false. At least the first frame is inside.
fn partition_point(frames: std::ops::Range<usize>, is_inside: impl Fn(usize) -> bool) -> usize {
    let (mut inside, mut outside) = (frames.start, frames.end);
    while outside - inside > 1 {
        let middle = inside + (outside - inside) / 2;
        match is_inside(middle) {
            true => inside = middle,
            false => outside = middle,
        }
    }
    outside
}

/// Returns the candidates for a thumbnail, in order: the keyframes at or before the picks, which are fast to decode. A pick
/// without a further keyframe is a candidate itself.
pub(crate) fn thumbnail_candidates(timeline: &Timeline, picks: &[Pick]) -> Vec<Pick> {
    let keyframes: Vec<usize> = timeline.keyframes().collect();
    let mut candidates: Vec<Pick> = Vec::new();
    for pick in picks {
        let is_new = |frame: &usize| candidates.last().is_none_or(|last| last.frame < *frame);
        let before = keyframes.partition_point(|&keyframe| keyframe <= pick.frame);
        let keyframe = before.checked_sub(1).map(|index| keyframes[index]);
        let chosen = keyframe.filter(is_new).or(Some(pick.frame).filter(is_new));
        candidates.extend(chosen.map(|frame| Pick { frame, ..*pick }));
    }
    candidates
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::units::{FrameRate, TimeBase};

    /// Returns `frames` frames at 25 frames a second.
    fn timeline(frames: i64) -> Timeline {
        Timeline::new(TimeBase::new(1, 25).unwrap(), (0..frames).collect(), Some(1)).unwrap()
    }

    fn best_of(frames: i64, seconds: (i128, i128), range: &Range) -> Vec<Candidate> {
        let length = FrameRate::every(Ratio::new(seconds.0, seconds.1)).unwrap();
        candidates(&timeline(frames), &Selection::BestOf(length), range, &[]).unwrap()
    }

    #[test]
    fn every_frame_of_a_short_interval_is_a_candidate() {
        let found = best_of(60, (1, 1), &Range::default());
        let frames: Vec<u32> = found.iter().map(|candidate| candidate.frame).collect();
        assert_eq!(frames, (0..60).collect::<Vec<_>>());
        assert_eq!(
            (found[24].interval, found[25].interval, found[59].interval),
            (0, 1, 2)
        );
        assert_eq!((found[30].before, found[30].after), (23, 36));
        assert_eq!((found[0].before, found[59].after), (0, 59));
    }

    #[test]
    fn candidates_of_a_long_interval_are_bounded_and_evenly_spaced() {
        let found = best_of(1000, (20, 1), &Range::default());
        assert_eq!(found.len(), 2 * PER_INTERVAL);
        let steps = found.windows(2).map(|pair| pair[1].frame - pair[0].frame);
        assert!(steps.into_iter().all(|step| (15..=16).contains(&step)));
    }

    #[test]
    fn intervals_start_with_the_range_and_may_be_without_frames() {
        let range = Range {
            start: Some("0.9".parse().unwrap()),
            end: Some(crate::select::End::At("1.2".parse().unwrap())),
        };
        let found = best_of(60, (1, 100), &range);
        let numbered: Vec<_> = found.iter().map(|c| (c.frame, c.interval)).collect();
        assert_eq!(numbered[..3], [(23, 0), (24, 1), (25, 2)]);
        assert_eq!(
            (found[0].before, found[0].after),
            (23, 29),
            "no frame outside the range"
        );
        assert_eq!(found.len(), 7);
    }

    #[test]
    fn thumbnails_prefer_keyframes() {
        let picks = |frames: &[usize]| -> Vec<Pick> {
            let target = Ratio::from_integer(0);
            frames.iter().map(|&frame| Pick { target, frame }).collect()
        };
        for (keyframes, expected) in [
            (&[0, 25, 50, 75][..], &[0, 20, 25, 40, 50][..]),
            (&[0], &[0, 20, 30, 40, 50]),
            (&[], &[10, 20, 30, 40, 50]),
            (&[0, 9, 12, 30, 49], &[9, 12, 30, 40, 49]),
        ] {
            let timeline = timeline(100).with_keyframes(keyframes.iter().copied());
            let found = thumbnail_candidates(&timeline, &picks(&[10, 20, 30, 40, 50]));
            let frames: Vec<usize> = found.iter().map(|pick| pick.frame).collect();
            let expected: Vec<usize> = expected.iter().map(|&frame| frame as usize).collect();
            assert_eq!(frames, expected, "{keyframes:?}");
        }
    }
}
