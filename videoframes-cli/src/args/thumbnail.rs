//! Arguments of `vf thumbnail`.

use std::path::PathBuf;

use clap::Args;
use videoframes_console::options::{
    DamageArgs, LimitArgs, NameArgs, NetworkArgs, PictureArgs, ReplaceArgs, ReportArgs, SelectArgs,
    StreamArgs,
};
use videoframes_core::extract::PictureFormat;

use super::execution::{FfmpegArgs, StallArgs, StrategyArgs, VIDEO_HELP};
use super::extract::{JobsArgs, OutputArgs};
use super::{ArchiveArgs, BatchArgs, ExtractArgs};
use crate::input::VideoInput;

pub(super) const EXAMPLES: &str = "\
Examples:
  A good frame as JPEG:
    vf thumbnail video.mp4 -o thumb.jpg
  At most 320 pixels wide, as WebP:
    vf thumbnail video.mp4 -W 320 -o thumb.webp";

#[derive(Debug, Args)]
pub(crate) struct ThumbnailArgs {
    #[arg(value_name = "VIDEO", value_parser = VideoInput::parser(), help = VIDEO_HELP)]
    file: VideoInput,
    #[command(flatten)]
    stream: StreamArgs,
    #[command(flatten)]
    picture: PictureArgs,
    #[command(flatten)]
    output: ThumbnailOutputArgs,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    stall: StallArgs,
    #[command(flatten)]
    strategy: StrategyArgs,
    #[command(flatten)]
    ffmpeg: FfmpegArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
struct ThumbnailOutputArgs {
    /// A picture (.jpg, .png, .webp, .avif, .raw, .npy), or - for stdout [default: NAME.thumb.jpg]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    #[command(flatten)]
    replace: ReplaceArgs,
    #[command(flatten)]
    damage: DamageArgs,
    #[command(flatten)]
    report: ReportArgs,
}

impl ThumbnailArgs {
    /// Returns the video, and the arguments of the extraction of one picture.
    pub(crate) fn extraction(self) -> (VideoInput, ExtractArgs) {
        let mut picture = self.picture;
        let output = self.output.output.unwrap_or_else(|| {
            let mut name = self.file.stem();
            name.push(".thumb.");
            name.push(picture.format.unwrap_or_default().extension());
            name.into()
        });
        if output.as_os_str() == "-" {
            // Without a format, stdout would get a ZIP file.
            picture.format = picture.format.or(Some(PictureFormat::Jpg));
        }
        let args = ExtractArgs {
            files: Vec::new(),
            stream: self.stream,
            select: SelectArgs::thumbnail(),
            picture,
            output: OutputArgs {
                output: Some(output),
                replace: self.output.replace,
                name: NameArgs { name: None },
                archive: ArchiveArgs::default(),
                damage: self.output.damage,
                report: self.output.report,
                dry_run: false,
            },
            batch: BatchArgs::default(),
            limit: self.limit,
            stall: self.stall,
            strategy: self.strategy,
            jobs: JobsArgs::default(),
            ffmpeg: self.ffmpeg,
            network: self.network,
        };
        (self.file, args)
    }
}
