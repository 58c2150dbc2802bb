//! Animated GIF: a palette per frame, and only the pixels that changed.

use std::fmt;

use gif::{DisposalMethod, Encoder, Frame, Repeat};

use super::error::AnimationError;
use super::palette::{Palette, Rgb};

/// Difference of a sample up to which a pixel counts as unchanged. Codecs change the samples of a still part of a video by a
/// few levels from frame to frame; a new dither pattern for them would flicker, and need many bytes.
const UNCHANGED: u8 = 3;

/// Share of the error of a pixel that its neighbours receive. The whole error would add up to dots of other colours where
/// the palette lacks a colour.
const KEPT_ERROR: (i32, i32) = (7, 8);

/// An animated GIF that is composed in memory.
pub(super) struct Gif {
    encoder: Encoder<Vec<u8>>,
    width: usize,
    height: usize,
    /// For each pixel, the colour in the frame that painted the pixel.
    painted: Vec<Rgb>,
}

impl fmt::Debug for Gif {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gif")
            .field("bytes", &self.len())
            .finish_non_exhaustive()
    }
}

impl Gif {
    /// Starts a file. `plays` is the number of times that it is played, 0 for no end.
    pub(super) fn new((width, height): (u32, u32), plays: u16) -> Result<Self, AnimationError> {
        let side = |side: u32| u16::try_from(side).map_err(|_| AnimationError::TooLarge);
        let encoder = Encoder::new(Vec::new(), side(width)?, side(height)?, &[]);
        let mut encoder = encoder.map_err(|_| AnimationError::TooLarge)?;
        // The file has the number of repetitions, and no number for one play.
        let repeat = match plays {
            0 => Repeat::Infinite,
            plays => Repeat::Finite(plays - 1),
        };
        encoder.set_repeat(repeat).map_err(|_| AnimationError::TooLarge)?;
        Ok(Self {
            encoder,
            width: width as usize,
            height: height as usize,
            painted: Vec::new(),
        })
    }

    /// Returns the number of bytes so far.
    pub(super) fn len(&self) -> usize {
        self.encoder.get_ref().len()
    }

    /// Appends a frame, which is displayed for this number of hundredths of a second.
    pub(super) fn add(&mut self, pixels: &[u8], hundredths: u32) -> Result<(), AnimationError> {
        let (pixels, rest): (&[Rgb], _) = pixels.as_chunks();
        if pixels.len() != self.width * self.height || !rest.is_empty() || pixels.is_empty() {
            return Err(AnimationError::InvalidFrame("of another size"));
        }
        let changed = self.changed(pixels);
        let area = Area::around(&changed, self.width);
        let rows = area.rows(self.width, pixels, &changed);
        let mut palette = Palette::new(rows.clone().flatten().flatten());
        let buffer = indices(rows, area.width, &mut palette);
        let mut colours = palette.colours().concat();
        let transparent = palette.transparent();
        let has_transparent = buffer.contains(&transparent);
        if has_transparent {
            colours.extend([0; 3]);
        }
        let frame = Frame {
            delay: u16::try_from(hundredths).map_err(|_| AnimationError::TooLarge)?,
            dispose: DisposalMethod::Keep,
            transparent: has_transparent.then_some(transparent),
            left: area.left as u16,
            top: area.top as u16,
            width: area.width as u16,
            height: area.height as u16,
            palette: Some(colours),
            buffer: buffer.into(),
            ..Frame::default()
        };
        self.encoder
            .write_frame(&frame)
            .map_err(|_| AnimationError::TooLarge)
    }

    /// Returns which pixels changed since they were painted, and keeps their new colours.
    fn changed(&mut self, pixels: &[Rgb]) -> Vec<bool> {
        if self.painted.is_empty() {
            self.painted = pixels.to_vec();
            return vec![true; pixels.len()];
        }
        let pairs = self.painted.iter_mut().zip(pixels);
        let changed = pairs.map(|(painted, pixel)| {
            let samples = painted.iter().zip(pixel);
            let is_changed = samples.into_iter().any(|(a, b)| a.abs_diff(*b) > UNCHANGED);
            if is_changed {
                *painted = *pixel;
            }
            is_changed
        });
        changed.collect()
    }

    /// Returns the complete file.
    pub(super) fn finish(self) -> Result<Vec<u8>, AnimationError> {
        self.encoder.into_inner().map_err(|_| AnimationError::TooLarge)
    }
}

/// A rectangle of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Area {
    /// Returns the smallest area with all changed pixels of a frame of this width, or one pixel if none changed.
    fn around(changed: &[bool], width: usize) -> Self {
        let rows = || changed.chunks_exact(width);
        let has_change = |row: &[bool]| row.contains(&true);
        let top = rows().position(has_change).unwrap_or(0);
        let bottom = rows().rposition(has_change).unwrap_or(0);
        let left = rows()
            .filter_map(|row| row.iter().position(|changed| *changed))
            .min();
        let right = rows()
            .filter_map(|row| row.iter().rposition(|changed| *changed))
            .max();
        let (left, right) = (left.unwrap_or(0), right.unwrap_or(0));
        Self {
            left,
            top,
            width: right + 1 - left,
            height: bottom + 1 - top,
        }
    }

    /// Returns the rows of the area in a frame of this width. Unchanged pixels are `None`.
    fn rows<'a>(
        self,
        width: usize,
        pixels: &'a [Rgb],
        changed: &'a [bool],
    ) -> impl Iterator<Item = impl Iterator<Item = Option<Rgb>> + Clone + 'a> + Clone + 'a {
        (self.top..self.top + self.height).map(move |y| {
            let start = y * width + self.left;
            let row = start..start + self.width;
            let pairs = pixels[row.clone()].iter().zip(&changed[row]);
            pairs.map(|(pixel, changed)| changed.then_some(*pixel))
        })
    }
}

/// Returns the indices of the pixels of some rows. If the palette lacks colours, the error of each pixel is distributed to
/// its neighbours (Floyd and Steinberg, 1976).
fn indices(
    rows: impl Iterator<Item = impl Iterator<Item = Option<Rgb>>>,
    width: usize,
    palette: &mut Palette,
) -> Vec<u8> {
    let mut indices = Vec::new();
    // Sixteenths of the errors in this row and in the next one, with a border on both sides.
    let mut this = vec![[0i32; 3]; width + 2];
    let mut next = this.clone();
    for row in rows {
        for (x, pixel) in row.enumerate() {
            let Some(pixel) = pixel else {
                indices.push(palette.transparent());
                continue;
            };
            let wanted: Rgb = std::array::from_fn(|s| {
                let sample = i32::from(pixel[s]) + (this[x + 1][s] + 8).div_euclid(16);
                sample.clamp(0, 255) as u8
            });
            let index = palette.index(wanted);
            let colour = palette.colour(index);
            for s in 0..3 {
                let error = (i32::from(wanted[s]) - i32::from(colour[s])) * KEPT_ERROR.0 / KEPT_ERROR.1;
                this[x + 2][s] += 7 * error;
                next[x][s] += 3 * error;
                next[x + 1][s] += 5 * error;
                next[x + 2][s] += error;
            }
            indices.push(index);
        }
        std::mem::swap(&mut this, &mut next);
        next.fill([0; 3]);
    }
    indices
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_only_the_pixels_that_changed() {
        let (red, blue) = ([200, 0, 0], [0, 0, 200]);
        let mut frame = [red; 4 * 3];
        let mut gif = Gif::new((4, 3), 2).unwrap();
        gif.add(frame.as_flattened(), 5).unwrap();
        frame[5] = blue;
        frame[10] = blue;
        // Within the tolerance.
        frame[0] = [203, 0, 3];
        gif.add(frame.as_flattened(), 700).unwrap();
        gif.add(frame.as_flattened(), 2).unwrap();
        assert!(gif.add(&[0; 9], 2).is_err());

        let file = gif.finish().unwrap();
        let repeated = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x01\0\0";
        assert!(file.windows(repeated.len()).any(|part| part == repeated));
        let mut decoder = gif::DecodeOptions::new().read_info(&file[..]).unwrap();
        let mut next = || {
            let frame = decoder.read_next_frame().unwrap().unwrap();
            let area = (frame.left, frame.top, frame.width, frame.height);
            (
                area,
                frame.delay,
                frame.buffer.to_vec(),
                frame.palette.clone().unwrap(),
            )
        };
        assert_eq!(next(), ((0, 0, 4, 3), 5, vec![0; 12], vec![200, 0, 0, 0, 0, 0]));
        let colours = vec![0, 0, 200, 0, 0, 0];
        assert_eq!(next(), ((1, 1, 2, 2), 700, vec![0, 1, 1, 0], colours));
        let (area, delay, buffer, _) = next();
        assert_eq!((area, delay, buffer), ((0, 0, 1, 1), 2, vec![0]));
    }

    #[test]
    fn many_colours_are_dithered_to_the_same_mean() {
        let (width, height) = (64, 48);
        let frame: Vec<Rgb> = (0..width * height)
            .map(|at| {
                [
                    (at % width * 4) as u8,
                    (at / width * 5) as u8,
                    (at * 7 % 256) as u8,
                ]
            })
            .collect();
        let mut palette = Palette::new(frame.iter().copied());
        let area = Area::around(&vec![true; frame.len()], width);
        let changed = vec![true; frame.len()];
        let shown = indices(area.rows(width, &frame, &changed), width, &mut palette);
        let sum = |pixels: &mut dyn Iterator<Item = Rgb>| {
            pixels.fold([0i64; 3], |sum, pixel| {
                std::array::from_fn(|s| sum[s] + i64::from(pixel[s]))
            })
        };
        let (wanted, shown) = (
            sum(&mut frame.iter().copied()),
            sum(&mut shown.iter().map(|index| palette.colour(*index))),
        );
        for (wanted, shown) in wanted.iter().zip(shown) {
            assert!(
                wanted.abs_diff(shown) < 2 * frame.len() as u64,
                "{wanted} {shown}"
            );
        }
    }

    #[test]
    fn a_single_pixel_is_a_frame() {
        let mut gif = Gif::new((1, 1), 0).unwrap();
        gif.add(&[1, 2, 3], 2).unwrap();
        let mut decoder = gif::DecodeOptions::new();
        decoder.set_color_output(gif::ColorOutput::RGBA);
        let file = gif.finish().unwrap();
        let mut decoder = decoder.read_info(&file[..]).unwrap();
        assert_eq!(
            &decoder.read_next_frame().unwrap().unwrap().buffer[..],
            [1, 2, 3, 255]
        );
    }
}
