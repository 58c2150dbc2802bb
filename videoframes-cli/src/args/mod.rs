//! The command line, parsed to types of `videoframes-core`.

mod archive;
mod batch;
mod compress;
mod execution;
mod extract;
mod inspect;
mod preview;
mod sheets;
mod thumbnail;

use clap::{Parser, Subcommand};
use videoframes_console::options::VerboseArgs;
use videoframes_console::{CompletionsArgs, HELP_WIDTH, LONG_VERSION, ManArgs, STYLES, VERSION, exit};

pub(crate) use self::archive::{ArchiveArgs, ArchiveType};
pub(crate) use self::batch::BatchArgs;
pub(crate) use self::compress::CompressArgs;
pub(crate) use self::execution::addresses;
pub(crate) use self::extract::{ExtractArgs, OutputArgs, PlanArgs};
pub(crate) use self::inspect::{DoctorArgs, ProbeArgs};
pub(crate) use self::preview::PreviewArgs;
pub(crate) use self::sheets::{RunArgs, SheetArgs, SheetOutputArgs, StoryboardArgs};
pub(crate) use self::thumbnail::ThumbnailArgs;

/// Extract exact frames from videos: each picture is the frame that a player displays at that time
#[derive(Debug, Parser)]
#[command(name = "vf", version = VERSION, long_version = LONG_VERSION, styles = STYLES,
    max_term_width = HELP_WIDTH, arg_required_else_help = true,
    after_help = exit::help(exit::Program::Vf))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) verbose: VerboseArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Extract frames into a ZIP, a folder, a picture or stdout, of one video or many
    #[command(after_help = extract::EXAMPLES)]
    Extract(Box<ExtractArgs>),
    /// Make a storyboard: sheets of tiles with a WebVTT file, for the previews of video players
    #[command(after_help = sheets::STORYBOARD_EXAMPLES)]
    Storyboard(Box<StoryboardArgs>),
    /// Make a contact sheet: one picture with a grid of frames and their times
    #[command(after_help = sheets::SHEET_EXAMPLES)]
    Sheet(Box<SheetArgs>),
    /// Make a preview: a short animated picture (WebP or GIF) of the frames of a video
    #[command(after_help = preview::EXAMPLES)]
    Preview(Box<PreviewArgs>),
    /// Write one good frame of a video as a picture
    #[command(after_help = thumbnail::EXAMPLES)]
    Thumbnail(Box<ThumbnailArgs>),
    /// Compress a video, frame for frame, into a widely supported format
    #[command(after_help = compress::EXAMPLES)]
    Compress(Box<CompressArgs>),
    /// Print the plan of an extraction: what would be decoded and read
    Plan(Box<PlanArgs>),
    /// Print container, codec, size, frames and duration of a video
    Probe(ProbeArgs),
    /// Check ffmpeg and the machine, and print a hint for each problem
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the man pages of all commands
    Man(ManArgs),
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
