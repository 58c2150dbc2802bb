//! Arguments of `vf probe` and `vf doctor`.

use clap::Args;
use videoframes_console::options::{JsonArgs, NetworkArgs, StreamArgs};

use super::execution::{FfmpegArgs, ReadLimitArgs, VIDEO_HELP};
use crate::input::VideoInput;

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    #[arg(value_name = "VIDEO", value_parser = VideoInput::parser(), help = VIDEO_HELP)]
    pub(crate) file: VideoInput,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
    #[command(flatten)]
    pub(crate) limit: ReadLimitArgs,
    #[command(flatten)]
    pub(crate) ffmpeg: FfmpegArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) ffmpeg: FfmpegArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}
