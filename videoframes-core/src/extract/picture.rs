//! Pictures: format, size and appearance.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use super::{Crop, PixelFormat};
use crate::units::ParseUnitError;

/// A picture in the requested format.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Picture {
    /// Index of the frame in the timeline.
    pub frame: usize,
    /// The complete file: the encoded picture, or its pixels.
    pub bytes: Bytes,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Picture {
    /// Returns the picture of a frame.
    pub fn new(frame: usize, bytes: Bytes, width: u32, height: u32) -> Self {
        Self {
            frame,
            bytes,
            width,
            height,
        }
    }
}

/// Image format of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PictureFormat {
    /// JPEG (full-range BT.601, as the standard specifies).
    #[default]
    Jpg,
    /// PNG, 8-bit RGB.
    Png,
    /// Lossy WebP.
    Webp,
    /// AVIF, 8-bit 4:2:0 in full range.
    Avif,
    /// The bytes of [`PictureOptions::pixels`] without a header.
    Raw,
    /// The same bytes after a header of NumPy's format.
    Npy,
}

impl PictureFormat {
    /// Returns the maximum width and height in pixels, if the format or its encoder has a limit.
    pub(crate) fn max_side(self) -> Option<u32> {
        match self {
            Self::Jpg => Some(65_500),
            Self::Png | Self::Raw | Self::Npy => None,
            Self::Webp => Some(16_383),
            // The advanced profile of AVIF: level 6 of AV1.
            Self::Avif => Some(16_384),
        }
    }

    /// Returns whether [`EmbeddedMetadata`] can be embedded in pictures of the format.
    pub fn holds_metadata(self) -> bool {
        matches!(self, Self::Jpg | Self::Png | Self::Webp)
    }

    /// Returns whether the format has a quality.
    pub fn is_lossy(self) -> bool {
        matches!(self, Self::Jpg | Self::Webp | Self::Avif)
    }

    /// Returns whether pictures are not encoded and have a [`PixelFormat`].
    pub fn is_uncompressed(self) -> bool {
        matches!(self, Self::Raw | Self::Npy)
    }

    /// Returns the file extension, which is also the name in manifests.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Avif => "avif",
            Self::Raw => "raw",
            Self::Npy => "npy",
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
            "avif" => Ok(Self::Avif),
            "raw" => Ok(Self::Raw),
            "npy" => Ok(Self::Npy),
            _ => Err(ParseUnitError::new(
                text,
                "a picture format: jpg, png, webp, avif, raw or npy",
            )),
        }
    }
}

/// Quality of a lossy format, from 1 (smallest) to 100 (best).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality(u8);

impl Quality {
    /// Creates a quality; `None` outside 1–100.
    #[must_use]
    pub fn new(value: u8) -> Option<Self> {
        (1..=100).contains(&value).then_some(Self(value))
    }

    /// Returns the value, 1–100.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Quality {
    /// Returns 90, which is visually lossless.
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

/// Metadata inside of pictures, as Exif and XMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum EmbeddedMetadata {
    /// Embeds nothing.
    #[default]
    None,
    /// Embeds the name of the source, the position of the frame, the time of recording, and the camera.
    Basic,
    /// Embeds also the location of the camera.
    Gps,
}

impl fmt::Display for EmbeddedMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Basic => "basic",
            Self::Gps => "gps",
        })
    }
}

impl FromStr for EmbeddedMetadata {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "basic" => Ok(Self::Basic),
            "gps" => Ok(Self::Gps),
            _ => Err(ParseUnitError::new(
                text,
                "a kind of metadata: none, basic or gps",
            )),
        }
    }
}

/// What is drawn into pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BurnIn {
    /// The time of the frame, in the lower left corner.
    Time,
}

impl fmt::Display for BurnIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "time",
        })
    }
}

impl FromStr for BurnIn {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "time" => Ok(Self::Time),
            _ => Err(ParseUnitError::new(text, "what can be burned in: time")),
        }
    }
}

/// Which frames are deinterlaced before they are picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Deinterlace {
    /// Deinterlaces interlaced frames only.
    #[default]
    Auto,
    /// Deinterlaces all frames.
    On,
    /// Deinterlaces no frame.
    Off,
}

/// Whether HDR is converted to SDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Tonemap {
    /// Converts PQ and HLG videos.
    #[default]
    Auto,
    /// Converts no video.
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

/// Format, size and appearance of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PictureOptions {
    /// Image format.
    pub format: PictureFormat,
    /// Quality of lossy formats.
    pub quality: Quality,
    /// Pixel format of uncompressed pictures.
    pub pixels: PixelFormat,
    /// The rectangle of the displayed picture to keep; the whole picture if `None`.
    pub crop: Option<Crop>,
    /// Maximum width in pixels. Pictures are never enlarged.
    pub max_width: Option<u32>,
    /// Maximum height in pixels.
    pub max_height: Option<u32>,
    /// Whether the rotation of the stream is applied.
    pub rotate: bool,
    /// Which frames are deinterlaced.
    pub deinterlace: Deinterlace,
    /// Whether HDR is converted to SDR.
    pub tonemap: Tonemap,
    /// Metadata inside of JPEG, PNG and WebP pictures. Other formats have none.
    pub metadata: EmbeddedMetadata,
    /// What is drawn into encoded pictures, which are then 8-bit RGB without alpha channel before they are encoded. Raw and
    /// npy pictures have nothing drawn.
    pub burn_in: Option<BurnIn>,
}

impl Default for PictureOptions {
    fn default() -> Self {
        Self {
            format: PictureFormat::default(),
            quality: Quality::default(),
            pixels: PixelFormat::default(),
            crop: None,
            max_width: None,
            max_height: None,
            rotate: true,
            deinterlace: Deinterlace::default(),
            tonemap: Tonemap::default(),
            metadata: EmbeddedMetadata::default(),
            burn_in: None,
        }
    }
}

impl PictureOptions {
    /// Returns the size of the pictures of a video displayed at `width` × `height`: the largest size with the
    /// aspect ratio of the kept rectangle that neither exceeds the maximum nor the size of the rectangle.
    #[must_use]
    pub fn fit(&self, width: u32, height: u32) -> (u32, u32) {
        let region = self.crop.and_then(|crop| crop.region((width, height)));
        let (width, height) = region.map_or((width, height), |region| (region.width, region.height));
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

    /// Sets the image format.
    #[must_use]
    pub fn format(mut self, format: PictureFormat) -> Self {
        self.format = format;
        self
    }

    /// Sets the quality of lossy formats.
    #[must_use]
    pub fn quality(mut self, quality: Quality) -> Self {
        self.quality = quality;
        self
    }

    /// Sets the pixel format of uncompressed pictures.
    #[must_use]
    pub fn pixels(mut self, pixels: PixelFormat) -> Self {
        self.pixels = pixels;
        self
    }

    /// Sets the rectangle of the displayed picture to keep.
    #[must_use]
    pub fn crop(mut self, crop: Crop) -> Self {
        self.crop = Some(crop);
        self
    }

    /// Sets the maximum width in pixels.
    #[must_use]
    pub fn max_width(mut self, max_width: u32) -> Self {
        self.max_width = Some(max_width);
        self
    }

    /// Sets the maximum height in pixels.
    #[must_use]
    pub fn max_height(mut self, max_height: u32) -> Self {
        self.max_height = Some(max_height);
        self
    }

    /// Sets whether the rotation of the stream is applied.
    #[must_use]
    pub fn rotate(mut self, rotate: bool) -> Self {
        self.rotate = rotate;
        self
    }

    /// Sets which frames are deinterlaced.
    #[must_use]
    pub fn deinterlace(mut self, deinterlace: Deinterlace) -> Self {
        self.deinterlace = deinterlace;
        self
    }

    /// Sets whether HDR is converted to SDR.
    #[must_use]
    pub fn tonemap(mut self, tonemap: Tonemap) -> Self {
        self.tonemap = tonemap;
        self
    }

    /// Sets the metadata inside of pictures.
    #[must_use]
    pub fn metadata(mut self, metadata: EmbeddedMetadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets what is drawn into encoded pictures.
    #[must_use]
    pub fn burn_in(mut self, burn_in: BurnIn) -> Self {
        self.burn_in = Some(burn_in);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_fit_the_maximum_keep_their_aspect_ratio_and_are_never_enlarged() {
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
        let square = Crop::Aspect { width: 1, height: 1 };
        let square = PictureOptions::default().max_width(640).crop(square);
        assert_eq!(square.fit(1920, 1080), (640, 640));
    }
}
