//! Pixel formats of uncompressed pictures: layout of their bytes, and their header in NumPy's format.

use std::fmt;
use std::str::FromStr;

use crate::units::ParseUnitError;

/// Pixel format of an uncompressed picture.
///
/// Rows come from top to bottom and pixels from left to right. Rows, planes and pictures follow each other without
/// padding. Samples with 16 bits are little endian.
///
/// The colours come from the matrix and range of the video; an untagged video has limited range, and BT.709 from
/// 1280 pixels of width or 720 of height on, otherwise BT.601. An alpha channel is replaced by a white background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green and blue of each pixel, 0 to 255: the values of an 8-bit PNG.
    ///
    /// Shape `(height, width, 3)`, one byte per sample, `3 · width` bytes per row.
    #[default]
    Rgb24,
    /// Luma of each pixel in full range, 0 (black) to 255 (white).
    ///
    /// Shape `(height, width)`, one byte per sample, `width` bytes per row. Luma is that of the matrix of the video;
    /// RGB videos have the luma of BT.601.
    Gray8,
    /// Three planes: luma, then blue and red chroma with half the width and half the height, both rounded up.
    ///
    /// One byte per sample; rows of `width` and of `⌈width / 2⌉` bytes. Matrix and range are those of the video, so
    /// the samples of an 8-bit 4:2:0 video of this size stay unchanged. RGB videos have BT.601 in limited range,
    /// and tone-mapped videos BT.709 in limited range.
    Yuv420p,
    /// Red, green and blue of each pixel, 0 to 65535, for videos with more than 8 bits per sample.
    ///
    /// Shape `(height, width, 3)`, two bytes per sample, `6 · width` bytes per row. White is 65535 for any bit depth
    /// of the video.
    Rgb48,
    /// Luma of each pixel in full range, 0 to 65535.
    ///
    /// Shape `(height, width)`, two bytes per sample, `2 · width` bytes per row. Otherwise like [`Self::Gray8`].
    Gray16,
}

/// A plane of an uncompressed picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plane {
    /// Position of the first byte in the picture.
    pub offset: usize,
    /// Number of bytes per row.
    pub stride: usize,
    /// Number of rows.
    pub rows: usize,
}

impl PixelFormat {
    /// All pixel formats.
    pub const ALL: [Self; 5] = [Self::Rgb24, Self::Gray8, Self::Yuv420p, Self::Rgb48, Self::Gray16];

    /// Returns the name: `rgb24`, `gray8`, `yuv420p`, `rgb48` or `gray16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rgb24 => "rgb24",
            Self::Gray8 => "gray8",
            Self::Yuv420p => "yuv420p",
            Self::Rgb48 => "rgb48",
            Self::Gray16 => "gray16",
        }
    }

    /// Returns the number of bytes per sample, 1 or 2.
    pub fn sample_bytes(self) -> usize {
        match self {
            Self::Rgb24 | Self::Gray8 | Self::Yuv420p => 1,
            Self::Rgb48 | Self::Gray16 => 2,
        }
    }

    /// Returns the planes of a picture, in the order of their bytes.
    #[must_use]
    pub fn planes(self, width: u32, height: u32) -> Vec<Plane> {
        let (width, rows) = (width as usize, height as usize);
        let only = |stride| Plane {
            offset: 0,
            stride,
            rows,
        };
        match self {
            Self::Gray8 => vec![only(width)],
            Self::Gray16 => vec![only(width.saturating_mul(2))],
            Self::Rgb24 => vec![only(width.saturating_mul(3))],
            Self::Rgb48 => vec![only(width.saturating_mul(6))],
            Self::Yuv420p => {
                let luma = width.saturating_mul(rows);
                let (stride, rows) = (width.div_ceil(2), rows.div_ceil(2));
                let chroma = |offset| Plane { offset, stride, rows };
                vec![
                    only(width),
                    chroma(luma),
                    chroma(luma.saturating_add(stride.saturating_mul(rows))),
                ]
            }
        }
    }

    /// Returns the number of bytes of a picture.
    #[must_use]
    pub fn picture_bytes(self, width: u32, height: u32) -> usize {
        let planes = self.planes(width, height);
        planes.iter().fold(0, |bytes, plane| {
            bytes.saturating_add(plane.stride.saturating_mul(plane.rows))
        })
    }

    /// Returns the shape of a picture as an array of samples.
    ///
    /// `Yuv420p` has the shape `(height · 3 / 2, width)`, as OpenCV expects, or one dimension if a side is odd.
    #[must_use]
    pub fn shape(self, width: u32, height: u32) -> Vec<usize> {
        let (w, h) = (width as usize, height as usize);
        match self {
            Self::Rgb24 | Self::Rgb48 => vec![h, w, 3],
            Self::Gray8 | Self::Gray16 => vec![h, w],
            Self::Yuv420p if width.is_multiple_of(2) && height.is_multiple_of(2) => vec![h / 2 * 3, w],
            Self::Yuv420p => vec![self.picture_bytes(width, height)],
        }
    }

    /// Returns the header of a `.npy` file, which the bytes of the pictures follow.
    ///
    /// With a number of `pictures`, the file has one more dimension, which comes first.
    #[must_use]
    pub fn npy_header(self, width: u32, height: u32, pictures: Option<usize>) -> Vec<u8> {
        let sides: Vec<String> = pictures
            .into_iter()
            .chain(self.shape(width, height))
            .map(|side| side.to_string())
            .collect();
        // A tuple of one element needs a comma.
        let shape = match sides.as_slice() {
            [only] => format!("{only},"),
            sides => sides.join(", "),
        };
        let kind = match self.sample_bytes() {
            1 => "|u1",
            _ => "<u2",
        };
        let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
        // The specification requires data at a multiple of 64 bytes, for memory maps.
        while !(NPY_MAGIC.len() + 2 + text.len() + 1).is_multiple_of(64) {
            text.push(' ');
        }
        text.push('\n');
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes();
        [NPY_MAGIC, &length, text.as_bytes()].concat()
    }
}

/// Signature and version 1.0 of NumPy's format.
const NPY_MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PixelFormat {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_lowercase();
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| {
            ParseUnitError::new(text, "a pixel format: rgb24, gray8, yuv420p, rgb48 or gray16")
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_tight_and_chroma_is_rounded_up() {
        assert_eq!(PixelFormat::Rgb24.picture_bytes(5, 3), 45);
        assert_eq!(PixelFormat::Rgb48.picture_bytes(5, 3), 90);
        assert_eq!(PixelFormat::Gray8.picture_bytes(5, 3), 15);
        assert_eq!(PixelFormat::Gray16.picture_bytes(5, 3), 30);
        let planes = PixelFormat::Yuv420p.planes(5, 3);
        let layout: Vec<_> = planes.iter().map(|p| (p.offset, p.stride, p.rows)).collect();
        assert_eq!(layout, [(0, 5, 3), (15, 3, 2), (21, 3, 2)]);
        assert_eq!(PixelFormat::Yuv420p.picture_bytes(5, 3), 27);
    }

    #[test]
    fn names_are_parsed() {
        for format in PixelFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("rgba".parse::<PixelFormat>().is_err());
    }

    /// Checks a header against the specification of NumPy's format (NEP 1).
    #[test]
    fn npy_headers_follow_the_specification() {
        for (format, pictures, expected) in [
            (
                PixelFormat::Rgb24,
                None,
                "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 8, 3), }",
            ),
            (
                PixelFormat::Rgb48,
                Some(20),
                "{'descr': '<u2', 'fortran_order': False, 'shape': (20, 6, 8, 3), }",
            ),
            (
                PixelFormat::Gray8,
                None,
                "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 8), }",
            ),
            (
                PixelFormat::Yuv420p,
                Some(0),
                "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 9, 8), }",
            ),
        ] {
            let header = format.npy_header(8, 6, pictures);
            assert_eq!(&header[..8], b"\x93NUMPY\x01\x00");
            let length = usize::from(u16::from_le_bytes([header[8], header[9]]));
            assert_eq!(header.len(), 10 + length);
            assert_eq!(header.len() % 64, 0);
            let text = std::str::from_utf8(&header[10..]).unwrap();
            assert_eq!(text.trim_end(), expected);
            assert!(text.ends_with('\n'));
        }
        let odd = PixelFormat::Yuv420p.npy_header(5, 3, None);
        assert!(String::from_utf8_lossy(&odd).contains("'shape': (27,), }"));
    }
}
