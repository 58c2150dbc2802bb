//! Options for the execution, which do not change the result.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use videoframes_console::options::{Choice, InputLimitArgs, NetworkArgs, choice, positive_size, wall_time};
use videoframes_core::ffmpeg::{FfmpegExtractor, SandboxMode};
use videoframes_core::limits::Limits;
use videoframes_core::plan::Strategy;
use videoframes_core::source::http::Addresses;

/// Help for the video argument in this build.
pub(super) const VIDEO_HELP: &str = match cfg!(feature = "s3") {
    true => "Video: a file, a URL (http://, https://, s3://BUCKET/KEY), or - for stdin",
    false => "Video: a file, a URL (http://, https://), or - for stdin",
};

const SANDBOXES: &[Choice<SandboxMode>] = &[
    ("auto", &[], SandboxMode::Auto),
    ("require", &[], SandboxMode::Require),
    ("off", &[], SandboxMode::Off),
];

const STRATEGIES: &[Choice<Strategy>] = &[
    ("auto", &[], Strategy::Auto),
    ("plain", &[], Strategy::Plain),
    ("planned", &[], Strategy::Planned),
];

#[derive(Debug, Args)]
#[command(next_help_heading = "Execution (does not change the result)")]
pub(crate) struct StrategyArgs {
    /// Decode only the samples that the frames need (planned), all samples from the start (plain), or the
    /// cheaper of both (auto)
    #[arg(long, default_value = "auto", value_name = "STRATEGY", value_parser = choice(STRATEGIES), ignore_case = true)]
    pub(super) strategy: Strategy,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Execution (does not change the result)")]
pub(crate) struct FfmpegArgs {
    /// Path of ffmpeg; ffprobe is expected in the same folder
    #[arg(long, value_name = "PATH")]
    ffmpeg: Option<PathBuf>,
    /// Run ffmpeg in a sandbox: require fails without the complete sandbox, and auto uses what the system offers
    #[arg(long, env = "VF_SANDBOX", default_value = "auto", value_name = "MODE", hide_env_values = true,
          value_parser = choice(SANDBOXES), ignore_case = true)]
    sandbox: SandboxMode,
}

impl FfmpegArgs {
    /// Returns the extractor that runs this ffmpeg.
    pub(crate) fn extractor(&self) -> FfmpegExtractor {
        FfmpegExtractor::new(self.ffmpeg.clone()).with_sandbox(self.sandbox)
    }
}

/// Limits on the input and on the ffmpeg processes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (exceeding one is an error)")]
pub(crate) struct ReadLimitArgs {
    #[command(flatten)]
    input: InputLimitArgs,
    #[command(flatten)]
    stall: StallArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (exceeding one is an error)")]
pub(crate) struct StallArgs {
    /// Maximum time without progress of ffmpeg or a server
    #[arg(long, value_name = "DURATION", value_parser = wall_time)]
    stall_timeout: Option<Duration>,
    /// Maximum address space of one ffmpeg process: 2GiB [default: by frame size]
    #[arg(long, value_name = "SIZE", value_parser = positive_size)]
    max_memory: Option<NonZeroU64>,
}

impl ReadLimitArgs {
    /// Returns `default`, overridden by the given options.
    pub(crate) fn over(&self, default: Limits) -> Limits {
        self.stall.over(self.input.over(default))
    }
}

impl StallArgs {
    /// Returns `default`, overridden by the given options.
    pub(super) fn over(&self, default: Limits) -> Limits {
        let mut limits = default.stall(self.stall_timeout.unwrap_or(default.stall));
        limits.memory = self.max_memory.map(NonZeroU64::get).or(default.memory);
        limits
    }
}

/// Returns the addresses to which connections are allowed.
pub(crate) fn addresses(network: NetworkArgs) -> Addresses {
    match network.allow_private_addresses {
        true => Addresses::Any,
        false => Addresses::Public,
    }
}
