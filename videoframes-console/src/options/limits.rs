//! Options for limits on input, output and time.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::Args;
use videoframes_core::limits::Limits;

use super::{positive_size, wall_time};

/// Limits on input and output.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Limits (exceeding one is an error)")]
pub struct LimitArgs {
    /// Limits on the selection and the input.
    #[command(flatten)]
    pub plan: PlanLimitArgs,
    /// Limit on the output.
    #[command(flatten)]
    pub output: OutputLimitArgs,
}

/// Limits on the selection and the input.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Limits (exceeding one is an error)")]
pub struct PlanLimitArgs {
    /// Maximum number of pictures
    #[arg(long, value_name = "N")]
    pub max_frames: Option<NonZeroU64>,
    /// Limits on the input.
    #[command(flatten)]
    pub input: InputLimitArgs,
}

/// Limit on the output.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Limits (exceeding one is an error)")]
pub struct OutputLimitArgs {
    /// Maximum size of the output: 500MB, 2GiB
    #[arg(long, value_name = "SIZE", value_parser = positive_size)]
    pub max_output: Option<NonZeroU64>,
}

/// Limits on the input.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Limits (exceeding one is an error)")]
pub struct InputLimitArgs {
    /// Maximum size of the input: 500MB, 2GiB
    #[arg(long, value_name = "SIZE", value_parser = positive_size)]
    pub max_input: Option<NonZeroU64>,
    /// Maximum number of pixels per stored frame
    #[arg(long, value_name = "N")]
    pub max_pixels: Option<NonZeroU64>,
    /// Maximum duration of the video
    #[arg(long, value_name = "DURATION", value_parser = wall_time)]
    pub max_duration: Option<Duration>,
    /// Maximum wall-clock time of the run
    #[arg(long, value_name = "DURATION", value_parser = wall_time)]
    pub timeout: Option<Duration>,
}

impl LimitArgs {
    /// Returns `default`, overridden by the given options.
    pub fn over(&self, default: Limits) -> Limits {
        self.output.over(self.plan.over(default))
    }
}

impl PlanLimitArgs {
    /// Returns `default`, overridden by the given options.
    pub fn over(&self, default: Limits) -> Limits {
        let limits = self.input.over(default);
        match self.max_frames {
            // An explicit --max-frames also allows a grid finer than the frames of the video.
            Some(frames) => limits.frames(frames.get()).grid_per_frame(u64::MAX),
            None => limits,
        }
    }
}

impl OutputLimitArgs {
    /// Returns `default`, overridden by the given option.
    pub fn over(&self, default: Limits) -> Limits {
        default.output_bytes(self.max_output.map_or(default.output_bytes, NonZeroU64::get))
    }
}

impl InputLimitArgs {
    /// Returns `default`, overridden by the given options.
    pub fn over(&self, default: Limits) -> Limits {
        default
            .input_bytes(self.max_input.map_or(default.input_bytes, NonZeroU64::get))
            .pixels(self.max_pixels.map_or(default.pixels, NonZeroU64::get))
            .duration(self.max_duration.unwrap_or(default.duration))
            .wall_time(self.timeout.unwrap_or(default.wall_time))
    }
}
