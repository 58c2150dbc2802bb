//! Glyphs of a font in one size, and the pixels that they cover.

use ab_glyph_rasterizer::{Point, Rasterizer, point};
use skrifa::charmap::Charmap;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::outline::{DrawSettings, OutlineGlyphCollection, OutlinePen};
use skrifa::{FontRef, GlyphId, MetadataProvider};

/// Shown instead of characters that a font lacks.
const REPLACEMENT: char = '\u{fffd}';
/// Maximum number of curves of a glyph. A font may describe glyphs that take minutes to draw.
const MAX_CURVES: usize = 5000;

/// The glyphs of a font in lines of one height.
pub(super) struct Glyphs<'a> {
    charmap: Charmap<'a>,
    metrics: GlyphMetrics<'a>,
    outlines: OutlineGlyphCollection<'a>,
    /// Pixels per unit of the font.
    scale: f32,
    /// Distance of the baseline from the top of a line.
    pub(super) ascent: f32,
}

impl<'a> Glyphs<'a> {
    /// Returns `None` if the font has no characters, or lines without a height.
    pub(super) fn new(font: &FontRef<'a>, height: f32) -> Option<Self> {
        let location = LocationRef::default();
        let metrics = font.metrics(Size::unscaled(), location);
        let units = metrics.ascent - metrics.descent;
        let charmap = font.charmap();
        if !charmap.has_map() || units <= 0.0 {
            return None;
        }
        let scale = height / units;
        Some(Self {
            charmap,
            // Scaled here, since the library rounds scaled widths.
            metrics: font.glyph_metrics(Size::unscaled(), location),
            outlines: font.outline_glyphs(),
            scale,
            ascent: metrics.ascent * scale,
        })
    }

    /// Returns the glyph of a character, or that of a replacement.
    pub(super) fn id(&self, c: char) -> GlyphId {
        let known = |c| self.charmap.map(c).filter(|id| *id != GlyphId::NOTDEF);
        known(c).or_else(|| known(REPLACEMENT)).unwrap_or(GlyphId::NOTDEF)
    }

    /// Returns the distance from a glyph to the next one.
    pub(super) fn advance(&self, id: GlyphId) -> f32 {
        self.metrics.advance_width(id).unwrap_or_default() * self.scale
    }

    /// Returns the width of a text.
    pub(super) fn width(&self, text: &str) -> f32 {
        text.chars().map(|c| self.advance(self.id(c))).sum()
    }

    /// Returns the outline of a glyph, which is empty for a space, and for a damaged or too large glyph.
    pub(super) fn outline(&self, id: GlyphId) -> Outline {
        let mut outline = Outline {
            scale: self.scale,
            ..Outline::default()
        };
        if let Some(glyph) = self.outlines.get(id) {
            let settings = DrawSettings::unhinted(Size::unscaled(), LocationRef::default());
            let drawn = glyph.draw(settings, &mut outline);
            if drawn.is_err() || outline.curves.len() > MAX_CURVES {
                outline.curves.clear();
            }
        }
        outline
    }
}

/// A part of an outline: a line, or a Bézier curve with one or two control points.
#[derive(Debug, Clone, Copy)]
enum Curve {
    Line([Point; 2]),
    Quad([Point; 3]),
    Cubic([Point; 4]),
}

impl Curve {
    fn points(&self) -> &[Point] {
        match self {
            Self::Line(points) => points,
            Self::Quad(points) => points,
            Self::Cubic(points) => points,
        }
    }
}

/// Closed curves around the origin of a glyph, in units of the font. The vertical axis points upwards.
#[derive(Debug, Default)]
pub(super) struct Outline {
    curves: Vec<Curve>,
    /// Pixels per unit of the font.
    scale: f32,
    start: Point,
    end: Point,
}

impl Outline {
    /// Adds a curve, up to one above the maximum.
    fn add(&mut self, curve: Curve, end: Point) {
        if self.curves.len() <= MAX_CURVES {
            self.curves.push(curve);
        }
        self.end = end;
    }

    /// Calls a function with each pixel of a glyph and the covered part of the pixel. (`x`, `y`) is the origin of the glyph.
    ///
    /// Ignores a glyph with a side of more than `max_side` pixels, and pixels left of and above the canvas.
    pub(super) fn pixels(&self, (x, y): (f32, f32), max_side: f32, mut pixel: impl FnMut((u32, u32), f32)) {
        let to_canvas = |each: &Point| point(x + each.x * self.scale, y - each.y * self.scale);
        let points = || self.curves.iter().flat_map(Curve::points).map(to_canvas);
        let (mut min, mut max) = (point(f32::MAX, f32::MAX), point(f32::MIN, f32::MIN));
        for each in points() {
            if !each.x.is_finite() || !each.y.is_finite() {
                return;
            }
            min = point(min.x.min(each.x.floor()), min.y.min(each.y.floor()));
            max = point(max.x.max(each.x.ceil()), max.y.max(each.y.ceil()));
        }
        let (width, height) = (max.x - min.x, max.y - min.y);
        if !(width > 0.0 && height > 0.0 && width.max(height) <= max_side) {
            return;
        }
        // The casts saturate.
        let mut coverage = Rasterizer::new(width as usize, height as usize);
        let to_box = |each: &Point| {
            let each = to_canvas(each);
            point(each.x - min.x, each.y - min.y)
        };
        for curve in &self.curves {
            match curve {
                Curve::Line([a, b]) => coverage.draw_line(to_box(a), to_box(b)),
                Curve::Quad([a, b, c]) => coverage.draw_quad(to_box(a), to_box(b), to_box(c)),
                Curve::Cubic([a, b, c, d]) => coverage.draw_cubic(to_box(a), to_box(b), to_box(c), to_box(d)),
            }
        }
        coverage.for_each_pixel_2d(|dx, dy, covered| {
            let (x, y) = (min.x + dx as f32, min.y + dy as f32);
            if x >= 0.0 && y >= 0.0 {
                pixel((x as u32, y as u32), covered);
            }
        });
    }
}

impl OutlinePen for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.start = point(x, y);
        self.end = self.start;
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let end = point(x, y);
        self.add(Curve::Line([self.end, end]), end);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let end = point(x, y);
        self.add(Curve::Quad([self.end, point(x1, y1), end]), end);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let end = point(x, y);
        self.add(Curve::Cubic([self.end, point(x1, y1), point(x2, y2), end]), end);
    }

    fn close(&mut self) {
        if self.end != self.start {
            self.line_to(self.start.x, self.start.y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the outline of a square with this side, whose right side is a cubic curve.
    fn square(side: f32) -> Outline {
        let mut outline = Outline {
            scale: 1.0,
            ..Outline::default()
        };
        outline.move_to(0.0, 0.0);
        outline.line_to(side, 0.0);
        outline.curve_to(side, side / 3.0, side, side * 2.0 / 3.0, side, side);
        outline.quad_to(side / 2.0, side, 0.0, side);
        outline.close();
        outline
    }

    /// Returns the pixels of which more than half is covered.
    fn covered(outline: &Outline, origin: (f32, f32)) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        outline.pixels(origin, 10.0, |position, coverage| {
            if coverage > 0.5 {
                found.push(position);
            }
        });
        found
    }

    #[test]
    fn outlines_cover_the_pixels_above_their_origin() {
        assert_eq!(
            covered(&square(2.0), (3.0, 5.0)),
            [(3, 3), (4, 3), (3, 4), (4, 4)]
        );
        // Left of and above the canvas.
        assert_eq!(covered(&square(2.0), (-1.0, 1.0)), [(0, 0)]);
        assert_eq!(covered(&square(10.0), (0.0, 10.0)).len(), 100);
    }

    #[test]
    fn outlines_that_cannot_be_drawn_cover_no_pixel() {
        assert_eq!(covered(&Outline::default(), (0.0, 0.0)), []);
        for side in [0.0, 10.5, f32::NAN, f32::INFINITY, 1e30] {
            assert_eq!(covered(&square(side), (0.0, 20.0)), [], "{side}");
        }
        for at in [f32::NAN, f32::NEG_INFINITY] {
            assert_eq!(covered(&square(2.0), (at, 20.0)), [], "{at}");
        }
    }

    #[test]
    fn curves_above_the_maximum_are_not_kept() {
        let mut outline = Outline::default();
        for step in 0..2 * MAX_CURVES {
            outline.line_to(step as f32, 0.0);
        }
        assert_eq!(outline.curves.len(), MAX_CURVES + 1);
    }
}
