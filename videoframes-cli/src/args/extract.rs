//! Arguments of `vf extract` and `vf plan`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use videoframes_console::Failure;
use videoframes_console::options::{
    DamageArgs, DeinterlaceArgs, JsonArgs, LimitArgs, NameArgs, NetworkArgs, PictureArgs, PlanLimitArgs,
    ReplaceArgs, ReportArgs, SelectArgs, StreamArgs,
};
use videoframes_core::extract::{PictureFormat, PictureOptions};
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::Request;

use super::archive::ArchiveArgs;
use super::batch::{BatchArgs, VIDEOS_HELP};
use super::execution::{FfmpegArgs, StallArgs, StrategyArgs, VIDEO_HELP};
use crate::input::VideoInput;

pub(super) const EXAMPLES: &str = "\
Examples:
  One frame per second:
    vf extract video.mp4 --fps 1 -o frames.zip
  Ten frames, evenly spaced:
    vf extract video.mp4 -n 10
  Frames displayed at given times:
    vf extract video.mp4 --at 1.5,00:00:02,50% -o at.zip
  One picture, two seconds before the end:
    vf extract video.mp4 --at -2s -o thumb.jpg
  One frame per second of a range, into a folder:
    vf extract video.mp4 --every 1s -s 1 -e -1 -W 640 -o thumbs/
  The first frame of each scene, without duplicates:
    vf extract video.mp4 --scene --dedupe -o scenes/
  The sharpest frame of every ten seconds:
    vf extract video.mp4 --best-of 10s -o best.zip
  Ten frames of a remote video, by range requests:
    vf extract https://example.org/video.mp4 -n 10 -o ten.zip
  One picture of each video; the command continues if it was interrupted:
    vf extract *.mp4 -n 1 -o 'posters/{stem}.jpg' --skip-existing
  Samples for WebDataset, 1000 in each tar archive, and an image folder for Hugging Face datasets:
    vf extract video.mp4 --fps 2 --layout webdataset --shard-size 1000 -o train/
    vf extract video.mp4 --fps 2 --layout imagefolder -o dataset/
  One picture on stdout:
    vf extract video.mp4 --at 50% -f png -o - > middle.png
  Pixels of 32 random frames as one NumPy array, without encoding:
    vf extract video.mp4 --random 32 -f npy -o - > frames.npy";

const OUTPUT_HELP: &str = match cfg!(feature = "s3") {
    true => {
        "A .zip or .tar file, a folder, a picture (.jpg, .png, .webp, .avif, .raw, .npy), s3://BUCKET/KEY.zip, or - for stdout; \
         for several videos, a folder or a template with {stem}, {name}, {folder} or {index:06} \
         [default: NAME.frames.zip]"
    }
    false => {
        "A .zip or .tar file, a folder, a picture (.jpg, .png, .webp, .avif, .raw, .npy), or - for stdout; \
         for several videos, a folder or a template with {stem}, {name}, {folder} or {index:06} \
         [default: NAME.frames.zip]"
    }
};

#[derive(Debug, Args)]
pub(crate) struct ExtractArgs {
    #[arg(value_name = "VIDEO", required_unless_present = "from", value_parser = VideoInput::parser(), help = VIDEOS_HELP)]
    pub(crate) files: Vec<VideoInput>,
    #[command(flatten)]
    pub(super) stream: StreamArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) picture: PictureArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    #[command(flatten)]
    pub(super) limit: LimitArgs,
    #[command(flatten)]
    pub(super) stall: StallArgs,
    #[command(flatten)]
    pub(super) strategy: StrategyArgs,
    #[command(flatten)]
    pub(crate) jobs: JobsArgs,
    #[command(flatten)]
    pub(crate) ffmpeg: FfmpegArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    #[arg(short, long, value_name = "OUT", help = OUTPUT_HELP)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,
    #[command(flatten)]
    pub(super) name: NameArgs,
    #[command(flatten)]
    pub(crate) archive: ArchiveArgs,
    #[command(flatten)]
    pub(super) damage: DamageArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    /// Print the plan, as 'vf plan' does, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Execution (does not change the result)")]
pub(crate) struct JobsArgs {
    /// Maximum number of decoders at the same time [default: by the plan and the machine]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[arg(value_name = "VIDEO", value_parser = VideoInput::parser(), help = VIDEO_HELP)]
    pub(crate) file: VideoInput,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
    #[command(flatten)]
    stream: StreamArgs,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    deinterlace: DeinterlacePlanArgs,
    #[command(flatten)]
    limit: PlanLimitArgs,
    #[command(flatten)]
    stall: StallArgs,
    #[command(flatten)]
    strategy: StrategyArgs,
    #[command(flatten)]
    pub(crate) ffmpeg: FfmpegArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
struct DeinterlacePlanArgs {
    #[command(flatten)]
    deinterlace: DeinterlaceArgs,
}

impl ExtractArgs {
    /// Returns the request. `implied` is the picture format that the extension of the output implies.
    ///
    /// # Errors
    /// Fails if options contradict each other.
    pub(crate) fn request(&self, implied: Option<PictureFormat>) -> Result<Request, Failure> {
        let mut request = self
            .select
            .selection()
            .map_or_else(Request::default, Request::new);
        request.stream = self.stream.stream;
        request.range = self.select.range();
        request.filters = self.select.filter.filters();
        request.picture = self.picture.options(implied)?;
        request.names = self.output.name.name.clone().unwrap_or_default();
        request.layout = self.output.archive.layout;
        request.on_damage = self.output.damage.on_error;
        request.strategy = self.strategy.strategy;
        request.jobs = self.jobs.jobs;
        Ok(request)
    }

    /// Returns the limits of the extraction.
    pub(crate) fn limits(&self) -> Limits {
        self.stall.over(self.limit.over(Limits::default()))
    }
}

impl PlanArgs {
    /// Returns the request to plan.
    pub(crate) fn request(&self) -> Request {
        let mut request = self
            .select
            .selection()
            .map_or_else(Request::default, Request::new);
        request.stream = self.stream.stream;
        request.range = self.select.range();
        request.filters = self.select.filter.filters();
        request.picture = PictureOptions::default().deinterlace(self.deinterlace.deinterlace.deinterlace);
        request.strategy = self.strategy.strategy;
        request
    }

    /// Returns the limits of the plan.
    pub(crate) fn limits(&self) -> Limits {
        self.stall.over(self.limit.over(Limits::default()))
    }
}
