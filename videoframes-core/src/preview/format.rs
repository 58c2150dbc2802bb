//! Formats of animated pictures, and their limits.

use std::str::FromStr;

use crate::units::ParseUnitError;

/// Format of an animated picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PreviewFormat {
    /// Animated lossy WebP. Display times are multiples of 1 ms.
    #[default]
    Webp,
    /// GIF with a palette per frame. Display times are multiples of 10 ms.
    Gif,
}

impl PreviewFormat {
    /// Returns the file extension, which is also the name in manifests.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Webp => "webp",
            Self::Gif => "gif",
        }
    }

    /// Returns whether the format has a quality.
    pub fn is_lossy(self) -> bool {
        self == Self::Webp
    }

    /// Returns the maximum width and height in pixels.
    pub(crate) fn max_side(self) -> u32 {
        match self {
            Self::Webp => 16_383,
            Self::Gif => 65_535,
        }
    }

    /// Returns the number of milliseconds of which display times are multiples.
    pub(crate) fn tick(self) -> u32 {
        match self {
            Self::Webp => 1,
            Self::Gif => 10,
        }
    }

    /// Returns the minimum display time in ticks. Browsers show frames of at most 10 ms for 100 ms instead.
    pub(crate) fn min_ticks(self) -> u32 {
        match self {
            Self::Webp => 11,
            Self::Gif => 2,
        }
    }

    /// Returns the maximum display time in ticks, by the width of its field.
    pub(crate) fn max_ticks(self) -> u32 {
        match self {
            Self::Webp => (1 << 24) - 1,
            Self::Gif => 65_535,
        }
    }
}

impl FromStr for PreviewFormat {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "webp" => Ok(Self::Webp),
            "gif" => Ok(Self::Gif),
            _ => Err(ParseUnitError::new(text, "a format of previews: webp or gif")),
        }
    }
}
