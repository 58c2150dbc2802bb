//! Contact sheets: a grid of frames with their times, and a header that describes the video.

use super::clock::Milliseconds;
use super::label::{Corner, Label};
use super::{Canvas, Colour, Font, Grid, Line, Place};
use crate::text::printable;
use crate::units::{Rational, approximate_seconds};

/// Minimum width of a sheet with a header.
const MIN_WIDTH: u32 = 320;
/// Maximum number of lines for the name of a video.
const NAME_LINES: usize = 3;
/// Height of a line in relation to the text.
const LEADING: f32 = 1.25;

/// Appearance of a contact sheet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ContactStyle {
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
    /// Whether the sheet has a header with name, size, duration, resolution and codec of the video.
    pub header: bool,
    /// Whether each tile shows the time of its frame.
    pub timestamps: bool,
    /// Font of header and times.
    pub font: Font,
}

impl Default for ContactStyle {
    fn default() -> Self {
        Self {
            columns: 4,
            margin: 16,
            gap: 8,
            background: Colour::new(0x20, 0x20, 0x20),
            foreground: Colour::new(0xf0, 0xf0, 0xf0),
            header: true,
            timestamps: true,
            font: Font::default(),
        }
    }
}

impl ContactStyle {
    /// Sets the maximum number of columns.
    #[must_use]
    pub fn columns(mut self, columns: u32) -> Self {
        self.columns = columns;
        self
    }

    /// Sets the width of the margin in pixels.
    #[must_use]
    pub fn margin(mut self, margin: u32) -> Self {
        self.margin = margin;
        self
    }

    /// Sets the distance between two tiles in pixels.
    #[must_use]
    pub fn gap(mut self, gap: u32) -> Self {
        self.gap = gap;
        self
    }

    /// Sets the colour of the background.
    #[must_use]
    pub fn background(mut self, background: Colour) -> Self {
        self.background = background;
        self
    }

    /// Sets the colour of the header.
    #[must_use]
    pub fn foreground(mut self, foreground: Colour) -> Self {
        self.foreground = foreground;
        self
    }

    /// Sets whether the sheet has a header.
    #[must_use]
    pub fn header(mut self, header: bool) -> Self {
        self.header = header;
        self
    }

    /// Sets whether each tile shows the time of its frame.
    #[must_use]
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Sets the font of header and times.
    #[must_use]
    pub fn font(mut self, font: Font) -> Self {
        self.font = font;
        self
    }
}

/// Properties of a video in the header.
#[derive(Debug, Clone)]
pub(crate) struct Header<'a> {
    pub(crate) name: &'a str,
    pub(crate) bytes: u64,
    pub(crate) duration: Rational,
    pub(crate) size: (u32, u32),
    pub(crate) codec: &'a str,
    pub(crate) frame_rate: Option<Rational>,
}

impl Header<'_> {
    /// Returns size, duration, resolution, codec and frame rate.
    fn facts(&self) -> Vec<String> {
        let (width, height) = self.size;
        let rate = self.frame_rate.map(|rate| {
            let rate = format!("{:.2}", approximate_seconds(rate));
            format!("{} fps", rate.trim_end_matches('0').trim_end_matches('.'))
        });
        let facts = [
            size(self.bytes),
            Milliseconds::floor(self.duration).hours(),
            format!("{width}×{height}"),
            printable(self.codec).into_owned(),
        ];
        facts.into_iter().chain(rate).collect()
    }
}

/// Returns a number of bytes in binary units: `1.2 MiB`.
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, "bytes");
    for larger in units {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    match unit {
        "bytes" => format!("{bytes} bytes"),
        unit => format!("{value:.1} {unit}"),
    }
}

/// The layout of a contact sheet.
#[derive(Debug, Clone)]
pub(crate) struct ContactSheet<'a> {
    style: &'a ContactStyle,
    pub(crate) grid: Grid,
    lines: Vec<String>,
    /// Height of the text of the header.
    text: f32,
}

impl<'a> ContactSheet<'a> {
    pub(crate) fn new(style: &'a ContactStyle, tile: (u32, u32), tiles: usize, header: &Header<'_>) -> Self {
        let needed = u32::try_from(tiles.max(1)).unwrap_or(u32::MAX);
        let mut grid = Grid {
            tile,
            tiles,
            columns: style.columns.clamp(1, needed),
            rows: u32::MAX,
            margin: style.margin,
            gap: style.gap,
            header: 0,
            min_width: if style.header { MIN_WIDTH } else { 0 },
        };
        let text = (grid.width() as f32 / 60.0).round().clamp(16.0, 32.0);
        let width = grid.width().saturating_sub(2 * u64::from(style.margin)) as f32;
        let mut lines = Vec::new();
        if style.header {
            lines = style.font.wrap(&printable(header.name), text, width, NAME_LINES);
            lines.extend(packed(&style.font, text, width, &header.facts()));
            // The casts saturate.
            grid.header = (lines.len() as f32 * text * LEADING).ceil() as u32;
            grid.header = grid.header.saturating_add(style.margin);
        }
        Self {
            style,
            grid,
            lines,
            text,
        }
    }

    /// Draws background and header.
    pub(crate) fn canvas(&self, size: (u32, u32)) -> Canvas {
        let mut canvas = Canvas::new(size, self.style.background);
        let margin = self.style.margin as f32;
        for (index, line) in self.lines.iter().enumerate() {
            let y = margin + index as f32 * self.text * LEADING;
            let line = Line {
                text: line,
                height: self.text,
                colour: self.style.foreground,
            };
            self.style.font.draw(&mut canvas, (margin, y), &line);
        }
        canvas
    }

    /// Draws the time of a tile into its lower right corner, in the longest form that the tile holds.
    pub(crate) fn label(&self, canvas: &mut Canvas, place: Place, time: Rational) {
        if !self.style.timestamps {
            return;
        }
        let (width, _) = self.grid.tile;
        let label = Label {
            font: &self.style.font,
            text: (width as f32 / 14.0).round().clamp(12.0, 48.0),
            position: (place.x, place.y),
            size: self.grid.tile,
            corner: Corner::Right,
        };
        label.draw(canvas, time);
    }
}

/// Returns lines of this width with as many of the facts as each line holds.
fn packed(font: &Font, text: f32, width: f32, facts: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for fact in facts {
        if let Some(line) = lines.last_mut() {
            let longer = format!("{line} · {fact}");
            if font.width(&longer, text) <= width {
                *line = longer;
                continue;
            }
        }
        lines.push(fact.clone());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header<'_> = Header {
        name: "holiday\u{202e}4pm.mp4",
        bytes: 182_644_846,
        duration: Rational::new_raw(60, 1),
        size: (1920, 1080),
        codec: "h264",
        frame_rate: Some(Rational::new_raw(30_000, 1001)),
    };

    #[test]
    fn headers_show_untrusted_names_escaped_and_use_few_lines() {
        let style = ContactStyle::default();
        let lines = |columns: u32, tile: (u32, u32)| {
            let style = style.clone().columns(columns);
            ContactSheet::new(&style, tile, 40, &HEADER).lines
        };
        let name = "holiday\\u{202e}4pm.mp4";
        let facts = "174.2 MiB · 00:01:00.000 · 1920×1080 · h264 · 29.97 fps";
        assert_eq!(lines(4, (360, 202)), [name, facts]);
        let first = "174.2 MiB · 00:01:00.000 · 1920×1080";
        assert_eq!(lines(1, (100, 56)), [name, first, "h264 · 29.97 fps"]);
        let plain = style.clone().header(false);
        let sheet = ContactSheet::new(&plain, (100, 56), 2, &HEADER);
        assert_eq!(sheet.grid.size(0), (2 * 100 + 8 + 32, 56 + 32));
    }

    #[test]
    fn times_are_drawn_only_into_their_tile_and_only_if_they_fit() {
        let style = ContactStyle::default().header(false);
        for (tile, is_drawn) in [
            ((360, 202), true),
            ((64, 36), true),
            ((30, 20), false),
            ((200, 12), false),
        ] {
            let sheet = ContactSheet::new(&style, tile, 2, &HEADER);
            let size = sheet.grid.size(0);
            let size = (size.0 as u32, size.1 as u32);
            let (mut canvas, place) = (sheet.canvas(size), sheet.grid.place(1));
            let empty = canvas.clone();
            sheet.label(&mut canvas, place, Rational::new(62_345, 1000));
            assert_eq!(canvas != empty, is_drawn, "{tile:?}");
            let blank = vec![0x20; tile.0 as usize * tile.1 as usize * 3];
            canvas.copy((place.x, place.y), tile.0, &blank);
            assert_eq!(canvas, empty, "{tile:?}");
        }
    }
}
