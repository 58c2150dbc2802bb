//! Outputs of a job in addition to its renditions, as JSON.

use serde::{Deserialize, Serialize};

use super::picture::PictureForm;
use super::selection::{RangeForm, SelectionForm};
use super::value::{InvalidOptions, Text, invalid, side};
use crate::extract::{EmbeddedMetadata, PictureFormat, PictureOptions, Quality};
use crate::jobs::outputs::OutputKind;
use crate::jobs::renditions::RenditionForm;
use crate::pipeline::{
    CompositionRequest, ContactSheetRequest, OnDamage, PreviewFormat, PreviewRequest, Request,
    StoryboardRequest,
};
use crate::select::{End, Position, Range, Selection};
use crate::sheet::{Colour, ContactStyle};
use crate::units::{FrameRate, Rational};
use crate::video::StreamChoice;

/// Maximum number of columns or rows.
const MAX_GRID: u32 = 10_000;
/// Maximum width of a margin in pixels.
const MAX_MARGIN: u32 = 1000;
/// Interval of the tiles of a storyboard in seconds.
const STORYBOARD_INTERVAL: i128 = 5;
/// Rows of a contact sheet without a selection.
const SHEET_ROWS: u64 = 4;
/// Range of a contact sheet without a range: titles and credits are left out.
const SHEET_RANGE: (i128, i128) = (5, 95);

/// Outputs of a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobOutputs {
    /// Whether the archive holds the selected pictures, or its manifest alone.
    pub pictures: bool,
    /// Storyboard for players, if any.
    pub storyboard: Option<StoryboardOptions>,
    /// Contact sheet, if any.
    pub sheet: Option<ContactSheetOptions>,
    /// Animated preview, if any.
    pub preview: Option<PreviewOptions>,
}

impl Default for JobOutputs {
    fn default() -> Self {
        Self {
            pictures: true,
            storyboard: None,
            sheet: None,
            preview: None,
        }
    }
}

/// Frames of an output, and the appearance of its files.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutputFrames {
    /// Selection of the frames; a default of the output if `None`.
    pub selection: Option<Selection>,
    /// Range of the video.
    pub range: Range,
    /// Format of the files, and size of a frame in them.
    pub picture: PictureOptions,
}

/// A storyboard.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StoryboardOptions {
    /// Tiles; one every five seconds by default.
    pub frames: OutputFrames,
    /// Maximum number of columns.
    pub columns: u32,
    /// Maximum number of rows.
    pub rows: u32,
}

/// A contact sheet.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ContactSheetOptions {
    /// Tiles; four rows between 5 % and 95 % of the video by default.
    pub frames: OutputFrames,
    /// Maximum number of columns.
    pub columns: u32,
    /// Width of the margin in pixels.
    pub margin: u32,
    /// Distance between two tiles in pixels.
    pub gap: u32,
    /// Colour of the background.
    pub background: Colour,
    /// Colour of the header.
    pub foreground: Colour,
    /// Whether the sheet has a header.
    pub header: bool,
    /// Whether each tile shows the time of its frame.
    pub timestamps: bool,
}

/// An animated preview.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PreviewOptions {
    /// Selection of the frames; ten a second, for five seconds, if `None`.
    pub selection: Option<Selection>,
    /// Range of the video.
    pub range: Range,
    /// Format.
    pub format: PreviewFormat,
    /// Quality of a WebP.
    pub quality: Quality,
    /// Maximum width in pixels; 320 by default.
    pub max_width: Option<u32>,
    /// Maximum height in pixels.
    pub max_height: Option<u32>,
    /// Display time of every frame in seconds; until the time of the next frame if `None`.
    pub delay: Option<Rational>,
    /// Number of times that the preview is played; 0 for no end.
    pub plays: u16,
}

impl JobOutputs {
    /// Returns the outputs that are composed of frames.
    pub(crate) fn kinds(&self) -> Vec<OutputKind> {
        let storyboard = self.storyboard.as_ref().map(|_| OutputKind::Storyboard);
        let sheet = self.sheet.as_ref().map(|_| OutputKind::Sheet);
        let preview = self.preview.as_ref().map(|_| OutputKind::Preview);
        [storyboard, sheet, preview].into_iter().flatten().collect()
    }

    /// Returns the request for an output of the stream, if the job has the output.
    pub(crate) fn request(
        &self,
        kind: OutputKind,
        stream: Option<StreamChoice>,
        on_damage: OnDamage,
    ) -> Option<CompositionRequest> {
        let of_job = |request: Request| {
            let mut request = request.on_damage(on_damage);
            request.stream = stream;
            request
        };
        match kind {
            OutputKind::Storyboard => self
                .storyboard
                .as_ref()
                .map(|options| options.request(of_job).into()),
            OutputKind::Sheet => self.sheet.as_ref().map(|options| options.request(of_job).into()),
            OutputKind::Preview => self
                .preview
                .as_ref()
                .map(|options| options.request(of_job).into()),
        }
    }
}

impl OutputFrames {
    fn request(&self, default: Selection) -> Request {
        Request::new(self.selection.clone().unwrap_or(default))
            .range(self.range)
            .picture(self.picture)
    }
}

impl StoryboardOptions {
    fn request(&self, of_job: impl Fn(Request) -> Request) -> StoryboardRequest {
        let interval = FrameRate::every(Rational::from_integer(STORYBOARD_INTERVAL));
        let default = interval.map_or(Selection::All, Selection::Fps);
        StoryboardRequest::from(of_job(self.frames.request(default)))
            .columns(self.columns)
            .rows(self.rows)
    }
}

impl ContactSheetOptions {
    fn request(&self, of_job: impl Fn(Request) -> Request) -> ContactSheetRequest {
        let default = Selection::Count(SHEET_ROWS * u64::from(self.columns));
        let mut request = of_job(self.frames.request(default));
        let absolute = request.selection.is_absolute();
        if request.range == Range::default() && !absolute {
            let percent = |percent| Position::Percent(Rational::from_integer(percent));
            request.range.start = Some(percent(SHEET_RANGE.0));
            request.range.end = Some(End::At(percent(SHEET_RANGE.1)));
        }
        let style = ContactStyle::default()
            .columns(self.columns)
            .margin(self.margin)
            .gap(self.gap)
            .background(self.background)
            .foreground(self.foreground)
            .header(self.header)
            .timestamps(self.timestamps);
        ContactSheetRequest::from(request).style(style)
    }
}

impl PreviewOptions {
    fn request(&self, of_job: impl Fn(Request) -> Request) -> PreviewRequest {
        let mut picture = PictureOptions::default().quality(self.quality);
        picture.max_width = self.max_width;
        picture.max_height = self.max_height;
        let selection = self.selection.clone();
        let selection = selection.unwrap_or_else(PreviewRequest::default_selection);
        let request = of_job(Request::new(selection).range(self.range).picture(picture));
        let mut request = PreviewRequest::from(request)
            .format(self.format)
            .plays(self.plays);
        if self.selection.is_none() {
            request = request.with_default_range();
        }
        match self.delay {
            Some(delay) => request.delay(delay),
            None => request,
        }
    }
}

/// The outputs as JSON. Unknown fields are ignored, since newer clients may send them.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct OutputsForm {
    archive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    storyboard: Option<StoryboardForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sheet: Option<SheetForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<PreviewForm>,
    /// Alternative to the field `renditions` of the message.
    #[serde(skip_serializing)]
    pub(super) renditions: Vec<RenditionForm>,
}

impl Default for OutputsForm {
    fn default() -> Self {
        Self::new(&JobOutputs::default())
    }
}

impl OutputsForm {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn new(outputs: &JobOutputs) -> Self {
        Self {
            archive: outputs.pictures,
            storyboard: outputs.storyboard.as_ref().map(StoryboardForm::new),
            sheet: outputs.sheet.as_ref().map(SheetForm::new),
            preview: outputs.preview.as_ref().map(PreviewForm::new),
            renditions: Vec::new(),
        }
    }

    pub(super) fn read(self) -> Result<JobOutputs, InvalidOptions> {
        fn named<T>(name: &str, read: Result<T, InvalidOptions>) -> Result<T, InvalidOptions> {
            read.map_err(|error| InvalidOptions(format!("outputs.{name}.{error}")))
        }
        let storyboard = self.storyboard.map(|form| named("storyboard", form.read()));
        let sheet = self.sheet.map(|form| named("sheet", form.read()));
        let preview = self.preview.map(|form| named("preview", form.read()));
        Ok(JobOutputs {
            pictures: self.archive,
            storyboard: storyboard.transpose()?,
            sheet: sheet.transpose()?,
            preview: preview.transpose()?,
        })
    }
}

#[derive(Serialize, Deserialize, PartialEq, Default)]
#[serde(default)]
struct FramesForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    selection: Option<SelectionForm>,
    #[serde(skip_serializing_if = "RangeForm::is_empty")]
    range: RangeForm,
    picture: PictureForm,
}

impl FramesForm {
    fn new(frames: &OutputFrames) -> Self {
        Self {
            selection: frames
                .selection
                .as_ref()
                .map(|selection| SelectionForm::new(Some(selection))),
            range: RangeForm::new(&frames.range),
            picture: PictureForm::new(&frames.picture),
        }
    }

    fn read(self) -> Result<OutputFrames, InvalidOptions> {
        let (selection, range) = selected(self.selection, &self.range)?;
        let picture = self.picture.read()?;
        match picture.format {
            PictureFormat::Raw | PictureFormat::Npy => {
                Err(invalid("picture.format", "must be jpg, png, webp or avif"))
            }
            _ if picture.burn_in.is_some() => {
                Err(invalid("picture.burn_in", "does not apply to sheets of tiles"))
            }
            _ if picture.metadata != EmbeddedMetadata::None => {
                Err(invalid("picture.metadata", "does not apply to sheets of tiles"))
            }
            _ => Ok(OutputFrames {
                selection,
                range,
                picture,
            }),
        }
    }
}

/// Reads a selection and its range.
fn selected(
    selection: Option<SelectionForm>,
    range: &RangeForm,
) -> Result<(Option<Selection>, Range), InvalidOptions> {
    let selection = selection.map(SelectionForm::read).transpose()?;
    let range = range.read()?;
    match selection.as_ref().is_some_and(Selection::is_absolute) && range != Range::default() {
        true => Err(invalid("range", "does not apply to 'at' and 'frames'")),
        false => Ok((selection, range)),
    }
}

fn within(field: &str, value: u32, range: std::ops::RangeInclusive<u32>) -> Result<u32, InvalidOptions> {
    match range.contains(&value) {
        true => Ok(value),
        false => Err(invalid(
            field,
            format!("must be from {} to {}, not {value}", range.start(), range.end()),
        )),
    }
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(default)]
struct StoryboardForm {
    #[serde(flatten)]
    frames: FramesForm,
    columns: u32,
    rows: u32,
}

impl Default for StoryboardForm {
    fn default() -> Self {
        let (columns, rows) = StoryboardRequest::GRID;
        Self {
            frames: FramesForm::default(),
            columns,
            rows,
        }
    }
}

impl StoryboardForm {
    fn new(options: &StoryboardOptions) -> Self {
        Self {
            frames: FramesForm::new(&options.frames),
            columns: options.columns,
            rows: options.rows,
        }
    }

    fn read(self) -> Result<StoryboardOptions, InvalidOptions> {
        Ok(StoryboardOptions {
            frames: self.frames.read()?,
            columns: within("columns", self.columns, 1..=MAX_GRID)?,
            rows: within("rows", self.rows, 1..=MAX_GRID)?,
        })
    }
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(default)]
struct SheetForm {
    #[serde(flatten)]
    frames: FramesForm,
    columns: u32,
    margin: u32,
    gap: u32,
    background: String,
    foreground: String,
    header: bool,
    timestamps: bool,
}

impl Default for SheetForm {
    fn default() -> Self {
        let style = ContactStyle::default();
        Self {
            frames: FramesForm::default(),
            columns: style.columns,
            margin: style.margin,
            gap: style.gap,
            background: style.background.to_string(),
            foreground: style.foreground.to_string(),
            header: style.header,
            timestamps: style.timestamps,
        }
    }
}

impl SheetForm {
    fn new(options: &ContactSheetOptions) -> Self {
        Self {
            frames: FramesForm::new(&options.frames),
            columns: options.columns,
            margin: options.margin,
            gap: options.gap,
            background: options.background.to_string(),
            foreground: options.foreground.to_string(),
            header: options.header,
            timestamps: options.timestamps,
        }
    }

    fn read(self) -> Result<ContactSheetOptions, InvalidOptions> {
        let colour = |field, text: &str| text.parse::<Colour>().map_err(|e| invalid(field, e));
        Ok(ContactSheetOptions {
            frames: self.frames.read()?,
            columns: within("columns", self.columns, 1..=MAX_GRID)?,
            margin: within("margin", self.margin, 0..=MAX_MARGIN)?,
            gap: within("gap", self.gap, 0..=MAX_MARGIN)?,
            background: colour("background", &self.background)?,
            foreground: colour("foreground", &self.foreground)?,
            header: self.header,
            timestamps: self.timestamps,
        })
    }
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(default)]
struct PreviewForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    selection: Option<SelectionForm>,
    #[serde(skip_serializing_if = "RangeForm::is_empty")]
    range: RangeForm,
    format: String,
    quality: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<Text>,
    plays: u16,
}

impl Default for PreviewForm {
    fn default() -> Self {
        Self {
            selection: None,
            range: RangeForm::default(),
            format: PreviewFormat::default().extension().to_owned(),
            quality: PreviewRequest::default_quality().get(),
            max_width: None,
            max_height: None,
            delay: None,
            plays: 0,
        }
    }
}

impl PreviewForm {
    fn new(options: &PreviewOptions) -> Self {
        Self {
            selection: options
                .selection
                .as_ref()
                .map(|selection| SelectionForm::new(Some(selection))),
            range: RangeForm::new(&options.range),
            format: options.format.extension().to_owned(),
            quality: options.quality.get(),
            max_width: options.max_width,
            max_height: options.max_height,
            delay: options.delay.map(|delay| Text(delay.to_string())),
            plays: options.plays,
        }
    }

    fn read(self) -> Result<PreviewOptions, InvalidOptions> {
        let (selection, range) = selected(self.selection, &self.range)?;
        let quality = Quality::new(self.quality);
        let delay = self.delay.as_ref().map(|delay| delay.length("delay"));
        Ok(PreviewOptions {
            selection,
            range,
            format: self.format.parse().map_err(|e| invalid("format", e))?,
            quality: quality.ok_or_else(|| invalid("quality", "must be from 1 to 100"))?,
            max_width: side("max_width", self.max_width)?,
            max_height: side("max_height", self.max_height)?,
            delay: delay.transpose()?,
            plays: self.plays,
        })
    }
}
