//! Arguments of `vf compress`.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args;
use videoframes_console::options::{
    Choice, DamageArgs, NetworkArgs, OutputLimitArgs, ReplaceArgs, ReportArgs, StreamArgs, choice,
    positive_size,
};
use videoframes_core::compress::{AudioMode, Codec, Container};
use videoframes_core::extract::Quality;
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::CompressJob;

use super::execution::{FfmpegArgs, ReadLimitArgs, VIDEO_HELP};
use crate::input::VideoInput;

pub(super) const EXAMPLES: &str = "\
Examples:
  H.264 and AAC, at a constant quality:
    vf compress video.mp4 -o small.mp4
  At most 720 pixels high:
    vf compress video.mp4 -o small720.mp4 --max-height 720
  At most 25 MB, for email:
    vf compress video.mp4 -o mail.mp4 --max-size 25MB
  HEVC, with the similarity to the source:
    vf compress video.mp4 -o hevc.mp4 --codec hevc --measure
  For the web, without audio:
    vf compress video.mp4 -o small.webm --audio none

If encoding does not make the video smaller, the output keeps the streams of the source, and the summary says so.";

const OUTPUT_HELP: &str = match cfg!(feature = "s3") {
    true => "A .mp4 or .webm file, or s3://BUCKET/KEY [default: NAME.compressed.mp4]",
    false => "A .mp4 or .webm file [default: NAME.compressed.mp4]",
};

const CODECS: &[Choice<Codec>] = &[
    ("h264", &["h.264", "avc", "x264"], Codec::H264),
    ("hevc", &["h265", "h.265", "x265"], Codec::Hevc),
    ("av1", &[], Codec::Av1),
    ("vp9", &[], Codec::Vp9),
];
const AUDIO: &[Choice<AudioMode>] = &[
    ("aac", &[], AudioMode::Encode),
    ("copy", &[], AudioMode::Copy),
    ("none", &[], AudioMode::None),
];

#[derive(Debug, Args)]
pub(crate) struct CompressArgs {
    #[arg(value_name = "VIDEO", value_parser = VideoInput::parser(), help = VIDEO_HELP)]
    pub(crate) file: VideoInput,
    #[command(flatten)]
    stream: StreamArgs,
    #[command(flatten)]
    video: VideoArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    limit: CompressLimitArgs,
    #[command(flatten)]
    pub(crate) ffmpeg: FfmpegArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Video")]
struct VideoArgs {
    /// Video codec [default: h264, or vp9 in .webm]
    #[arg(long, value_name = "CODEC", value_parser = choice(CODECS), ignore_case = true)]
    codec: Option<Codec>,
    /// Constant quality, 1 to 100, on the same scale for every codec [default: 70]
    #[arg(short, long, value_name = "Q", conflicts_with = "max_size")]
    quality: Option<Quality>,
    /// Maximum height; videos keep their aspect ratio and are never enlarged
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(16..=65535))]
    max_height: Option<u32>,
    /// Maximum size, by two-pass encoding instead of a constant quality: 25MB, 8MiB
    #[arg(long, value_name = "SIZE", value_parser = positive_size)]
    max_size: Option<NonZeroU64>,
    /// Audio: encode (aac; Opus in .webm), copy, or none
    #[arg(long, default_value = "aac", value_name = "MODE", value_parser = choice(AUDIO), ignore_case = true)]
    audio: AudioMode,
    /// Keep all metadata, including location and device
    #[arg(long)]
    keep_metadata: bool,
    /// Measure the similarity of the output to the source (SSIM, 0 to 1)
    #[arg(long)]
    measure: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    #[arg(short, long, value_name = "OUT", help = OUTPUT_HELP)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,
    #[command(flatten)]
    damage: DamageArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (exceeding one is an error)")]
struct CompressLimitArgs {
    #[command(flatten)]
    output: OutputLimitArgs,
    #[command(flatten)]
    read: ReadLimitArgs,
}

impl CompressArgs {
    /// Returns the job for an output in `container`.
    pub(crate) fn job(&self, container: Container) -> CompressJob {
        let video = &self.video;
        let codec = video.codec.unwrap_or(match container {
            Container::WebM => Codec::Vp9,
            _ => Codec::H264,
        });
        let mut job = CompressJob::default();
        job.stream = self.stream.stream;
        job.options.codec = codec;
        job.options.container = Some(container);
        job.options.quality = video.quality.unwrap_or(job.options.quality);
        job.options.max_height = video.max_height;
        job.options.max_bytes = video.max_size;
        job.options.audio = video.audio;
        job.options.keep_metadata = video.keep_metadata;
        job.on_damage = self.output.damage.on_error;
        job.measure = video.measure;
        job
    }

    /// Returns the limits of the compression.
    pub(crate) fn limits(&self) -> Limits {
        self.limit.output.over(self.limit.read.over(Limits::default()))
    }
}
