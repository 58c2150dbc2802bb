//! The time of a frame in a corner of its picture.

use super::clock::Milliseconds;
use super::{Canvas, Colour, Font, Line};
use crate::units::Rational;

/// Opacity of the background of a time.
const OPACITY: f32 = 0.6;
/// Height of a time in relation to the height of a picture, and its minimum and maximum in pixels.
const SHARE: f32 = 1.0 / 16.0;
const HEIGHTS: (f32, f32) = (12.0, 96.0);

/// A lower corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Corner {
    Left,
    Right,
}

/// A place for the time of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label<'a> {
    pub(crate) font: &'a Font,
    /// Height of the text in pixels.
    pub(crate) text: f32,
    /// Position of the picture on the canvas.
    pub(crate) position: (u32, u32),
    /// Width and height of the picture.
    pub(crate) size: (u32, u32),
    pub(crate) corner: Corner,
}

impl<'a> Label<'a> {
    /// Returns the place in a canvas that is one picture.
    pub(crate) fn of_picture(font: &'a Font, size: (u32, u32)) -> Self {
        Self {
            font,
            text: (size.1 as f32 * SHARE).round().clamp(HEIGHTS.0, HEIGHTS.1),
            position: (0, 0),
            size,
            corner: Corner::Left,
        }
    }

    /// Draws a time in the longest form that the picture holds.
    pub(crate) fn draw(&self, canvas: &mut Canvas, time: Rational) {
        let (font, text, (width, height)) = (self.font, self.text, self.size);
        let pad = (text / 5.0).round();
        let fits = |label: &String| font.width(label, text) + 4.0 * pad <= width as f32;
        let label = Milliseconds::floor(time).forms().into_iter().find(fits);
        let Some(label) = label.filter(|_| 2.0 * text <= height as f32) else {
            return;
        };
        // All values are positive and smaller than the picture.
        let box_width = (font.width(&label, text) + 2.0 * pad).ceil() as u32;
        let box_height = (text + pad).ceil() as u32;
        let x = self.position.0
            + match self.corner {
                Corner::Left => pad as u32,
                Corner::Right => width - box_width - pad as u32,
            };
        let y = self.position.1 + height - box_height - pad as u32;
        canvas.fill((x, y), (box_width, box_height), Colour::BLACK, OPACITY);
        let at = (x as f32 + pad, y as f32 + pad / 2.0);
        let line = Line {
            text: &label,
            height: text,
            colour: Colour::WHITE,
        };
        font.draw(canvas, at, &line);
    }
}
