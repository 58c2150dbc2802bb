//! Pictures: format, size and look.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::units::ParseUnitError;

/// One complete picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Index of its frame in the timeline.
    pub frame: usize,
    /// The encoded picture.
    pub bytes: Bytes,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Image format of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PictureFormat {
    /// JPEG (full range BT.601, as its standard says).
    #[default]
    Jpg,
    /// PNG, 8 bit RGB.
    Png,
    /// Lossy WebP.
    Webp,
}

impl PictureFormat {
    /// The largest side of a picture in pixels, where the format (or its encoder) has a limit.
    pub fn largest_side(self) -> Option<u32> {
        match self {
            Self::Jpg => Some(65_500),
            Self::Png => None,
            Self::Webp => Some(16_383),
        }
    }

    /// The file extension, which is also the name in manifests.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }
}

impl FromStr for PictureFormat {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "jpg" | "jpeg" => Ok(Self::Jpg),
            "png" => Ok(Self::Png),
            "webp" => Ok(Self::Webp),
            _ => Err(ParseUnitError::new(text, "a picture format: jpg, png or webp")),
        }
    }
}

/// 1 (smallest) to 100 (best).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality(u8);

impl Quality {
    /// `None` outside 1–100.
    pub fn new(value: u8) -> Option<Self> {
        (1..=100).contains(&value).then_some(Self(value))
    }

    /// The value, 1–100.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Quality {
    /// Visually lossless.
    fn default() -> Self {
        Self(90)
    }
}

impl FromStr for Quality {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| ParseUnitError::new(text, "a quality from 1 to 100"))
    }
}

/// Whether frames are deinterlaced, before they are picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deinterlace {
    /// Interlaced frames are, others stay as they are.
    #[default]
    Auto,
    /// All frames are.
    On,
    /// None is.
    Off,
}

/// Whether HDR is brought to SDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tonemap {
    /// PQ and HLG videos are.
    #[default]
    Auto,
    /// None is.
    Off,
}

impl fmt::Display for Deinterlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

impl fmt::Display for Tonemap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Off => "off",
        })
    }
}

/// Everything about the look of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureOptions {
    /// Image format.
    pub format: PictureFormat,
    /// Quality of lossy formats.
    pub quality: Quality,
    /// Width of the box that pictures must fit; they are never enlarged.
    pub max_width: Option<u32>,
    /// Height of that box.
    pub max_height: Option<u32>,
    /// Whether the stream's rotation is applied.
    pub rotate: bool,
    /// Deinterlacing.
    pub deinterlace: Deinterlace,
    /// HDR to SDR.
    pub tonemap: Tonemap,
}

impl Default for PictureOptions {
    fn default() -> Self {
        Self {
            format: PictureFormat::default(),
            quality: Quality::default(),
            max_width: None,
            max_height: None,
            rotate: true,
            deinterlace: Deinterlace::default(),
            tonemap: Tonemap::default(),
        }
    }
}

impl PictureOptions {
    /// The size of the pictures of a video that is displayed at `width` × `height`: the largest of
    /// the same shape that fits the box and is not larger than the video.
    pub fn fit(&self, width: u32, height: u32) -> (u32, u32) {
        let (w, h) = (u64::from(width.max(1)), u64::from(height.max(1)));
        let box_w = self.max_width.map_or(w, |m| u64::from(m).min(w)).max(1);
        let box_h = self.max_height.map_or(h, |m| u64::from(m).min(h)).max(1);
        // Scale by the smaller of box_w / w and box_h / h, rounded to the nearest pixel.
        let (n, d) = if box_w * h <= box_h * w {
            (box_w, w)
        } else {
            (box_h, h)
        };
        let scale = |side: u64| u32::try_from(((side * n + d / 2) / d).max(1)).unwrap_or(u32::MAX);
        (scale(w), scale(h))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_fit_the_box_keep_their_shape_and_are_never_enlarged() {
        let fit = |max_width, max_height| {
            PictureOptions {
                max_width,
                max_height,
                ..PictureOptions::default()
            }
            .fit(1920, 1080)
        };
        assert_eq!(fit(None, None), (1920, 1080));
        assert_eq!(fit(Some(4000), Some(4000)), (1920, 1080));
        assert_eq!(fit(Some(640), None), (640, 360));
        assert_eq!(fit(None, Some(360)), (640, 360));
        assert_eq!(fit(Some(640), Some(100)), (178, 100));
    }
}
