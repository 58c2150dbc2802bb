//! Options that select frames.

use std::num::NonZeroU64;

use clap::Args;
use videoframes_core::select::{End, Position, Range, Selection};
use videoframes_core::units::{FrameRate, ParseUnitError, Rational};
use videoframes_core::video::StreamChoice;

use super::positive_time;

/// `--stream`.
#[derive(Debug, Clone, Copy, Args)]
pub struct StreamArgs {
    /// Video stream by index, or by ID in hexadecimal, as listed by 'vf probe' [default: the stream that players show]
    #[arg(long, value_name = "N|ID")]
    pub stream: Option<StreamChoice>,
}

/// Options for the selection and its range.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection (default: --fps 1)")]
pub struct SelectArgs {
    /// Frames per second: 1, 0.5, 1/10, 30000/1001
    #[arg(long, value_name = "RATE", group = "selection")]
    pub fps: Option<FrameRate>,
    /// One frame per interval: 10s, 1.5, 1m
    #[arg(long, value_name = "DURATION", group = "selection", value_parser = positive_time)]
    pub every: Option<Rational>,
    /// Frames displayed at these times: 1.5,00:01:10.123,20%,-2s (negative: from the end)
    #[arg(
        long,
        value_name = "TIMES",
        group = "selection",
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_parser = position
    )]
    pub at: Option<Vec<Position>>,
    /// Number of frames, evenly spaced
    #[arg(short = 'n', long, value_name = "N", group = "selection", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Every frame
    #[arg(long, group = "selection")]
    pub all: bool,
    /// Keyframes, as marked in the container or by ffmpeg
    #[arg(long, group = "selection")]
    pub keyframes: bool,
    /// Every Nth frame, from the first frame of the range
    #[arg(long, value_name = "N", group = "selection")]
    pub every_nth: Option<NonZeroU64>,
    /// Frames with these numbers, from 0: 0,100,200
    #[arg(long, value_name = "NUMBERS", group = "selection", value_delimiter = ',', value_parser = number)]
    pub frames: Option<Vec<u64>>,
    /// Number of different frames, chosen at random
    #[arg(long, value_name = "N", group = "selection")]
    pub random: Option<NonZeroU64>,
    /// Seed of --random: the same seed chooses the same frames
    #[arg(
        long,
        value_name = "SEED",
        requires = "random",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub seed: u64,
    /// Start of the range (inclusive): 90, 1:30, 1m30s, 25%, -10s (negative: from the end)
    #[arg(short, long, value_name = "TIME", conflicts_with_all = ["at", "frames"], allow_hyphen_values = true, value_parser = position)]
    pub start: Option<Position>,
    /// End of the range (exclusive), in the form of --start
    #[arg(short, long, value_name = "TIME", conflicts_with_all = ["at", "frames"], allow_hyphen_values = true, value_parser = position)]
    pub end: Option<Position>,
    /// Duration of the range, instead of --end
    #[arg(short = 't', long, value_name = "DURATION", conflicts_with_all = ["end", "at", "frames"], value_parser = positive_time)]
    pub duration: Option<Rational>,
}

/// Parses a time, ignoring surrounding spaces.
fn position(text: &str) -> Result<Position, ParseUnitError> {
    text.trim().parse()
}

/// Parses a frame number, ignoring surrounding spaces.
fn number(text: &str) -> Result<u64, std::num::ParseIntError> {
    text.trim().parse()
}

impl SelectArgs {
    /// Returns the selection; `None` if no option selects frames.
    pub fn selection(&self) -> Option<Selection> {
        if let Some(rate) = self.fps {
            Some(Selection::Fps(rate))
        } else if let Some(rate) = self.every.and_then(FrameRate::every) {
            Some(Selection::Fps(rate))
        } else if let Some(positions) = &self.at {
            Some(Selection::At(positions.clone()))
        } else if let Some(count) = self.count {
            Some(Selection::Count(count))
        } else if self.keyframes {
            Some(Selection::Keyframes)
        } else if let Some(step) = self.every_nth {
            Some(Selection::EveryNth(step))
        } else if let Some(numbers) = &self.frames {
            Some(Selection::Frames(numbers.clone()))
        } else if let Some(count) = self.random {
            let seed = self.seed;
            Some(Selection::Random { count, seed })
        } else {
            self.all.then_some(Selection::All)
        }
    }

    /// Returns the range.
    pub fn range(&self) -> Range {
        Range {
            start: self.start,
            end: self.end.map(End::At).or(self.duration.map(End::After)),
        }
    }

    /// Returns whether the selection is one picture for every video.
    pub fn is_one_picture(&self) -> bool {
        self.count == Some(1)
            || self.at.as_ref().is_some_and(|times| times.len() == 1)
            || self.frames.as_ref().is_some_and(|numbers| numbers.len() == 1)
            || self.random == NonZeroU64::new(1)
    }
}
