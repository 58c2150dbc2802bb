//! Text on a canvas.

use std::fmt;

use bytes::Bytes;
use skrifa::FontRef;

use super::glyphs::Glyphs;
use super::{Canvas, Colour};

/// DejaVu Sans, reduced to Latin, Greek and Cyrillic. The folder has its licence.
const BUNDLED: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");
/// Maximum side of a glyph as a multiple of the height of a line. Fonts may describe glyphs of any size.
const MAX_GLYPH: f32 = 8.0;
/// Maximum number of characters of a text.
const MAX_TEXT: usize = 1024;
/// Number of characters at the end of a text that are kept if its middle is left out: an extension.
const KEPT_END: usize = 12;

/// A TrueType or OpenType font. Text is not shaped, so scripts such as Arabic are not joined.
#[derive(Clone)]
pub struct Font {
    file: Bytes,
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
        f.debug_struct("Font").field("bytes", &self.file.len()).finish()
    }
}

impl Default for Font {
    /// Returns the bundled font, which has Latin, Greek and Cyrillic letters.
    fn default() -> Self {
        Self {
            file: Bytes::from_static(BUNDLED),
        }
    }
}

impl Font {
    /// Reads a font file; of a collection, the first font.
    ///
    /// # Errors
    /// Fails if the bytes are not a font.
    pub fn new(file: Vec<u8>) -> Result<Self, InvalidFont> {
        let file = Bytes::from(file);
        let font = FontRef::from_index(&file, 0).map_err(|_| InvalidFont)?;
        Glyphs::new(&font, 1.0).ok_or(InvalidFont)?;
        Ok(Self { file })
    }

    /// Returns the glyphs in lines of this height.
    fn glyphs(&self, height: f32) -> Glyphs<'_> {
        // `unwrap` cannot panic: `new` has read the font, and the tests read the bundled font.
        #[allow(clippy::unwrap_used)]
        Glyphs::new(&FontRef::from_index(&self.file, 0).unwrap(), height).unwrap()
    }

    /// Returns the width of a text in lines of this height.
    pub(crate) fn width(&self, text: &str, height: f32) -> f32 {
        self.glyphs(height).width(text)
    }

    /// Draws a line. (`x`, `y`) is its top left corner.
    pub(crate) fn draw(&self, canvas: &mut Canvas, (x, y): (f32, f32), line: &Line<'_>) {
        let Line { text, height, colour } = *line;
        let glyphs = self.glyphs(height);
        let (mut x, baseline) = (x, y + glyphs.ascent);
        for c in text.chars() {
            let id = glyphs.id(c);
            let outline = glyphs.outline(id);
            outline.pixels((x, baseline), MAX_GLYPH * height, |position, coverage| {
                canvas.blend(position, colour, coverage);
            });
            x += glyphs.advance(id);
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
        let glyphs = self.glyphs(height);
        let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0.0);
        for c in text.chars() {
            let advance = glyphs.advance(glyphs.id(c));
            if used + advance > width && !line.is_empty() {
                let rest = match line.rfind(' ') {
                    // A space in the first half would leave most of the line empty.
                    Some(space) if space >= line.len() / 2 => line.split_off(space + 1),
                    _ => String::new(),
                };
                lines.push(line.trim_end().to_owned());
                used = glyphs.width(&rest);
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

    #[test]
    fn damaged_fonts_are_rejected_or_drawn() {
        let mut random = 1_u32;
        let mut next = |limit: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as usize % limit
        };
        let mut drawn = 0;
        for _ in 0..200 {
            let mut file = BUNDLED.to_vec();
            for _ in 0..=next(8) {
                // The tables with the sizes are at the start.
                let end = if next(2) == 0 { 600 } else { BUNDLED.len() };
                let at = next(end);
                file[at] = next(256) as u8;
            }
            if next(4) == 0 {
                file.truncate(next(BUNDLED.len()));
            }
            let Ok(font) = Font::new(file) else {
                continue;
            };
            let mut canvas = Canvas::new((60, 30), Colour::BLACK);
            let line = Line {
                text: "Agß€日",
                height: 20.0,
                colour: Colour::WHITE,
            };
            font.draw(&mut canvas, (4.0, 4.0), &line);
            drawn += 1;
        }
        assert!((50..200).contains(&drawn), "{drawn}");
    }
}
