//! What was asked for, and which frames that is.
//!
//! The rule: the frame displayed at `t` is the last presented frame whose timestamp is at or
//! before the first frame's timestamp plus `t`. All arithmetic is rational.

use std::fmt;
use std::str::FromStr;

use num_rational::Ratio;
use num_traits::{CheckedAdd, CheckedDiv, CheckedMul, CheckedSub};

use crate::error::ErrorKind;
use crate::limits::GRID_PICTURES;
use crate::units::{FrameRate, ParseUnitError, Rational, parse_rational, parse_time};
use crate::video::Timeline;

/// A time in a video: from its first frame, from its end, or a share of its duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Seconds from the first frame.
    Time(Rational),
    /// Seconds before the end.
    BeforeEnd(Rational),
    /// Percent of the duration, 0 to 100.
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

/// Which moments of a video are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// A grid of `k / rate` seconds from the start of the range.
    Fps(FrameRate),
    /// These places, in order of time; duplicates count.
    At(Vec<Position>),
    /// This many moments, evenly spaced over the range.
    Count(u64),
    /// Every presented frame of the range.
    All,
}

/// The part of the video that is looked at: from `start` inclusive to `end` exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// Where it starts; the first frame by default.
    pub start: Option<Position>,
    /// Where it ends; the end of the video by default. An end beyond that is the end of the video.
    pub end: Option<End>,
}

/// How the end of a [`Range`] is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At a place of the video.
    At(Position),
    /// This many seconds after the start.
    After(Rational),
}

/// One asked moment and the frame displayed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// The asked time in seconds from the first frame.
    pub target: Rational,
    /// Index of the frame in the [`Timeline`].
    pub frame: usize,
}

/// Why a selection cannot be met by a video.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A time before the first frame.
    #[error("{what} {position} s is before the start of the video ({duration} s)")]
    BeforeStart {
        /// Which option.
        what: &'static str,
        /// The time asked for.
        position: String,
        /// The video's duration.
        duration: String,
    },
    /// A grid far finer than the frames of the video.
    #[error("the selection asks for {pictures} pictures of {frames} frames")]
    TooFine {
        /// Pictures that the grid asks for.
        pictures: u64,
        /// Frames in the range.
        frames: u64,
    },
    /// A time at or beyond the end.
    #[error("{what} {position} s is at or beyond the end of the video ({duration} s)")]
    BeyondEnd {
        /// Which option.
        what: &'static str,
        /// The time asked for.
        position: String,
        /// The video's duration.
        duration: String,
    },
    /// The range has no inside.
    #[error("the range from {start} s to {end} s is empty")]
    EmptyRange {
        /// Its start.
        start: String,
        /// Its end.
        end: String,
    },
    /// More moments than allowed.
    #[error("the selection asks for more than {limit} frames")]
    TooManyFrames {
        /// The limit.
        limit: u64,
    },
    /// Numbers beyond what exact arithmetic holds.
    #[error("the times asked for are too fine or too large to be computed exactly")]
    OutOfRange,
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

/// Applies the rule: the picks that `selection` over `range` makes from `timeline`, in order.
///
/// # Errors
/// See [`SelectError`]. More than `max_frames` picks is an error, not a cut.
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
        Selection::All => {
            let mut picks = Vec::new();
            for frame in 0..timeline.pts().len() {
                let target = timeline.time(frame);
                if target >= start && target < end {
                    push_bounded(&mut picks, Pick { target, frame }, max_frames)?;
                }
            }
            Ok(picks)
        }
        Selection::At(positions) => at(timeline, positions, max_frames),
    }
}

/// Refuses a grid that asks for more than `per_frame` pictures of each frame of the range, and for more than
/// [`GRID_PICTURES`]: a mistake, which would fill a disk with repeated frames.
///
/// # Errors
/// [`SelectError::TooFine`], and what is wrong with the range.
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
                    return Err(beyond("--at", target, duration));
                }
                if target < Ratio::from_integer(0) {
                    return Err(SelectError::BeforeStart {
                        what: "--at",
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

/// Seconds from the first frame; below 0 for a time before it.
fn seconds(position: Position, duration: Rational) -> Result<Rational, SelectError> {
    Ok(match position {
        Position::Time(time) => time,
        Position::BeforeEnd(time) => duration.checked_sub(&time).ok_or(SelectError::OutOfRange)?,
        Position::Percent(percent) => duration * percent / Ratio::from_integer(100),
    })
}

/// The range in seconds as it was asked for, before it is cut to the video.
fn asked(range: &Range, duration: Rational) -> Result<(Rational, Rational), SelectError> {
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

fn resolve(range: &Range, duration: Rational) -> Result<(Rational, Rational), SelectError> {
    let (start, end) = asked(range, duration)?;
    let start = start.max(Ratio::from_integer(0));
    // Without an end the range ends with the video, and a start beyond that is what is wrong.
    if range.end.is_some() && end <= start {
        return Err(SelectError::EmptyRange {
            start: decimal(start),
            end: decimal(end),
        });
    }
    if start >= duration {
        return Err(beyond("--start", start, duration));
    }
    Ok((start, end.min(duration)))
}

/// What a person may not expect of the picks that [`select`] made: a range that was cut to the video, and
/// pictures that repeat a frame.
pub fn notes(timeline: &Timeline, selection: &Selection, range: &Range, picks: &[Pick]) -> Vec<String> {
    let duration = timeline.duration();
    let mut notes = Vec::new();
    if let Ok((start, end)) = asked(range, duration) {
        let length = decimal(duration);
        if start < Ratio::from_integer(0) {
            notes.push(format!(
                "the range starts before the video, which is {length} s long; it starts at 0 s"
            ));
        }
        if end > duration {
            let end = decimal(end);
            notes.push(format!(
                "the range ends at {end} s, beyond the end of the video; it ends at {length} s"
            ));
        }
    }
    let repeated = picks
        .windows(2)
        .filter(|pair| pair[0].frame == pair[1].frame)
        .count();
    if repeated > 0 && !matches!(selection, Selection::At(_)) {
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
            Self::At(positions) => {
                f.write_str("at=")?;
                for (place, position) in positions.iter().enumerate() {
                    write!(f, "{}{position}", if place == 0 { "" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}
