//! Arguments for several videos.

use std::path::PathBuf;

use clap::Args;

use super::ExtractArgs;
use crate::batch::has_fields;
use crate::input::VideoInput;

/// Help for the video arguments in this build.
pub(super) const VIDEOS_HELP: &str = match cfg!(feature = "s3") {
    true => "Videos: files, folders, URLs (http://, https://, s3://BUCKET/KEY), or - for stdin",
    false => "Videos: files, folders, URLs (http://, https://), or - for stdin",
};

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Several videos")]
pub(crate) struct BatchArgs {
    /// Read paths and URLs of videos from a file, one per line; - reads them from stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Separate the paths in --from by NUL characters, as 'find -print0' does
    #[arg(short = '0', long, requires = "from")]
    pub(crate) null: bool,
    /// Include the videos in all subfolders of a folder
    #[arg(long)]
    pub(crate) recursive: bool,
    /// Skip videos whose output exists
    #[arg(long, conflicts_with = "yes")]
    pub(crate) skip_existing: bool,
    /// Continue with the other videos after a failure
    #[arg(long)]
    pub(crate) keep_going: bool,
}

impl ExtractArgs {
    /// Returns whether the arguments can stand for any number of videos: several arguments, a folder or a list.
    pub(crate) fn are_several(&self) -> bool {
        self.batch.from.is_some() || self.files.len() != 1 || self.files.iter().any(VideoInput::is_folder)
    }

    /// Returns the video if the arguments stand for one, and neither `--skip-existing` nor a template is given.
    pub(crate) fn single(&self) -> Option<&VideoInput> {
        let output = self.output.output.as_deref();
        let is_batch = self.are_several() || self.batch.skip_existing || output.is_some_and(has_fields);
        self.files.first().filter(|_| !is_batch)
    }
}
