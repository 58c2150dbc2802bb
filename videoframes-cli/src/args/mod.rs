//! What the command line says, parsed to the core's types.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use videoframes_core::archive::NameTemplate;
use videoframes_core::compress::{AudioMode, Codec, CompressOptions, Container};
use videoframes_core::extract::{Deinterlace, PictureFormat, PictureOptions, Quality, Tonemap};
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::{CompressJob, OnDamage, Request};
use videoframes_core::plan::Strategy;
use videoframes_core::select::{End, Position, Range, Selection};
use videoframes_core::source::http::Addresses;
use videoframes_core::units::{FrameRate, Rational, approximate_seconds, parse_size, parse_time};

use crate::input::VideoInput;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  vf extract video.mp4 --fps 1 -o frames.zip      one frame a second
  vf extract video.mp4 -n 10                      ten frames, evenly spaced
  vf extract video.mp4 --at 1.5,00:01:10,50%      the frames displayed at these times
  vf extract https://example.org/video.mp4 -n 10  reads only what ten frames need
  vf extract video.mp4 --every 10s -s 1m -e 5m -W 640 -o thumbs/
  vf extract video.mp4 --all -f png -o - | tar -tf -";

const COMPRESS_EXAMPLES: &str = "\
Examples:
  vf compress video.mov -o small.mp4                   H.264 and AAC, at a constant quality
  vf compress video.mov -o small.mp4 --max-height 720  no higher than 720 pixels
  vf compress video.mov -o small.mp4 --max-size 25MB   as large as a mail may be
  vf compress video.mov -o small.mp4 --codec hevc --measure
  vf compress video.mov -o small.webm --audio none

What is larger when it is encoded again is not: the result then has the source's own streams, and says so.";

/// Exact frames from videos: every picture is the frame that a player shows at its time.
#[derive(Debug, Parser)]
#[command(name = "vf", version, styles = STYLES, after_help = crate::exit::HELP, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Say on stderr what is being done.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Extract frames into a ZIP, a folder or stdout.
    #[command(after_help = EXAMPLES)]
    Extract(Box<ExtractArgs>),
    /// Make a smaller version of a video, frame for frame, that plays everywhere.
    #[command(after_help = COMPRESS_EXAMPLES)]
    Compress(Box<CompressArgs>),
    /// Show what an extraction would decode, and decode nothing: `vf extract --dry-run`.
    Plan(Box<ExtractArgs>),
    /// Show what a video is: container, codec, size, frames, duration.
    Probe(ProbeArgs),
    /// Check ffmpeg and the machine, and say how to mend what is missing.
    Doctor(DoctorArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ExtractArgs {
    /// The video: a file, or an address (http://, https://).
    #[arg(value_parser = VideoInput::parser())]
    pub(crate) file: VideoInput,

    #[command(flatten)]
    select: SelectArgs,

    #[command(flatten)]
    picture: PictureArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    limit: LimitArgs,

    /// What to do with a damaged video: fail and leave nothing, or keep what decodes.
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    on_error: OnError,

    #[command(flatten)]
    work: WorkArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// Read from hosts of this machine and of local networks too.
    #[arg(long)]
    allow_private_addresses: bool,
}

impl NetworkArgs {
    pub(crate) fn addresses(&self) -> Addresses {
        match self.allow_private_addresses {
            true => Addresses::Any,
            false => Addresses::Public,
        }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Work (the result does not depend on it)")]
struct WorkArgs {
    /// Decode only the samples that the frames need (planned), from the start of the file (plain), or
    /// whichever costs less (auto).
    #[arg(long, default_value = "auto", value_name = "HOW")]
    strategy: StrategyArg,
    /// How many decoders run side by side [default: by the work and the machine].
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// The ffmpeg to run (ffprobe is looked for beside it).
    #[arg(long, value_name = "PATH")]
    ffmpeg: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Selection (default: --fps 1)")]
struct SelectArgs {
    /// Frames per second: 1, 0.5, 1/10, 30000/1001.
    #[arg(long, value_name = "R", group = "selection")]
    fps: Option<FrameRate>,
    /// One frame every D: 10s, 1.5, 1m.
    #[arg(long, value_name = "D", group = "selection", value_parser = positive_time)]
    every: Option<Rational>,
    /// The frames displayed at these times: 1.5,00:01:10.123,20%.
    #[arg(long, value_name = "LIST", group = "selection", value_delimiter = ',')]
    at: Option<Vec<Position>>,
    /// This many frames, evenly spaced.
    #[arg(short = 'n', long, value_name = "N", group = "selection", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Every frame.
    #[arg(long, group = "selection")]
    all: bool,
    /// Where to start (inclusive): 90, 1:30, 1m30s, 25%.
    #[arg(short, long, value_name = "T", conflicts_with = "at")]
    start: Option<Position>,
    /// Where to end (exclusive).
    #[arg(short, long, value_name = "T", conflicts_with = "at")]
    end: Option<Position>,
    /// How long, instead of --end.
    #[arg(short = 't', long, value_name = "D", conflicts_with_all = ["end", "at"], value_parser = positive_time)]
    duration: Option<Rational>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
struct PictureArgs {
    /// Picture format: jpg, png or webp.
    #[arg(short, long, default_value = "jpg", value_name = "FORMAT")]
    format: PictureFormat,
    /// Quality of jpg and webp, 1 to 100.
    #[arg(short, long, default_value = "90", value_name = "Q")]
    quality: Quality,
    /// Largest width; pictures keep their shape and are never enlarged.
    #[arg(short = 'W', long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=65535))]
    width: Option<u32>,
    /// Largest height.
    #[arg(short = 'H', long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=65535))]
    height: Option<u32>,
    /// Largest width and height.
    #[arg(long, value_name = "PX", conflicts_with_all = ["width", "height"], value_parser = clap::value_parser!(u32).range(1..=65535))]
    max_size: Option<u32>,
    /// Leave pictures as stored, not turned upright.
    #[arg(long)]
    no_rotate: bool,
    /// Deinterlace: interlaced frames (auto), all (on) or none (off).
    #[arg(long, default_value = "auto", value_name = "WHEN")]
    deinterlace: DeinterlaceArg,
    /// Bring HDR videos to SDR (auto), or do not (off).
    #[arg(long, default_value = "auto", value_name = "WHEN")]
    tonemap: TonemapArg,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// A .zip file, a folder, s3://BUCKET/KEY.zip, or - for a ZIP on stdout [default: NAME.frames.zip].
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Names of the pictures, of {index}, {stem}, {ms} and {pts}.
    #[arg(long, default_value = "frame_{index:06}", value_name = "TEMPLATE")]
    pub(crate) name: NameTemplate,
    /// Replace an existing output.
    #[arg(short = 'y', long = "yes")]
    pub(crate) replace: bool,
    /// Progress on stderr [default: a bar on a terminal, else none].
    #[arg(long, value_name = "KIND")]
    pub(crate) progress: Option<ProgressKind>,
    /// Print the result as JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors.
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Only show what would be decoded.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (reaching one is an error, and nothing is written)")]
struct LimitArgs {
    /// Most pictures.
    #[arg(long, value_name = "N")]
    max_frames: Option<u64>,
    /// Largest output.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_output: Option<u64>,
    #[command(flatten)]
    input: InputLimitArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (reaching one is an error, and nothing is written)")]
pub(crate) struct InputLimitArgs {
    /// Largest input: 500MB, 2GiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_input: Option<u64>,
    /// Most pixels of a stored frame.
    #[arg(long, value_name = "N")]
    max_pixels: Option<u64>,
    /// Longest video.
    #[arg(long, value_name = "D", value_parser = wall_time)]
    max_duration: Option<Duration>,
    /// Longest run.
    #[arg(long, value_name = "D", value_parser = wall_time)]
    timeout: Option<Duration>,
    /// How long ffmpeg may make no progress.
    #[arg(long, value_name = "D", value_parser = wall_time)]
    stall_timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct CompressArgs {
    /// The video: a file, or an address (http://, https://).
    #[arg(value_parser = VideoInput::parser())]
    pub(crate) file: VideoInput,

    /// A .mp4 or .webm file, or s3://BUCKET/KEY [default: NAME.compressed.mp4].
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,

    /// How pictures are coded: h264, hevc, av1 or vp9 [default: h264, in .webm vp9].
    #[arg(long, value_name = "CODEC")]
    pub(crate) codec: Option<Codec>,
    /// Constant quality, 1 to 100, the same scale for every codec [default: 70].
    #[arg(short, long, value_name = "Q", conflicts_with = "max_size")]
    quality: Option<Quality>,
    /// Largest height; videos keep their shape and are never enlarged.
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(16..=65535))]
    max_height: Option<u32>,
    /// Size that is met instead of a quality, by two passes: 25MB, 8MiB.
    #[arg(long, value_name = "SIZE", value_parser = positive_size)]
    max_size: Option<NonZeroU64>,
    /// Sound: encoded (aac; Opus in .webm), as it is (copy), or none.
    #[arg(long, default_value = "aac", value_name = "HOW")]
    audio: AudioMode,
    /// Keep all that the video says of itself, place and device too.
    #[arg(long)]
    keep_metadata: bool,
    /// Compare the result with the video, and say how similar it is (SSIM, 0 to 1).
    #[arg(long)]
    measure: bool,

    /// Replace an existing output.
    #[arg(short = 'y', long = "yes")]
    pub(crate) replace: bool,
    /// Progress on stderr [default: a bar on a terminal, else none].
    #[arg(long, value_name = "KIND")]
    pub(crate) progress: Option<ProgressKind>,
    /// Print the result as JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print nothing but errors.
    #[arg(long)]
    pub(crate) quiet: bool,

    /// What to do with a damaged video: fail and leave nothing, or keep what decodes.
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    on_error: OnError,
    /// The ffmpeg to run (ffprobe is looked for beside it).
    #[arg(long, value_name = "PATH")]
    pub(crate) ffmpeg: Option<PathBuf>,

    /// Largest output.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_output: Option<u64>,
    #[command(flatten)]
    limit: InputLimitArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// The video: a file, or an address (http://, https://).
    #[arg(value_parser = VideoInput::parser())]
    pub(crate) file: VideoInput,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) limit: InputLimitArgs,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// The ffmpeg to run (ffprobe is looked for beside it).
    #[arg(long, value_name = "PATH")]
    pub(crate) ffmpeg: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The ffmpeg to check.
    #[arg(long, value_name = "PATH")]
    pub(crate) ffmpeg: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressKind {
    /// A bar.
    Bar,
    /// JSON, a line each.
    Json,
    /// None.
    None,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnError {
    Fail,
    Partial,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StrategyArg {
    Auto,
    Plain,
    Planned,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DeinterlaceArg {
    Auto,
    On,
    Off,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TonemapArg {
    Auto,
    Off,
}

fn positive_time(text: &str) -> Result<Rational, String> {
    let time = parse_time(text).map_err(|e| e.to_string())?;
    if time > Rational::from_integer(0) {
        Ok(time)
    } else {
        Err("must be longer than 0".to_owned())
    }
}

fn wall_time(text: &str) -> Result<Duration, String> {
    let seconds = approximate_seconds(positive_time(text)?);
    Duration::try_from_secs_f64(seconds.min(1e9)).map_err(|e| e.to_string())
}

fn positive_size(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(parse_size(text).map_err(|e| e.to_string())?)
        .ok_or_else(|| "must be more than 0".to_owned())
}

impl ExtractArgs {
    /// The request that these arguments make.
    pub(crate) fn request(&self) -> Request {
        let select = &self.select;
        let default = Request::default();
        let selection = if let Some(rate) = select.fps {
            Selection::Fps(rate)
        } else if let Some(rate) = select.every.and_then(FrameRate::every) {
            Selection::Fps(rate)
        } else if let Some(positions) = &select.at {
            Selection::At(positions.clone())
        } else if let Some(count) = select.count {
            Selection::Count(count)
        } else if select.all {
            Selection::All
        } else {
            default.selection
        };
        let picture = &self.picture;
        Request {
            selection,
            range: Range {
                start: select.start,
                end: select.end.map(End::At).or(select.duration.map(End::After)),
            },
            picture: PictureOptions {
                format: picture.format,
                quality: picture.quality,
                max_width: picture.width.or(picture.max_size),
                max_height: picture.height.or(picture.max_size),
                rotate: !picture.no_rotate,
                deinterlace: match picture.deinterlace {
                    DeinterlaceArg::Auto => Deinterlace::Auto,
                    DeinterlaceArg::On => Deinterlace::On,
                    DeinterlaceArg::Off => Deinterlace::Off,
                },
                tonemap: match picture.tonemap {
                    TonemapArg::Auto => Tonemap::Auto,
                    TonemapArg::Off => Tonemap::Off,
                },
            },
            names: self.output.name.clone(),
            on_damage: self.on_error.into(),
            limits: self.limit.over(default.limits),
            strategy: match self.work.strategy {
                StrategyArg::Auto => Strategy::Auto,
                StrategyArg::Plain => Strategy::Plain,
                StrategyArg::Planned => Strategy::Planned,
            },
            jobs: self.work.jobs,
            scratch: default.scratch,
        }
    }

    /// The ffmpeg that was asked for.
    pub(crate) fn ffmpeg(&self) -> Option<PathBuf> {
        self.work.ffmpeg.clone()
    }
}

impl CompressArgs {
    /// The job that these arguments make, for an output of that container.
    pub(crate) fn job(&self, container: Container) -> CompressJob {
        let default = CompressJob::default();
        let codec = self.codec.unwrap_or(match container {
            Container::Mp4 => Codec::H264,
            Container::WebM => Codec::Vp9,
        });
        CompressJob {
            options: CompressOptions {
                codec,
                container: Some(container),
                quality: self.quality.unwrap_or(default.options.quality),
                max_height: self.max_height,
                max_bytes: self.max_size,
                audio: self.audio,
                keep_metadata: self.keep_metadata,
            },
            on_damage: self.on_error.into(),
            measure: self.measure,
            limits: Limits {
                output_bytes: self.max_output.unwrap_or(default.limits.output_bytes),
                ..self.limit.over(default.limits)
            },
            scratch: default.scratch,
        }
    }
}

impl From<OnError> for OnDamage {
    fn from(what: OnError) -> Self {
        match what {
            OnError::Fail => Self::Fail,
            OnError::Partial => Self::Partial,
        }
    }
}

impl LimitArgs {
    fn over(&self, default: Limits) -> Limits {
        Limits {
            frames: self.max_frames.unwrap_or(default.frames),
            output_bytes: self.max_output.unwrap_or(default.output_bytes),
            ..self.input.over(default)
        }
    }
}

impl InputLimitArgs {
    pub(crate) fn over(&self, default: Limits) -> Limits {
        Limits {
            input_bytes: self.max_input.unwrap_or(default.input_bytes),
            pixels: self.max_pixels.unwrap_or(default.pixels),
            duration: self.max_duration.unwrap_or(default.duration),
            wall_time: self.timeout.unwrap_or(default.wall_time),
            stall: self.stall_timeout.unwrap_or(default.stall),
            ..default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
