//! Text on a canvas.

use std::fmt;

use ab_glyph::{Font as _, FontArc, GlyphId, PxScale, ScaleFont, point};

use super::{Canvas, Colour};

/// DejaVu Sans, reduced to Latin, Greek and Cyrillic. The folder has its licence.
const BUNDLED: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");
/// Shown instead of characters that a font lacks.
const REPLACEMENT: char = '\u{fffd}';
/// Maximum side of a glyph as a multiple of the height of a line. Fonts may describe glyphs of any size.
const MAX_GLYPH: f32 = 8.0;
/// Maximum number of characters of a text.
const MAX_TEXT: usize = 1024;
/// Number of characters at the end of a text that are kept if its middle is left out: an extension.
const KEPT_END: usize = 12;

/// A TrueType or OpenType font. Text is not shaped, so scripts such as Arabic are not joined.
#[derive(Clone)]
pub struct Font {
    font: FontArc,
}

/// A line of text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) text: &'a str,
    pub(crate) height: f32,
    pub(crate) colour: Colour,
}

/// Error for bytes that are not a TrueType or OpenType font.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a TrueType or OpenType font")]
#[non_exhaustive]
pub struct InvalidFont;

impl fmt::Debug for Font {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Font")
            .field("glyphs", &self.font.glyph_count())
            .finish()
    }
}

impl Default for Font {
    /// Returns the bundled font, which has Latin, Greek and Cyrillic letters.
    fn default() -> Self {
        // `unwrap` cannot panic: the tests read the bundled font.
        #[allow(clippy::unwrap_used)]
        let font = FontArc::try_from_slice(BUNDLED).unwrap();
        Self { font }
    }
}

impl Font {
    /// Reads a font file; of a collection, the first font.
    ///
    /// # Errors
    /// Fails if the bytes are not a font.
    pub fn new(file: Vec<u8>) -> Result<Self, InvalidFont> {
        let font = FontArc::try_from_vec(file).map_err(|_| InvalidFont)?;
        Ok(Self { font })
    }

    fn glyph(&self, c: char) -> GlyphId {
        match self.font.glyph_id(c) {
            GlyphId(0) => self.font.glyph_id(REPLACEMENT),
            glyph => glyph,
        }
    }

    /// Returns the width of a text in lines of this height.
    pub(crate) fn width(&self, text: &str, height: f32) -> f32 {
        let font = self.font.as_scaled(PxScale::from(height));
        text.chars().map(|c| font.h_advance(self.glyph(c))).sum()
    }

    /// Draws a line. (`x`, `y`) is its top left corner.
    pub(crate) fn draw(&self, canvas: &mut Canvas, (x, y): (f32, f32), line: &Line<'_>) {
        let Line { text, height, colour } = *line;
        let scale = PxScale::from(height);
        let font = self.font.as_scaled(scale);
        let (mut x, baseline) = (x, y + font.ascent());
        for c in text.chars() {
            let id = self.glyph(c);
            let glyph = id.with_scale_and_position(scale, point(x, baseline));
            x += font.h_advance(id);
            let Some(outline) = self.font.outline_glyph(glyph) else {
                continue;
            };
            let bounds = outline.px_bounds();
            if bounds.width().max(bounds.height()) > MAX_GLYPH * height {
                continue;
            }
            outline.draw(|dx, dy, coverage| {
                let (x, y) = (bounds.min.x + dx as f32, bounds.min.y + dy as f32);
                if x >= 0.0 && y >= 0.0 {
                    // The casts saturate.
                    canvas.blend((x as u32, y as u32), colour, coverage);
                }
            });
        }
    }

    /// Breaks a text into at most `max_lines` lines of this width. The middle of a longer text is left out.
    pub(crate) fn wrap(&self, text: &str, height: f32, width: f32, max_lines: usize) -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        let shortened = |kept: usize| -> String {
            let end = KEPT_END.min(chars.len() / 2);
            let start = chars.iter().take(kept);
            let end = chars.iter().skip(chars.len() - end);
            start.chain(['…'].iter()).chain(end).collect()
        };
        let lines = |text: &str| self.break_lines(text, height, width);
        if chars.len() <= MAX_TEXT {
            let whole = lines(text);
            if whole.len() <= max_lines {
                return whole;
            }
        }
        let counts: Vec<usize> = (0..chars.len().min(MAX_TEXT)).collect();
        let fitting = counts.partition_point(|&kept| lines(&shortened(kept)).len() <= max_lines);
        let mut lines = lines(&shortened(fitting.saturating_sub(1)));
        lines.truncate(max_lines);
        lines
    }

    /// Breaks a text at the last space of each line, or within a long word.
    fn break_lines(&self, text: &str, height: f32, width: f32) -> Vec<String> {
        let font = self.font.as_scaled(PxScale::from(height));
        let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0.0);
        for c in text.chars() {
            let advance = font.h_advance(self.glyph(c));
            if used + advance > width && !line.is_empty() {
                let rest = match line.rfind(' ') {
                    // A space in the first half would leave most of the line empty.
                    Some(space) if space >= line.len() / 2 => line.split_off(space + 1),
                    _ => String::new(),
                };
                lines.push(line.trim_end().to_owned());
                used = self.width(&rest, height);
                line = rest;
            }
            line.push(c);
            used += advance;
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Returns a text as drawn on a black canvas.
    fn drawn(text: &str) -> bytes::Bytes {
        let mut canvas = Canvas::new((200, 30), Colour::BLACK);
        let line = Line {
            text,
            height: 20.0,
            colour: Colour::WHITE,
        };
        Font::default().draw(&mut canvas, (4.0, 4.0), &line);
        canvas.into_bytes()
    }

    #[test]
    fn the_bundled_font_draws_latin_greek_and_cyrillic_letters() {
        let unknown = drawn("日");
        assert_eq!(unknown, drawn("\u{fffd}"));
        let empty = drawn(" ");
        for letter in ["A", "ß", "ő", "Ω", "Ж", "ế", "…", "·", "€", "0"] {
            let drawn = drawn(letter);
            assert!(drawn != unknown && drawn != empty, "{letter}");
        }
        assert!(Font::new(b"no font".to_vec()).is_err());
        assert!(Font::new(BUNDLED.to_vec()).is_ok());
    }

    #[test]
    fn long_texts_are_wrapped_and_keep_their_end() {
        let font = Font::default();
        let wrap = |text: &str, width| font.wrap(text, 20.0, width, 2);
        assert_eq!(wrap("a short name.mp4", 400.0), ["a short name.mp4"]);
        assert_eq!(
            wrap("a longer name of two lines.mp4", 200.0),
            ["a longer name of two", "lines.mp4"]
        );
        for text in ["x".repeat(200), "日本 ".repeat(5000), "e\u{301}".repeat(300)] {
            let lines = wrap(&format!("{text}.mp4"), 200.0);
            assert!(lines.len() == 2 && lines[1].ends_with(".mp4"), "{lines:?}");
            assert!(lines.concat().contains('…'), "{lines:?}");
            assert!(
                lines.iter().all(|line| font.width(line, 20.0) <= 200.0),
                "{lines:?}"
            );
        }
        assert_eq!(wrap("", 200.0), [""; 0]);
        // No character fits.
        assert_eq!(wrap("abc", 1.0).len(), 2);
    }
}
