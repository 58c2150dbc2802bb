//! Arguments of `vf preview`.

use std::path::PathBuf;

use clap::error::Error as ClapError;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use videoframes_console::options::{AppearanceArgs, Choice, SelectArgs, choice, positive_time};
use videoframes_core::extract::{PictureOptions, Quality};
use videoframes_core::pipeline::{PreviewFormat, PreviewRequest};
use videoframes_core::units::Rational;

use super::sheets::{RunArgs, SheetOutputArgs, VideoArgs};

pub(super) const EXAMPLES: &str = "\
Examples:
  5 seconds with 10 frames a second, as video.preview.webp:
    vf preview video.mp4
  3 seconds from 1:10 on, with 15 frames a second, as GIF:
    vf preview video.mp4 -s 1:10 -t 3 --fps 15 -o preview.gif
  12 moments of the video, half a second each, played once:
    vf preview video.mp4 -n 12 --delay 500ms --loop 1 -o preview.webp
  Every scene, on stdout:
    vf preview video.mp4 --scene --delay 1s -f webp -o - > scenes.webp";

const OUTPUT: &str = match cfg!(feature = "s3") {
    true => {
        "An animated picture (.webp, .gif), a folder, a .zip or .tar file, s3://BUCKET/KEY.zip, or - for a picture on stdout \
         [default: NAME.preview.webp]"
    }
    false => {
        "An animated picture (.webp, .gif), a folder, a .zip or .tar file, or - for a picture on stdout \
         [default: NAME.preview.webp]"
    }
};

const FORMATS: &[Choice<PreviewFormat>] = &[
    ("webp", &[], PreviewFormat::Webp),
    ("gif", &[], PreviewFormat::Gif),
];

#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    #[command(flatten)]
    pub(crate) video: VideoArgs,
    #[command(flatten)]
    select: PreviewSelectArgs,
    #[command(flatten)]
    pub(crate) animation: AnimationArgs,
    #[arg(short, long, value_name = "OUT", help = OUTPUT, help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) report: SheetOutputArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Options of an animated picture.
#[derive(Debug, Args)]
#[command(next_help_heading = "Preview")]
pub(crate) struct AnimationArgs {
    /// Format of the preview [default: the extension of -o, else webp]
    #[arg(short, long, value_name = "FORMAT", value_parser = choice(FORMATS), ignore_case = true)]
    pub(crate) format: Option<PreviewFormat>,
    /// Quality of webp, 1 to 100 [default: 75]
    #[arg(short, long, value_name = "Q")]
    pub(crate) quality: Option<Quality>,
    /// Maximum width; frames keep their aspect ratio and are never enlarged [default: 320, unless -H is given]
    #[arg(short = 'W', long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=65535))]
    width: Option<u32>,
    /// Maximum height
    #[arg(short = 'H', long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=65535))]
    height: Option<u32>,
    /// Maximum width and height
    #[arg(long, value_name = "PX", conflicts_with_all = ["width", "height"], value_parser = clap::value_parser!(u32).range(1..=65535))]
    max_dimension: Option<u32>,
    /// Display every frame for this time, instead of until the time of the next frame
    #[arg(long, value_name = "DURATION", value_parser = positive_time)]
    delay: Option<Rational>,
    /// Number of times that the preview is played, 0 for no end
    #[arg(long = "loop", value_name = "N", default_value_t = 0)]
    plays: u16,
    #[command(flatten)]
    appearance: AppearanceArgs,
}

/// The options of [`SelectArgs`] with another default.
#[derive(Debug)]
struct PreviewSelectArgs(SelectArgs);

/// Heading that names the default of a preview.
const HEADING: &str = "Selection (default: --fps 10 -s 5% -t 5s)";

impl Args for PreviewSelectArgs {
    fn augment_args(command: Command) -> Command {
        SelectArgs::augment_args(command).mut_args(|arg| {
            let is_selection = arg
                .get_help_heading()
                .is_some_and(|heading| heading.starts_with("Selection"));
            if is_selection {
                arg.help_heading(HEADING)
            } else {
                arg
            }
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PreviewSelectArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, ClapError> {
        SelectArgs::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), ClapError> {
        self.0.update_from_arg_matches(matches)
    }
}

impl PreviewArgs {
    /// Returns the request for a preview in `format`.
    pub(crate) fn request(&self, format: PreviewFormat) -> PreviewRequest {
        let Self {
            select, animation, ..
        } = self;
        let SelectArgs { filter, .. } = &select.0;
        let given = select.0.selection();
        let is_default = given.is_none();
        let selection = given.unwrap_or_else(PreviewRequest::default_selection);
        let quality = animation.quality.unwrap_or_else(PreviewRequest::default_quality);
        let mut picture = animation
            .appearance
            .over(PictureOptions::default().quality(quality));
        picture.max_width = animation.width.or(animation.max_dimension);
        picture.max_height = animation.height.or(animation.max_dimension);
        let mut request = self.run.request(selection, picture).range(select.0.range());
        request.filters = filter.filters();
        request.stream = self.video.stream.stream;
        request.on_damage = self.report.damage.on_error;
        let mut request = PreviewRequest::from(request)
            .format(format)
            .plays(animation.plays);
        if is_default {
            request = request.with_default_range();
        }
        match animation.delay {
            Some(delay) => request.delay(delay),
            None => request,
        }
    }
}
