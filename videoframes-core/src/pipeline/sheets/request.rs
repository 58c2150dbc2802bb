//! Requests for storyboards and contact sheets.

use crate::extract::{EmbeddedMetadata, PictureFormat};
use crate::pipeline::request::Request;
use crate::select::Selection;
use crate::sheet::ContactStyle;

/// Width of a tile of a storyboard in pixels, as in most players.
const STORYBOARD_TILE: u32 = 160;
/// Width of a tile of a contact sheet in pixels.
const CONTACT_TILE: u32 = 360;

/// Request for the storyboard of one video.
///
/// A [`Request`] converts to a storyboard of the same frames. The options of its pictures apply to the tiles and to the
/// format of the sheets; its names, metadata and burned-in times do not apply.
#[derive(Debug, Clone)]
pub struct StoryboardRequest {
    request: Request,
    columns: u32,
    rows: u32,
}

impl From<Request> for StoryboardRequest {
    fn from(request: Request) -> Self {
        let (columns, rows) = Self::GRID;
        Self {
            request: with_tiles(request, STORYBOARD_TILE),
            columns,
            rows,
        }
    }
}

impl StoryboardRequest {
    /// Default numbers of columns and rows.
    pub const GRID: (u32, u32) = (10, 10);

    /// Creates a request for tiles of 160 pixels width, in JPEG sheets of at most ten columns and ten rows.
    #[must_use]
    pub fn new(selection: Selection) -> Self {
        Request::new(selection).into()
    }

    /// Sets the maximum number of columns. A sheet has fewer if it would exceed the maximum size of its format.
    #[must_use]
    pub fn columns(mut self, columns: u32) -> Self {
        self.columns = columns.max(1);
        self
    }

    /// Sets the maximum number of rows. A sheet has fewer if it would exceed the maximum size of its format.
    #[must_use]
    pub fn rows(mut self, rows: u32) -> Self {
        self.rows = rows.max(1);
        self
    }

    pub(in crate::pipeline) fn sheets(&self) -> Sheets<'_> {
        Sheets {
            request: &self.request,
            kind: Kind::Storyboard {
                columns: self.columns,
                rows: self.rows,
            },
        }
    }
}

/// Request for the contact sheet of one video.
///
/// A [`Request`] converts to a contact sheet of the same frames. The options of its pictures apply to the tiles and to
/// the format of the sheet; its names, metadata and burned-in times do not apply.
#[derive(Debug, Clone)]
pub struct ContactSheetRequest {
    request: Request,
    style: ContactStyle,
}

impl From<Request> for ContactSheetRequest {
    fn from(request: Request) -> Self {
        Self {
            request: with_tiles(request, CONTACT_TILE),
            style: ContactStyle::default(),
        }
    }
}

impl ContactSheetRequest {
    /// Creates a request for tiles of 360 pixels width in a JPEG.
    #[must_use]
    pub fn new(selection: Selection) -> Self {
        Request::new(selection).into()
    }

    /// Sets the appearance.
    #[must_use]
    pub fn style(mut self, style: ContactStyle) -> Self {
        self.style = style;
        self
    }

    pub(in crate::pipeline) fn sheets(&self) -> Sheets<'_> {
        Sheets {
            request: &self.request,
            kind: Kind::Contact(&self.style),
        }
    }
}

/// Returns the request with this width of tiles, unless a size is requested. Tiles have neither metadata nor a burned-in
/// time.
fn with_tiles(mut request: Request, width: u32) -> Request {
    let picture = &mut request.picture;
    picture.burn_in = None;
    picture.metadata = EmbeddedMetadata::None;
    if picture.max_width.is_none() && picture.max_height.is_none() {
        picture.max_width = Some(width);
    }
    request
}

/// A request for sheets of either kind.
#[derive(Debug, Clone, Copy)]
pub(in crate::pipeline) struct Sheets<'a> {
    /// The tiles, and the format of the sheets.
    pub(super) request: &'a Request,
    pub(super) kind: Kind<'a>,
}

/// Kind of sheets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    Storyboard { columns: u32, rows: u32 },
    Contact(&'a ContactStyle),
}

impl Sheets<'_> {
    /// Returns the request for the pixels of the tiles.
    pub(super) fn tiles(&self) -> Request {
        let mut request = self.request.clone();
        request.picture.format = PictureFormat::Raw;
        request.picture.pixels = crate::extract::PixelFormat::Rgb24;
        request
    }

    /// Returns the name of a sheet without extension.
    pub(super) fn name(&self, sheet: usize) -> String {
        match self.kind {
            Kind::Storyboard { .. } => format!("sheet-{sheet:03}"),
            Kind::Contact(_) => "sheet".to_owned(),
        }
    }

    /// Returns the file name of a sheet.
    pub(super) fn file(&self, sheet: usize) -> String {
        format!("{}.{}", self.name(sheet), self.request.picture.format.extension())
    }
}
