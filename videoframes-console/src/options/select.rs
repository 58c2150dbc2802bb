//! Options that select frames.

use std::fmt::Display;
use std::num::NonZeroU64;
use std::str::FromStr;

use clap::Args;
use videoframes_core::select::{
    End, Filters, HashDistance, MinSharpness, Position, Range, SceneThreshold, Selection,
};
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
#[derive(Debug, Clone, Default, Args)]
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
    /// First frame of each scene: a change of content by the threshold or more begins a scene [default threshold: 27]
    #[arg(long, value_name = "THRESHOLD", group = "selection", num_args = 0..=1, default_missing_value = "27", value_parser = scene)]
    pub scene: Option<SceneThreshold>,
    /// Sharpest frame of each interval, neither black nor white nor in a transition: 10s, 1m
    #[arg(long, value_name = "DURATION", group = "selection", value_parser = positive_time)]
    pub best_of: Option<Rational>,
    /// Start of the range (inclusive): 90, 1:30, 1m30s, 25%, -10s (negative: from the end)
    #[arg(short, long, value_name = "TIME", conflicts_with_all = ["at", "frames"], allow_hyphen_values = true, value_parser = position)]
    pub start: Option<Position>,
    /// End of the range (exclusive), in the form of --start
    #[arg(short, long, value_name = "TIME", conflicts_with_all = ["at", "frames"], allow_hyphen_values = true, value_parser = position)]
    pub end: Option<Position>,
    /// Duration of the range, instead of --end
    #[arg(short = 't', long, value_name = "DURATION", conflicts_with_all = ["end", "at", "frames"], value_parser = positive_time)]
    pub duration: Option<Rational>,
    /// Filters.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Whether the selection is one good frame, by a separate command.
    #[arg(skip)]
    thumbnail: bool,
}

/// Filters that leave out selected frames by their content.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Filters (leave out selected frames)")]
pub struct FilterArgs {
    /// Leave out black frames
    #[arg(long)]
    pub skip_black: bool,
    /// Leave out frames of less than this sharpness [default sharpness: 100]
    #[arg(long, value_name = "SHARPNESS", num_args = 0..=1, default_missing_value = "100", value_parser = sharpness)]
    pub skip_blurred: Option<MinSharpness>,
    /// Leave out frames that look like an earlier picture, up to this distance of their hashes, 0 to 32 bits [default distance: 4]
    #[arg(long, value_name = "DISTANCE", num_args = 0..=1, default_missing_value = "4", value_parser = distance)]
    pub dedupe: Option<HashDistance>,
}

impl FilterArgs {
    /// Returns the filters.
    pub fn filters(&self) -> Filters {
        let mut filters = Filters::default();
        filters.skip_black = self.skip_black;
        filters.skip_blurred = self.skip_blurred;
        filters.dedupe = self.dedupe;
        filters
    }
}

/// Parses the value of an option that may stand without one, so that the next argument may be the video.
pub(super) fn optional<T: FromStr<Err: Display>>(option: &str, text: &str) -> Result<T, String> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    text.trim().parse().map_err(|error: T::Err| match is_number {
        true => error.to_string(),
        false => format!("{error} (if it is the video, put the video before {option})"),
    })
}

fn scene(text: &str) -> Result<SceneThreshold, String> {
    optional("--scene", text)
}

fn sharpness(text: &str) -> Result<MinSharpness, String> {
    optional("--skip-blurred", text)
}

fn distance(text: &str) -> Result<HashDistance, String> {
    optional("--dedupe", text)
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
    /// Selects one good frame.
    pub fn thumbnail() -> Self {
        Self {
            thumbnail: true,
            ..Self::default()
        }
    }

    /// Returns the selection; `None` if no option selects frames.
    pub fn selection(&self) -> Option<Selection> {
        if self.thumbnail {
            Some(Selection::Thumbnail)
        } else if let Some(rate) = self.fps {
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
        } else if let Some(threshold) = self.scene {
            Some(Selection::Scenes(threshold))
        } else if let Some(rate) = self.best_of.and_then(FrameRate::every) {
            Some(Selection::BestOf(rate))
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
        self.thumbnail
            || self.count == Some(1)
            || self.at.as_ref().is_some_and(|times| times.len() == 1)
            || self.frames.as_ref().is_some_and(|numbers| numbers.len() == 1)
            || self.random == NonZeroU64::new(1)
    }
}
