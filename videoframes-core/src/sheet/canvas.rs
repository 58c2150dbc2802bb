//! An RGB picture that is drawn in memory.

use bytes::Bytes;

use super::Colour;

/// Number of bytes of a pixel.
const PIXEL: usize = 3;

/// An RGB picture with 8 bits per sample. Anything outside of the picture is clipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Canvas {
    /// Creates a picture of one colour.
    pub(crate) fn new((width, height): (u32, u32), colour: Colour) -> Self {
        let count = width as usize * height as usize;
        let pixels = match colour {
            Colour::BLACK => vec![0; count * PIXEL],
            colour => colour.rgb().repeat(count),
        };
        Self {
            width,
            height,
            pixels,
        }
    }

    /// Returns a canvas with these RGB pixels, or `None` if their number differs from the size.
    pub(crate) fn of_pixels((width, height): (u32, u32), pixels: Bytes) -> Option<Self> {
        let count = width as usize * height as usize;
        (pixels.len() == count * PIXEL).then(|| Self {
            width,
            height,
            pixels: pixels.into(),
        })
    }

    /// Returns width and height.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Returns the pixels, row by row.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.pixels.into()
    }

    /// Copies `rows` of `width` RGB pixels to the position (`x`, `y`).
    pub(crate) fn copy(&mut self, (x, y): (u32, u32), width: u32, rows: &[u8]) {
        let visible = width.min(self.width.saturating_sub(x)) as usize * PIXEL;
        if visible == 0 {
            return;
        }
        for (row, y) in rows.chunks_exact(width as usize * PIXEL).zip(y..self.height) {
            let at = self.offset(x, y);
            self.pixels[at..at + visible].copy_from_slice(&row[..visible]);
        }
    }

    /// Blends a rectangle of one colour. An `opacity` of 1 hides the background.
    pub(crate) fn fill(
        &mut self,
        (x, y): (u32, u32),
        (width, height): (u32, u32),
        colour: Colour,
        opacity: f32,
    ) {
        for y in y..y.saturating_add(height).min(self.height) {
            for x in x..x.saturating_add(width).min(self.width) {
                self.blend((x, y), colour, opacity);
            }
        }
    }

    /// Blends a pixel.
    pub(crate) fn blend(&mut self, (x, y): (u32, u32), colour: Colour, opacity: f32) {
        if x >= self.width || y >= self.height {
            return;
        }
        let at = self.offset(x, y);
        for (sample, target) in self.pixels[at..at + PIXEL].iter_mut().zip(colour.rgb()) {
            let (from, to) = (f32::from(*sample), f32::from(target));
            // The cast saturates.
            *sample = (from + (to - from) * opacity.clamp(0.0, 1.0)).round() as u8;
        }
    }

    fn offset(&self, x: u32, y: u32) -> usize {
        (y as usize * self.width as usize + x as usize) * PIXEL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_is_clipped_to_the_picture() {
        let mut canvas = Canvas::new((3, 2), Colour::BLACK);
        let red = Colour::new(255, 0, 0).rgb().repeat(4);
        canvas.copy((2, 1), 2, &red);
        canvas.copy((3, 0), 2, &red);
        canvas.copy((0, 7), 2, &red);
        canvas.fill((0, 0), (1, 9), Colour::WHITE, 0.5);
        canvas.blend((1, 2), Colour::WHITE, 1.0);
        let rows: Vec<[u8; 3]> = canvas.pixels.chunks(3).map(|p| [p[0], p[1], p[2]]).collect();
        let (black, gray) = ([0; 3], [128; 3]);
        assert_eq!(rows, [gray, black, black, gray, black, [255, 0, 0]]);
        assert_eq!(canvas.size(), (3, 2));
    }
}
