//! Sheets as the target of an extraction: composes one sheet at a time, and writes it when its last tile arrives.

use std::sync::Arc;

use super::request::{Kind, Sheets};
use crate::archive::manifest::FrameInfo;
use crate::archive::{Destination, MANIFEST_NAME, Manifest};
use crate::digest;
use crate::extract::{EncodeRequest, ExtractReport, Picture};
use crate::limits::{SHEET_PIXELS, SHEET_TILES, SHEETS};
use crate::pipeline::bounded::BoundedArchive;
use crate::pipeline::error::Error;
use crate::pipeline::manifest;
use crate::pipeline::session::Session;
use crate::pipeline::summary::{Progress, Summary, Work};
use crate::pipeline::target::{PictureTarget, PictureWriter, Selected};
use crate::select::{SelectError, notes};
use crate::sheet::{Canvas, ContactSheet, Grid, Header, TileList, cues, webvtt};
use crate::source::Source;
use crate::units::Rational;
use crate::video::VideoInfo;

/// Name of the WebVTT file of a storyboard.
pub const STORYBOARD_WEBVTT: &str = "storyboard.vtt";

/// Sheets in an archive as the target of an extraction.
pub(super) struct SheetTarget<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) sheets: Sheets<'a>,
    pub(super) destination: &'a dyn Destination,
    pub(super) progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl<'a> PictureTarget for SheetTarget<'a> {
    type Writer = SheetWriter<'a>;

    fn can_restart(&self) -> bool {
        self.destination.can_restart()
    }

    fn is_immediate(&self) -> bool {
        false
    }

    async fn start(&self, video: &VideoInfo, selected: Selected) -> Result<SheetWriter<'a>, Error> {
        if selected.picks.len() as u64 > SHEET_TILES {
            return Err(SelectError::TooManyFrames { limit: SHEET_TILES }.into());
        }
        if selected.picks.is_empty() && matches!(self.sheets.kind, Kind::Contact(_)) {
            return Err(SelectError::NoFrames.into());
        }
        let layout = self.layout(video, &selected)?;
        if layout.grid().sheets() > SHEETS {
            return Err(Error::LimitExceeded(format!(
                "a storyboard would have more than {SHEETS} sheets"
            )));
        }
        let limit = self.session.limits().output_bytes;
        let archive = BoundedArchive::start(self.destination, limit).await?;
        Ok(SheetWriter {
            session: self.session,
            sheets: self.sheets,
            archive,
            progress: self.progress,
            video: video.clone(),
            frames: Vec::with_capacity(selected.picks.len()),
            selected,
            layout,
            canvas: None,
            files: Vec::new(),
        })
    }
}

impl<'a> SheetTarget<'a> {
    /// Arranges the tiles. Fails if a sheet is too large.
    fn layout(&self, video: &VideoInfo, selected: &Selected) -> Result<Layout<'a>, Error> {
        let picture = &self.sheets.request.picture;
        let display = video.display_size(picture.rotate);
        let (tile, tiles) = (picture.fit(display.0, display.1), selected.picks.len());
        let max_pixels = self.session.limits().pixels.min(SHEET_PIXELS);
        let max_side = picture.format.max_side().unwrap_or(u32::MAX);
        let too_large = |width: u64, height: u64| {
            Error::LimitExceeded(format!(
                "a sheet would be {width}×{height}, the limit is {max_pixels} pixels and {max_side} per side"
            ))
        };
        match self.sheets.kind {
            Kind::Storyboard { columns, rows } => {
                let grid = Grid::packed(tile, tiles, (columns, rows), (max_side, max_pixels));
                let grid = grid.ok_or_else(|| too_large(tile.0.into(), tile.1.into()))?;
                Ok(Layout::Storyboard(grid))
            }
            Kind::Contact(style) => {
                let header = Header {
                    name: self.session.source.name(),
                    bytes: self.session.source.len(),
                    duration: selected.timeline.duration(),
                    size: display,
                    codec: &video.codec,
                    frame_rate: video.frame_rate,
                };
                let sheet = ContactSheet::new(style, tile, tiles, &header);
                let (width, height) = sheet.grid.size(0);
                let fits = width.max(height) <= max_side.into() && width.saturating_mul(height) <= max_pixels;
                match fits {
                    true => Ok(Layout::Contact(sheet)),
                    false => Err(too_large(width, height)),
                }
            }
        }
    }
}

/// Positions of the tiles.
enum Layout<'a> {
    Storyboard(Grid),
    Contact(ContactSheet<'a>),
}

impl Layout<'_> {
    fn grid(&self) -> &Grid {
        match self {
            Self::Storyboard(grid) => grid,
            Self::Contact(sheet) => &sheet.grid,
        }
    }

    /// Returns a sheet without its tiles.
    fn canvas(&self, sheet: usize) -> Canvas {
        let (width, height) = self.grid().size(sheet);
        // The layout was checked: both are sides of a picture.
        let side = |side: u64| u32::try_from(side).unwrap_or(u32::MAX);
        let size = (side(width), side(height));
        match self {
            Self::Storyboard(_) => Canvas::new(size, crate::sheet::Colour::BLACK),
            Self::Contact(sheet) => sheet.canvas(size),
        }
    }
}

/// Writes the sheets of one pass.
pub(super) struct SheetWriter<'a> {
    session: &'a Session<'a>,
    sheets: Sheets<'a>,
    archive: BoundedArchive,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    video: VideoInfo,
    selected: Selected,
    layout: Layout<'a>,
    /// The sheet that is composed.
    canvas: Option<Canvas>,
    /// Entries of the tiles so far. Those of the current sheet lack its size and checksum.
    frames: Vec<FrameInfo>,
    /// Names of additional entries.
    files: Vec<String>,
}

impl PictureWriter for SheetWriter<'_> {
    fn is_untouched(&self) -> bool {
        self.archive.bytes() == 0
    }

    async fn abort(self) {
        self.archive.abort().await;
    }

    async fn add(&mut self, picture: Picture) -> Result<(), Error> {
        let picks = Arc::clone(&self.selected.picks);
        let mut repeated = false;
        while let Some(pick) = picks
            .get(self.frames.len())
            .filter(|pick| pick.frame == picture.frame)
        {
            let index = self.frames.len();
            let place = self.layout.grid().place(index);
            let (layout, time) = (&self.layout, self.selected.timeline.time(pick.frame));
            let canvas = self.canvas.get_or_insert_with(|| layout.canvas(place.sheet));
            canvas.copy((place.x, place.y), picture.width, &picture.bytes);
            if let Layout::Contact(sheet) = layout {
                sheet.label(canvas, place, time);
            }
            let size = (picture.width, picture.height);
            self.frames.push(FrameInfo {
                file: self.sheets.file(place.sheet),
                x: Some(place.x),
                y: Some(place.y),
                repeated,
                ..manifest::frame(&self.selected, index, pick, size)
            });
            repeated = true;
            if self.layout.grid().tiles_of(place.sheet).end == self.frames.len() {
                self.write_sheet(place.sheet).await?;
            }
            (self.progress)(Progress {
                examining: false,
                frames: self.frames.len() as u64,
                total: picks.len() as u64,
                bytes: self.archive.bytes(),
            });
        }
        Ok(())
    }
}

impl SheetWriter<'_> {
    /// Encodes the composed sheet and adds it to the archive.
    async fn write_sheet(&mut self, sheet: usize) -> Result<(), Error> {
        let Some(canvas) = self.canvas.take() else {
            return Ok(());
        };
        let ((width, height), picture) = (canvas.size(), &self.sheets.request.picture);
        let mut request = EncodeRequest::new(width, height, canvas.into_bytes());
        request.format = picture.format;
        request.quality = picture.quality;
        request.limits = *self.session.limits();
        let encoder = self.session.encoder()?;
        let content = encoder.encode(request, self.session.cancel()).await?;
        let (bytes, sha256) = (content.len() as u64, digest::sha256(&content));
        for frame in &mut self.frames[self.layout.grid().tiles_of(sheet)] {
            frame.bytes = bytes;
            frame.sha256.clone_from(&sha256);
        }
        self.archive.add(&self.sheets.file(sheet), content).await
    }

    /// Writes the WebVTT file and the tile lists of a storyboard.
    async fn write_cues(&mut self) -> Result<(), Error> {
        let Layout::Storyboard(grid) = self.layout else {
            return Ok(());
        };
        let duration = self.selected.timeline.duration();
        let targets: Vec<Rational> = self.selected.picks.iter().map(|pick| pick.target).collect();
        let cues = cues(&grid, &targets, duration);
        for sheet in 0..grid.sheets() {
            let tiles = &cues[grid.tiles_of(sheet)];
            let list = TileList::new(self.sheets.file(sheet), grid.tile, tiles, duration);
            let name = format!("{}.json", self.sheets.name(sheet));
            self.archive.add(&name, manifest::json(&list, &name)?).await?;
            self.files.push(name);
        }
        let text = webvtt(&cues, grid.tile, |sheet| self.sheets.file(sheet));
        self.archive.add(STORYBOARD_WEBVTT, text.into()).await?;
        self.files.push(STORYBOARD_WEBVTT.to_owned());
        Ok(())
    }

    /// Writes the remaining files and completes the archive.
    pub(super) async fn finish(mut self, report: ExtractReport, mut work: Work) -> Result<Summary, Error> {
        work.bytes_read = self.session.source.bytes_read();
        match self.write_rest(&report).await {
            Ok(manifest) => {
                let request = self.sheets.request;
                let Selected { timeline, picks, .. } = &self.selected;
                let notes = notes(timeline, &request.selection, &request.range, picks);
                let bytes = self.archive.finish().await?;
                Ok(Summary {
                    manifest,
                    bytes,
                    warnings: notes.into_iter().chain(report.warnings).collect(),
                    damage: report.damage,
                    work,
                    renditions: Vec::new(),
                    compositions: Vec::new(),
                })
            }
            Err(error) => {
                self.archive.abort().await;
                Err(error)
            }
        }
    }

    async fn write_rest(&mut self, report: &ExtractReport) -> Result<Manifest, Error> {
        self.write_cues().await?;
        let frames = std::mem::take(&mut self.frames);
        let source = self.session.source.as_ref();
        let facts = (
            source as &dyn Source,
            &self.video,
            self.selected.timeline.as_ref(),
        );
        let mut manifest = manifest::complete(facts, self.sheets.request, report, frames);
        manifest.files = std::mem::take(&mut self.files);
        let grid = self.layout.grid();
        manifest.request.columns = Some(grid.columns);
        if let Layout::Storyboard(grid) = &self.layout {
            manifest.request.rows = Some(grid.rows);
        }
        self.archive
            .add(MANIFEST_NAME, manifest::json(&manifest, MANIFEST_NAME)?)
            .await?;
        Ok(manifest)
    }
}
