//! Arguments of `vf storyboard` and `vf sheet`.

use std::path::PathBuf;

use clap::Args;
use videoframes_console::options::{
    AppearanceArgs, Choice, DamageArgs, LimitArgs, NetworkArgs, ReplaceArgs, ReportArgs, StreamArgs, choice,
    positive_time,
};
use videoframes_core::extract::{PictureFormat, PictureOptions, Quality};
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::{Request, StoryboardRequest};
use videoframes_core::select::{End, Position, Range, Selection};
use videoframes_core::sheet::{Colour, ContactStyle};
use videoframes_core::units::{FrameRate, Rational};

use super::execution::{FfmpegArgs, StallArgs, StrategyArgs, VIDEO_HELP};
use super::extract::JobsArgs;
use crate::input::VideoInput;

pub(super) const STORYBOARD_EXAMPLES: &str = "\
Examples:
  A tile every 5 s, into the folder video.storyboard:
    vf storyboard video.mp4
  100 tiles of 320 pixels width, as WebP:
    vf storyboard video.mp4 -n 100 -W 320 -f webp -o storyboard/
  As a ZIP:
    vf storyboard video.mp4 --every 10s -o storyboard.zip

The output has sheet-000.jpg …, a tile list per sheet (sheet-000.json), storyboard.vtt and manifest.json.";

pub(super) const SHEET_EXAMPLES: &str = "\
Examples:
  16 frames, as video.sheet.jpg:
    vf sheet video.mp4
  A frame per minute in 6 columns:
    vf sheet video.mp4 --every 1m --columns 6 -o sheet.png
  White background, without header, on stdout:
    vf sheet video.mp4 --background white --no-header -o - > sheet.jpg";

const STORYBOARD_OUTPUT: &str = match cfg!(feature = "s3") {
    true => {
        "A folder, a .zip or .tar file, s3://BUCKET/KEY.zip, or - for a ZIP on stdout [default: NAME.storyboard]"
    }
    false => "A folder, a .zip or .tar file, or - for a ZIP on stdout [default: NAME.storyboard]",
};
const SHEET_OUTPUT: &str = match cfg!(feature = "s3") {
    true => {
        "A picture (.jpg, .png, .webp, .avif), a folder, a .zip or .tar file, s3://BUCKET/KEY.zip, or - for a picture on stdout \
         [default: NAME.sheet.jpg]"
    }
    false => {
        "A picture (.jpg, .png, .webp, .avif), a folder, a .zip or .tar file, or - for a picture on stdout \
         [default: NAME.sheet.jpg]"
    }
};

const FORMATS: &[Choice<PictureFormat>] = &[
    ("jpg", &["jpeg"], PictureFormat::Jpg),
    ("png", &[], PictureFormat::Png),
    ("webp", &[], PictureFormat::Webp),
    ("avif", &[], PictureFormat::Avif),
];

/// Maximum number of columns or rows, and maximum width of a margin.
const MAX_GRID: i64 = 10_000;
const MAX_MARGIN: i64 = 1000;

#[derive(Debug, Args)]
pub(crate) struct StoryboardArgs {
    #[command(flatten)]
    pub(crate) video: VideoArgs,
    #[command(flatten)]
    select: IntervalArgs,
    #[command(flatten)]
    tiles: StoryboardTileArgs,
    #[command(flatten)]
    picture: SheetPictureArgs,
    #[arg(short, long, value_name = "OUT", help = STORYBOARD_OUTPUT, help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) report: SheetOutputArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
struct IntervalArgs {
    /// One tile per interval [default: 5s]
    #[arg(long, value_name = "DURATION", group = "selection", value_parser = positive_time)]
    every: Option<Rational>,
    /// Number of tiles, evenly spaced
    #[arg(short = 'n', long, value_name = "N", group = "selection", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Tiles")]
struct StoryboardTileArgs {
    /// Width of a tile; tiles keep their aspect ratio and are never enlarged [default: 160]
    #[arg(short = 'W', long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=16383))]
    width: Option<u32>,
    /// Maximum height of a tile
    #[arg(short = 'H', long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=16383))]
    height: Option<u32>,
    /// Columns per sheet; fewer if a sheet would exceed the maximum size of its format
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=MAX_GRID))]
    columns: u32,
    /// Rows per sheet; fewer if a sheet would exceed the maximum size of its format
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=MAX_GRID))]
    rows: u32,
}

#[derive(Debug, Args)]
pub(crate) struct SheetArgs {
    #[command(flatten)]
    pub(crate) video: VideoArgs,
    #[command(flatten)]
    select: SheetSelectArgs,
    #[command(flatten)]
    pub(crate) layout: LayoutArgs,
    #[command(flatten)]
    pub(crate) picture: SheetPictureArgs,
    #[arg(short, long, value_name = "OUT", help = SHEET_OUTPUT, help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) report: SheetOutputArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
struct SheetSelectArgs {
    /// Number of frames, evenly spaced [default: columns × rows]
    #[arg(short = 'n', long, value_name = "N", group = "selection", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// One frame per interval: 10s, 1.5, 1m
    #[arg(long, value_name = "DURATION", group = "selection", value_parser = positive_time)]
    every: Option<Rational>,
    /// Frames displayed at these times: 1.5,00:01:10.123,20%,-2s (negative: from the end)
    #[arg(
        long,
        value_name = "TIMES",
        group = "selection",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    at: Option<Vec<Position>>,
    /// Start of the range (inclusive) [default: 5%, or the first frame with --end]
    #[arg(
        short,
        long,
        value_name = "TIME",
        conflicts_with = "at",
        allow_hyphen_values = true
    )]
    start: Option<Position>,
    /// End of the range (exclusive) [default: 95%, or the end with --start]
    #[arg(
        short,
        long,
        value_name = "TIME",
        conflicts_with = "at",
        allow_hyphen_values = true
    )]
    end: Option<Position>,
}

/// Layout and colours of a contact sheet.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sheet")]
pub(crate) struct LayoutArgs {
    /// Width of a tile; tiles keep their aspect ratio and are never enlarged [default: 360]
    #[arg(short = 'W', long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=16383))]
    width: Option<u32>,
    /// Maximum height of a tile
    #[arg(short = 'H', long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=16383))]
    height: Option<u32>,
    /// Maximum number of columns
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=MAX_GRID))]
    columns: u32,
    /// Number of rows, instead of a selection [default: 4]
    #[arg(long, value_name = "N", group = "selection", value_parser = clap::value_parser!(u32).range(1..=MAX_GRID))]
    rows: Option<u32>,
    /// Width of the margin
    #[arg(long, value_name = "PX", default_value_t = 16, value_parser = clap::value_parser!(u32).range(0..=MAX_MARGIN))]
    margin: u32,
    /// Distance between tiles
    #[arg(long, value_name = "PX", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=MAX_MARGIN))]
    gap: u32,
    /// Colour of the background: 202020, '#fff', black or white [default: 202020]
    #[arg(long, value_name = "COLOUR")]
    background: Option<Colour>,
    /// Colour of the header, in the form of --background [default: f0f0f0]
    #[arg(long, value_name = "COLOUR")]
    foreground: Option<Colour>,
    /// Omit the header with name, size, duration, resolution and codec
    #[arg(long)]
    no_header: bool,
    /// Omit the times of the tiles
    #[arg(long)]
    no_timestamps: bool,
    /// TrueType or OpenType font, for scripts other than Latin, Greek and Cyrillic
    #[arg(long, value_name = "FILE")]
    pub(crate) font: Option<PathBuf>,
}

/// Format of a sheet and processing of its tiles.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
pub(crate) struct SheetPictureArgs {
    /// Picture format [default: the extension of -o, else jpg]
    #[arg(short, long, value_name = "FORMAT", value_parser = choice(FORMATS), ignore_case = true)]
    pub(crate) format: Option<PictureFormat>,
    /// Quality of jpg, webp and avif, 1 to 100 [default: 90]
    #[arg(short, long, value_name = "Q")]
    pub(crate) quality: Option<Quality>,
    #[command(flatten)]
    appearance: AppearanceArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct SheetOutputArgs {
    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,
    #[command(flatten)]
    pub(super) damage: DamageArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// The video.
#[derive(Debug, Args)]
pub(crate) struct VideoArgs {
    #[arg(value_name = "VIDEO", value_parser = VideoInput::parser(), help = VIDEO_HELP)]
    pub(crate) file: VideoInput,
    #[command(flatten)]
    pub(super) stream: StreamArgs,
}

/// How the video is read.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    stall: StallArgs,
    #[command(flatten)]
    strategy: StrategyArgs,
    #[command(flatten)]
    jobs: JobsArgs,
    #[command(flatten)]
    pub(crate) ffmpeg: FfmpegArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

impl RunArgs {
    /// Returns the limits of the run.
    pub(crate) fn limits(&self) -> Limits {
        self.stall.over(self.limit.over(Limits::default()))
    }

    /// Returns the request for the frames of tiles or of a preview.
    pub(super) fn request(&self, selection: Selection, picture: PictureOptions) -> Request {
        let mut request = Request::new(selection).picture(picture);
        request.strategy = self.strategy.strategy;
        request.jobs = self.jobs.jobs;
        request
    }
}

impl SheetPictureArgs {
    /// Returns the options of a sheet in `format`, with tiles of at most this width and height.
    fn options(&self, format: PictureFormat, width: Option<u32>, height: Option<u32>) -> PictureOptions {
        let mut picture = self.appearance.over(PictureOptions::default().format(format));
        picture.quality = self.quality.unwrap_or_default();
        picture.max_width = width;
        picture.max_height = height;
        picture
    }
}

impl StoryboardArgs {
    /// Returns the format of the sheets.
    pub(crate) fn format(&self) -> PictureFormat {
        self.picture.format.unwrap_or_default()
    }

    /// Returns the given quality.
    pub(crate) fn quality(&self) -> Option<Quality> {
        self.picture.quality
    }

    /// Returns the request.
    pub(crate) fn request(&self) -> StoryboardRequest {
        let Self { select, tiles, .. } = self;
        let every = select.every.unwrap_or(Rational::from_integer(5));
        let selection = match (select.count, FrameRate::every(every)) {
            (None, Some(rate)) => Selection::Fps(rate),
            (count, _) => Selection::Count(count.unwrap_or(1)),
        };
        let picture = self.picture.options(self.format(), tiles.width, tiles.height);
        let mut request = self.run.request(selection, picture);
        request.stream = self.video.stream.stream;
        request.on_damage = self.report.damage.on_error;
        StoryboardRequest::from(request)
            .columns(tiles.columns)
            .rows(tiles.rows)
    }
}

impl SheetArgs {
    /// Returns the request for the frames of a sheet in `format`.
    pub(crate) fn request(&self, format: PictureFormat) -> Request {
        let Self { select, layout, .. } = self;
        let rows = u64::from(layout.rows.unwrap_or(4));
        let selection = if let Some(rate) = select.every.and_then(FrameRate::every) {
            Selection::Fps(rate)
        } else if let Some(times) = &select.at {
            Selection::At(times.clone())
        } else {
            Selection::Count(select.count.unwrap_or(rows * u64::from(layout.columns)))
        };
        let percent = |percent| Position::Percent(Rational::from_integer(percent));
        let mut range = Range::default();
        (range.start, range.end) = match (select.start, select.end) {
            (None, None) if select.at.is_none() => (Some(percent(5)), Some(End::At(percent(95)))),
            (start, end) => (start, end.map(End::At)),
        };
        let picture = self.picture.options(format, layout.width, layout.height);
        let mut request = self.run.request(selection, picture).range(range);
        request.stream = self.video.stream.stream;
        request.on_damage = self.report.damage.on_error;
        request
    }

    /// Returns the appearance without a font.
    pub(crate) fn style(&self) -> ContactStyle {
        let layout = &self.layout;
        let style = ContactStyle::default();
        let (background, foreground) = (style.background, style.foreground);
        style
            .columns(layout.columns)
            .margin(layout.margin)
            .gap(layout.gap)
            .background(layout.background.unwrap_or(background))
            .foreground(layout.foreground.unwrap_or(foreground))
            .header(!layout.no_header)
            .timestamps(!layout.no_timestamps)
    }
}
