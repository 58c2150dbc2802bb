//! Selections of frames, and the rule that applies them to a video.
//!
//! The rule: the frame displayed at `t` is the last presented frame whose timestamp is at or before the first
//! frame's timestamp plus `t`. All arithmetic is rational.

mod criteria;

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use num_rational::Ratio;
use num_traits::{CheckedAdd, CheckedDiv, CheckedMul, CheckedSub};

pub use self::criteria::{Filters, HashDistance, MinSharpness, SceneThreshold};
use crate::error::ErrorKind;
use crate::limits::GRID_PICTURES;
use crate::units::{FrameRate, ParseUnitError, Rational, parse_rational, parse_time};
use crate::video::Timeline;

/// A time in a video: from its first frame, from its end, or as a percentage of its duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Seconds from the first frame.
    Time(Rational),
    /// Seconds before the end.
    BeforeEnd(Rational),
    /// Percentage of the duration, 0 to 100.
    Percent(Rational),
}

impl FromStr for Position {
    type Err = ParseUnitError;

    /// Parses a time or a percentage; a leading `-` counts from the end.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (from_end, value) = match text.strip_prefix('-') {
            Some(value) => (true, value),
            None => (false, text),
        };
        let hundred = Ratio::from_integer(100);
        if let Some(percent) = value.strip_suffix('%') {
            let percent = parse_rational(percent).ok().filter(|p| *p <= hundred);
            return percent
                .map(|percent| Self::Percent(if from_end { hundred - percent } else { percent }))
                .ok_or_else(|| ParseUnitError::new(text, "a percentage from -100% to 100%"));
        }
        let time = parse_time(value)
            .map_err(|_| ParseUnitError::new(text, "a time such as 1.5, 00:01:10.123, 5m2s, 20% or -10s"))?;
        Ok(if from_end {
            Self::BeforeEnd(time)
        } else {
            Self::Time(time)
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(seconds) => seconds.fmt(f),
            Self::BeforeEnd(seconds) => write!(f, "-{seconds}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A selection of times in a video.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// A grid of `k / rate` seconds from the start of the range.
    Fps(FrameRate),
    /// These positions, in order of time; duplicates count.
    At(Vec<Position>),
    /// This number of times, evenly spaced over the range.
    Count(u64),
    /// Every presented frame of the range.
    All,
    /// The first presented frame of the range, and every frame this many frames later.
    EveryNth(NonZeroU64),
    /// The frames with these numbers, in order; duplicates count. The first presented frame has the number 0.
    Frames(Vec<u64>),
    /// The keyframes of the range, as marked in the container or, without an index, by ffmpeg.
    Keyframes,
    /// Distinct presented frames of the range, chosen at random. Every choice is equally likely. The same seed chooses the
    /// same frames of the same timeline, in every version of this crate.
    Random {
        /// Number of frames.
        count: NonZeroU64,
        /// Seed of the choice.
        seed: u64,
    },
    /// The first frame of each scene of the range: every frame is decoded to find where the content changes.
    Scenes(SceneThreshold),
    /// The sharpest frame of each interval of the range that is neither black nor white nor in a transition. Up to 32
    /// frames of each interval are decoded to choose among them.
    BestOf(FrameRate),
    /// One good frame early in the range: up to 5 candidates are decoded to choose among them. Filters do not apply.
    Thumbnail,
}

/// The part of the video to select from: from `start` (inclusive) to `end` (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// Start of the range; by default the first frame.
    pub start: Option<Position>,
    /// End of the range; by default the end of the video, which is also its maximum.
    pub end: Option<End>,
}

/// The end of a [`Range`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A position in the video.
    At(Position),
    /// This number of seconds after the start.
    After(Rational),
}

/// A requested time and the frame displayed at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Requested time in seconds from the first frame.
    pub target: Rational,
    /// Index of the frame in the [`Timeline`].
    pub frame: usize,
}

/// The reason why a selection does not apply to a video.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// A time is before the first frame.
    #[error("{what} {position} s is before the start of the video ({duration} s)")]
    BeforeStart {
        /// Subject of the message: `the time` or `the start`.
        what: &'static str,
        /// Requested time.
        position: String,
        /// Duration of the video.
        duration: String,
    },
    /// The grid is much finer than the frames of the video.
    #[error("the selection requests {pictures} pictures from {frames} frames")]
    TooFine {
        /// Number of pictures in the grid.
        pictures: u64,
        /// Number of frames in the range.
        frames: u64,
    },
    /// A time is at or after the end.
    #[error("{what} {position} s is at or beyond the end of the video ({duration} s)")]
    BeyondEnd {
        /// Subject of the message: `the time` or `the start`.
        what: &'static str,
        /// Requested time.
        position: String,
        /// Duration of the video.
        duration: String,
    },
    /// A frame number is beyond the last frame.
    #[error("the video has no frame {number}: the last frame is {last}")]
    NoSuchFrame {
        /// The requested number.
        number: u64,
        /// Number of the last frame.
        last: u64,
    },
    /// No frame of the video is marked as a keyframe.
    #[error("no frame of the video is marked as a keyframe")]
    NoKeyframes,
    /// The range has no frame of the selection.
    #[error("the range has no frame of the selection")]
    NoFrames,
    /// The range has fewer frames than are requested.
    #[error("the selection requests {count} different frames, but the range has {frames}")]
    TooFewFrames {
        /// Number of requested frames.
        count: u64,
        /// Number of frames in the range.
        frames: u64,
    },
    /// The range is empty.
    #[error("the range from {start} s to {end} s is empty")]
    EmptyRange {
        /// Start of the range.
        start: String,
        /// End of the range.
        end: String,
    },
    /// The selection exceeds the maximum number of pictures.
    #[error("the selection asks for more than {limit} frames")]
    TooManyFrames {
        /// The limit.
        limit: u64,
    },
    /// The numbers exceed the range of exact arithmetic.
    #[error("the requested times are too fine or too large for exact arithmetic")]
    OutOfRange,
}

impl Selection {
    /// Returns whether the selection names its frames or times, so that it has no range.
    pub fn is_absolute(&self) -> bool {
        matches!(self, Self::At(_) | Self::Frames(_))
    }
}

impl SelectError {
    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooFine { .. } | Self::TooManyFrames { .. } => ErrorKind::LimitExceeded,
            _ => ErrorKind::SelectionOutOfRange,
        }
    }
}

/// Returns the picks of `selection` over `range` in `timeline`, in order. For a selection by content, returns the frames among
/// which the pipeline chooses.
///
/// # Errors
/// Returns a [`SelectError`]; more than `max_frames` picks are an error rather than truncated.
pub fn select(
    timeline: &Timeline,
    selection: &Selection,
    range: &Range,
    max_frames: u64,
) -> Result<Vec<Pick>, SelectError> {
    let duration = timeline.duration();
    let (start, end) = resolve(range, duration)?;
    match selection {
        Selection::Fps(rate) => grid(timeline, *rate, (start, end), max_frames),
        Selection::Count(count) => evenly(timeline, *count, (start, end), max_frames),
        Selection::All => each(timeline, presented(timeline, (start, end)), max_frames),
        Selection::EveryNth(step) => {
            let step = usize::try_from(step.get()).unwrap_or(usize::MAX);
            each(
                timeline,
                presented(timeline, (start, end)).step_by(step),
                max_frames,
            )
        }
        Selection::Keyframes if timeline.keyframes().len() == 0 => Err(SelectError::NoKeyframes),
        Selection::Keyframes => {
            let frames = presented(timeline, (start, end));
            each(
                timeline,
                timeline.keyframes().filter(|frame| frames.contains(frame)),
                max_frames,
            )
        }
        Selection::Frames(numbers) => numbered(timeline, numbers, max_frames),
        Selection::Random { count, seed } => {
            let frames = presented(timeline, (start, end));
            let count = usize::try_from(count.get()).unwrap_or(usize::MAX);
            if count > frames.len() {
                return Err(SelectError::TooFewFrames {
                    count: count as u64,
                    frames: frames.len() as u64,
                });
            }
            let chosen = sample(frames.len(), count, *seed);
            each(
                timeline,
                chosen.into_iter().map(|at| frames.start + at),
                max_frames,
            )
        }
        Selection::At(positions) => at(timeline, positions, max_frames),
        // The limit applies to the pictures that are chosen.
        Selection::Scenes(_) | Selection::BestOf(_) => {
            each(timeline, presented(timeline, (start, end)), u64::MAX)
        }
        Selection::Thumbnail => {
            let position = |&tenths: &i128| (end - start) * Ratio::new(tenths, 10) + start;
            let pick = |target| Pick {
                target,
                frame: timeline.frame_at(target),
            };
            Ok(THUMBNAIL_TENTHS.iter().map(position).map(pick).collect())
        }
    }
}

/// Positions of the candidates for a thumbnail, in tenths of the range. Titles and black frames are mostly before the first.
const THUMBNAIL_TENTHS: [i128; 5] = [1, 2, 3, 4, 5];

/// Returns the frames whose timestamps are in `range`.
pub(crate) fn presented_in(
    timeline: &Timeline,
    range: &Range,
) -> Result<std::ops::Range<usize>, SelectError> {
    Ok(presented(timeline, resolve(range, timeline.duration())?))
}

/// Rejects a grid with more than `per_frame` pictures per frame of the range and more than [`GRID_PICTURES`]
/// pictures.
///
/// Such a grid is a mistake, and would fill a disk with repeated frames.
///
/// # Errors
/// Returns [`SelectError::TooFine`], or the error of an invalid range.
pub fn check_grid(
    timeline: &Timeline,
    selection: &Selection,
    range: &Range,
    per_frame: u64,
) -> Result<(), SelectError> {
    let Selection::Fps(rate) = selection else {
        return Ok(());
    };
    let (start, end) = resolve(range, timeline.duration())?;
    let Some(pictures) = (end - start).checked_div(&rate.interval()) else {
        return Ok(());
    };
    let pictures = u64::try_from(pictures.ceil().to_integer()).unwrap_or(u64::MAX);
    if pictures <= GRID_PICTURES {
        return Ok(());
    }
    let shown = timeline.frame_at(start);
    let later = (shown + 1..timeline.pts().len()).take_while(|&frame| timeline.time(frame) < end);
    let frames = 1 + later.count() as u64;
    match pictures > frames.saturating_mul(per_frame) {
        true => Err(SelectError::TooFine { pictures, frames }),
        false => Ok(()),
    }
}

/// Returns the frames whose timestamps are in a range.
fn presented(timeline: &Timeline, (start, end): (Rational, Rational)) -> std::ops::Range<usize> {
    let frames = timeline.pts().len();
    let from = |time| {
        let shown = timeline.frame_at(time);
        shown + usize::from(timeline.time(shown) < time)
    };
    from(start).min(frames)..from(end).min(frames)
}

/// Returns a pick of each frame, at its own time.
fn each(
    timeline: &Timeline,
    frames: impl Iterator<Item = usize>,
    max_frames: u64,
) -> Result<Vec<Pick>, SelectError> {
    let mut picks = Vec::new();
    for frame in frames {
        let target = timeline.time(frame);
        push_bounded(&mut picks, Pick { target, frame }, max_frames)?;
    }
    Ok(picks)
}

fn numbered(timeline: &Timeline, numbers: &[u64], max_frames: u64) -> Result<Vec<Pick>, SelectError> {
    let last = timeline.pts().len() - 1;
    let frame = |&number: &u64| {
        let frame = usize::try_from(number).ok().filter(|&frame| frame <= last);
        frame.ok_or(SelectError::NoSuchFrame {
            number,
            last: last as u64,
        })
    };
    let mut frames = numbers.iter().map(frame).collect::<Result<Vec<_>, _>>()?;
    frames.sort_unstable();
    each(timeline, frames.into_iter(), max_frames)
}

/// Returns `count` different numbers below `population` in ascending order, by selection sampling (Knuth, The Art of Computer
/// Programming, volume 2, 3.4.2, algorithm S). Its random numbers are those of SplitMix64. Written here because crates do not
/// promise the same choice in later versions.
fn sample(population: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut needed = count as u128;
    let mut chosen = Vec::with_capacity(count);
    for number in 0..population {
        let left = (population - number) as u128;
        // A random number below `left`; the bias is at most `left` in 2^64.
        if (u128::from(random()) * left) >> 64 < needed {
            chosen.push(number);
            needed -= 1;
        }
    }
    chosen
}

fn grid(
    timeline: &Timeline,
    rate: FrameRate,
    (start, end): (Rational, Rational),
    max_frames: u64,
) -> Result<Vec<Pick>, SelectError> {
    let mut picks = Vec::new();
    for k in 0i128.. {
        let offset = rate.interval().checked_mul(&Ratio::from_integer(k));
        let target = offset
            .and_then(|o| o.checked_add(&start))
            .ok_or(SelectError::OutOfRange)?;
        if target >= end {
            break;
        }
        let frame = timeline.frame_at(target);
        push_bounded(&mut picks, Pick { target, frame }, max_frames)?;
    }
    Ok(picks)
}

fn evenly(
    timeline: &Timeline,
    count: u64,
    (start, end): (Rational, Rational),
    max_frames: u64,
) -> Result<Vec<Pick>, SelectError> {
    if count > max_frames {
        return Err(SelectError::TooManyFrames { limit: max_frames });
    }
    let length = end - start;
    (0..count)
        .map(|k| {
            let target = length
                .checked_mul(&Ratio::new(i128::from(k), i128::from(count)))
                .and_then(|offset| offset.checked_add(&start))
                .ok_or(SelectError::OutOfRange)?;
            let frame = timeline.frame_at(target);
            Ok(Pick { target, frame })
        })
        .collect()
}

fn at(timeline: &Timeline, positions: &[Position], max_frames: u64) -> Result<Vec<Pick>, SelectError> {
    let duration = timeline.duration();
    if positions.len() as u64 > max_frames {
        return Err(SelectError::TooManyFrames { limit: max_frames });
    }
    let last = timeline.pts().len() - 1;
    let mut picks = Vec::with_capacity(positions.len());
    for position in positions {
        picks.push(match position {
            Position::Percent(p) if *p == Ratio::from_integer(100) => Pick {
                target: duration,
                frame: last,
            },
            other => {
                let target = seconds(*other, duration)?;
                if target >= duration {
                    return Err(beyond("the time", target, duration));
                }
                if target < Ratio::from_integer(0) {
                    return Err(SelectError::BeforeStart {
                        what: "the time",
                        position: other.to_string(),
                        duration: decimal(duration),
                    });
                }
                let frame = timeline.frame_at(target);
                Pick { target, frame }
            }
        });
    }
    picks.sort_by_key(|pick| pick.target);
    Ok(picks)
}

fn push_bounded(picks: &mut Vec<Pick>, pick: Pick, limit: u64) -> Result<(), SelectError> {
    if picks.len() as u64 >= limit {
        return Err(SelectError::TooManyFrames { limit });
    }
    picks.push(pick);
    Ok(())
}

/// Returns seconds from the first frame, which are negative before it.
fn seconds(position: Position, duration: Rational) -> Result<Rational, SelectError> {
    Ok(match position {
        Position::Time(time) => time,
        Position::BeforeEnd(time) => duration.checked_sub(&time).ok_or(SelectError::OutOfRange)?,
        Position::Percent(percent) => duration * percent / Ratio::from_integer(100),
    })
}

/// Returns the requested range in seconds, before it is clamped to the video.
fn requested(range: &Range, duration: Rational) -> Result<(Rational, Rational), SelectError> {
    let zero = Ratio::from_integer(0);
    let start = range.start.map_or(Ok(zero), |start| seconds(start, duration))?;
    let end = match range.end {
        None => duration,
        Some(End::At(position)) => seconds(position, duration)?,
        Some(End::After(length)) => start
            .max(zero)
            .checked_add(&length)
            .ok_or(SelectError::OutOfRange)?,
    };
    Ok((start, end))
}

/// Returns start and end of the range in seconds, clamped to the video.
pub(crate) fn resolve(range: &Range, duration: Rational) -> Result<(Rational, Rational), SelectError> {
    let (start, end) = requested(range, duration)?;
    let start = start.max(Ratio::from_integer(0));
    // Without an explicit end, a start after the end of the video is the error to report.
    if range.end.is_some() && end <= start {
        return Err(SelectError::EmptyRange {
            start: decimal(start),
            end: decimal(end),
        });
    }
    if start >= duration {
        return Err(beyond("the start", start, duration));
    }
    Ok((start, end.min(duration)))
}

/// Returns notes about unexpected properties of the picks of [`select`]: a range that was clamped to the
/// video or has no frame of the selection, and pictures that repeat a frame.
#[must_use]
pub fn notes(timeline: &Timeline, selection: &Selection, range: &Range, picks: &[Pick]) -> Vec<String> {
    let duration = timeline.duration();
    let mut notes = Vec::new();
    if let Ok((start, end)) = requested(range, duration) {
        let length = decimal(duration);
        if start < Ratio::from_integer(0) {
            notes.push(format!(
                "the range starts before the video, which is {length} s long; clamped to 0 s"
            ));
        }
        if end > duration {
            let end = decimal(end);
            notes.push(format!(
                "the range ends at {end} s, beyond the end of the video; clamped to {length} s"
            ));
        }
    }
    let is_nothing = matches!(selection, Selection::Frames(numbers) if numbers.is_empty());
    if picks.is_empty() && !is_nothing {
        notes.push("the range has no frame of the selection".to_owned());
    }
    let repeated = picks
        .windows(2)
        .filter(|pair| pair[0].frame == pair[1].frame)
        .count();
    if repeated > 0 && !matches!(selection, Selection::At(_) | Selection::Frames(_)) {
        let all = picks.len();
        notes.push(format!(
            "{repeated} of {all} pictures repeat the frame of the picture before"
        ));
    }
    notes
}

fn beyond(what: &'static str, position: Rational, duration: Rational) -> SelectError {
    SelectError::BeyondEnd {
        what,
        position: decimal(position),
        duration: decimal(duration),
    }
}

fn decimal(value: Rational) -> String {
    let text = format!("{:.6}", crate::units::approximate_seconds(value));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fps(rate) => write!(f, "fps={rate}"),
            Self::Count(count) => write!(f, "count={count}"),
            Self::All => f.write_str("all"),
            Self::Keyframes => f.write_str("keyframes"),
            Self::EveryNth(step) => write!(f, "every_nth={step}"),
            Self::Random { count, seed } => write!(f, "random={count},seed={seed}"),
            Self::Scenes(threshold) => write!(f, "scene={threshold}"),
            Self::BestOf(rate) => write!(f, "best_of={}", rate.interval()),
            Self::Thumbnail => f.write_str("thumbnail"),
            Self::At(positions) => write_list(f, "at", positions),
            Self::Frames(numbers) => write_list(f, "frames", numbers),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, name: &str, values: &[impl fmt::Display]) -> fmt::Result {
    write!(f, "{name}=")?;
    for (index, value) in values.iter().enumerate() {
        write!(f, "{}{value}", if index == 0 { "" } else { "," })?;
    }
    Ok(())
}
