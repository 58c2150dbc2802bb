//! What was asked for, and which frames that is.
//!
//! The rule: the frame displayed at `t` is the last presented frame whose timestamp is at or
//! before the first frame's timestamp plus `t`. All arithmetic is rational.

use std::fmt;
use std::str::FromStr;

use num_rational::Ratio;
use num_traits::{CheckedAdd, CheckedMul};

use crate::units::{FrameRate, ParseUnitError, Rational, parse_rational, parse_time};
use crate::video::Timeline;

/// A place in a video: seconds from its first frame, or a share of its duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Seconds from the first frame.
    Time(Rational),
    /// Percent of the duration, 0 to 100.
    Percent(Rational),
}

impl FromStr for Position {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(percent) = text.strip_suffix('%') else {
            return parse_time(text).map(Self::Time);
        };
        parse_rational(percent)
            .ok()
            .filter(|p| *p <= Ratio::from_integer(100))
            .map(Self::Percent)
            .ok_or_else(|| ParseUnitError::new(text, "a percentage from 0% to 100%"))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(seconds) => seconds.fmt(f),
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
    /// Where it ends; the end of the video by default, and never beyond it.
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
    let pick = |target: Rational| Pick {
        target,
        frame: timeline.frame_at(target),
    };
    match selection {
        Selection::Fps(rate) => {
            let mut picks = Vec::new();
            for k in 0i128.. {
                let offset = rate.interval().checked_mul(&Ratio::from_integer(k));
                let target = offset
                    .and_then(|o| o.checked_add(&start))
                    .ok_or(SelectError::OutOfRange)?;
                if target >= end {
                    break;
                }
                push_bounded(&mut picks, pick(target), max_frames)?;
            }
            Ok(picks)
        }
        Selection::Count(count) => {
            if *count > max_frames {
                return Err(SelectError::TooManyFrames { limit: max_frames });
            }
            let length = end - start;
            (0..*count)
                .map(|k| {
                    length
                        .checked_mul(&Ratio::new(i128::from(k), i128::from(*count)))
                        .and_then(|offset| offset.checked_add(&start))
                        .map(pick)
                        .ok_or(SelectError::OutOfRange)
                })
                .collect()
        }
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
        Selection::At(positions) => {
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
                        let target = seconds(*other, duration);
                        if target >= duration {
                            return Err(beyond("--at", target, duration));
                        }
                        pick(target)
                    }
                });
            }
            picks.sort_by_key(|pick| pick.target);
            Ok(picks)
        }
    }
}

fn push_bounded(picks: &mut Vec<Pick>, pick: Pick, limit: u64) -> Result<(), SelectError> {
    if picks.len() as u64 >= limit {
        return Err(SelectError::TooManyFrames { limit });
    }
    picks.push(pick);
    Ok(())
}

fn seconds(position: Position, duration: Rational) -> Rational {
    match position {
        Position::Time(time) => time,
        Position::Percent(percent) => duration * percent / Ratio::from_integer(100),
    }
}

fn resolve(range: &Range, duration: Rational) -> Result<(Rational, Rational), SelectError> {
    let start = range
        .start
        .map_or(Ratio::from_integer(0), |p| seconds(p, duration));
    if start >= duration {
        return Err(beyond("--start", start, duration));
    }
    let end = match range.end {
        None => duration,
        Some(End::At(position)) => seconds(position, duration),
        Some(End::After(length)) => start.checked_add(&length).ok_or(SelectError::OutOfRange)?,
    };
    if end <= start {
        return Err(SelectError::EmptyRange {
            start: decimal(start),
            end: decimal(end),
        });
    }
    Ok((start, end.min(duration)))
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
