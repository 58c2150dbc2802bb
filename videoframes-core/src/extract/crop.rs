//! Rectangles of displayed pictures.

use std::fmt;
use std::str::FromStr;

use crate::units::ParseUnitError;

/// Maximum width and height of a rectangle in pixels.
const MAX_SIDE: u32 = 65_535;

/// A rectangle of the displayed picture: after rotation, with square pixels, and before the picture is reduced.
///
/// The text forms are `640x360+10+20`, `640x360` and `16:9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Crop {
    /// A rectangle whose upper left pixel has the coordinates `x` and `y`, from 0.
    At {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Pixels to the left of the rectangle.
        x: u32,
        /// Pixels above the rectangle.
        y: u32,
    },
    /// A rectangle in the centre of the picture.
    Centred {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The largest rectangle in the centre of the picture with an aspect ratio.
    Aspect {
        /// Part of the width in the ratio.
        width: u32,
        /// Part of the height in the ratio.
        height: u32,
    },
}

/// A rectangle inside a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) x: u32,
    pub(crate) y: u32,
}

impl Crop {
    /// Returns the rectangle in a displayed picture of `width` × `height`; `None` if it is empty or does not lie
    /// inside. A centred rectangle begins at even coordinates, so that the chroma samples of a video stay unchanged.
    pub(crate) fn region(self, (width, height): (u32, u32)) -> Option<Region> {
        let centred = |w: u32, h: u32| {
            let offset = |all: u32, part: u32| Some((all.checked_sub(part)? / 2) & !1);
            Some(Region {
                width: w,
                height: h,
                x: offset(width, w)?,
                y: offset(height, h)?,
            })
        };
        let region = match self {
            Self::At { width, height, x, y } => Region { width, height, x, y },
            Self::Centred { width, height } => centred(width, height)?,
            Self::Aspect { width: w, height: h } => {
                let (w, h) = (u64::from(w), u64::from(h));
                let (all_w, all_h) = (u64::from(width), u64::from(height));
                // Rounded to the nearest pixel, at least one.
                let nearest = |n: u64, d: u64| u32::try_from((n + d / 2).checked_div(d)?.max(1)).ok();
                match all_w * h <= all_h * w {
                    true => centred(width, nearest(all_w * h, w)?)?,
                    false => centred(nearest(all_h * w, h)?, height)?,
                }
            }
        };
        let fits = |start: u32, part: u32, all: u32| {
            part > 0 && start.checked_add(part).is_some_and(|end| end <= all)
        };
        let inside = fits(region.x, region.width, width) && fits(region.y, region.height, height);
        inside.then_some(region)
    }
}

impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { width, height, x, y } => write!(f, "{width}x{height}+{x}+{y}"),
            Self::Centred { width, height } => write!(f, "{width}x{height}"),
            Self::Aspect { width, height } => write!(f, "{width}:{height}"),
        }
    }
}

impl FromStr for Crop {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| {
            let expected = "a rectangle WIDTHxHEIGHT+X+Y such as 640x360+10+20, a size WIDTHxHEIGHT in the centre, \
                            or an aspect ratio such as 16:9";
            ParseUnitError::new(text, expected)
        })
    }
}

fn parse(text: &str) -> Option<Crop> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|&n| is_number && n <= MAX_SIDE)
    };
    let positive = |text: &str| number(text).filter(|&n| n > 0);
    if let Some((width, height)) = text.split_once(':') {
        let (width, height) = (positive(width)?, positive(height)?);
        return Some(Crop::Aspect { width, height });
    }
    let (size, offset) = match text.split_once('+') {
        Some((size, offset)) => (size, Some(offset)),
        None => (text, None),
    };
    let (width, height) = size.split_once(['x', 'X'])?;
    let (width, height) = (positive(width)?, positive(height)?);
    let Some(offset) = offset else {
        return Some(Crop::Centred { width, height });
    };
    let (x, y) = offset.split_once('+')?;
    let (x, y) = (number(x)?, number(y)?);
    Some(Crop::At { width, height, x, y })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_lie_inside_the_picture() {
        for (text, display, expected) in [
            ("3x5+7+11", (10, 16), Some((3, 5, 7, 11))),
            ("3x5+8+11", (10, 16), None),
            ("3x5+7+12", (10, 16), None),
            ("10x16", (10, 16), Some((10, 16, 0, 0))),
            ("11x16", (10, 16), None),
            ("4x4", (11, 16), Some((4, 4, 2, 6))),
            ("16:9", (1440, 1080), Some((1440, 810, 0, 134))),
            ("1:1", (1920, 1080), Some((1080, 1080, 420, 0))),
            ("9:16", (1920, 1080), Some((608, 1080, 656, 0))),
            ("16:9", (1920, 1080), Some((1920, 1080, 0, 0))),
            ("1:65535", (100, 10), Some((1, 10, 48, 0))),
        ] {
            let region = text.parse::<Crop>().unwrap().region(display);
            let found = region.map(|r| (r.width, r.height, r.x, r.y));
            assert_eq!(found, expected, "{text} in {display:?}");
        }
    }

    #[test]
    fn texts_are_parsed() {
        for text in ["640x360+0+20", "640x360", "16:9"] {
            assert_eq!(text.parse::<Crop>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "640",
            "640x",
            "0x5",
            "5x0+1+1",
            "5x5+1",
            "5x5+1+1+1",
            "5x5+-1+1",
            "5x5-1-1",
            "0:1",
            "16:9+1+1",
            "+5x5",
            "5x+5",
            "65536x1",
            "99999999999x1",
            "1.5:1",
        ] {
            assert!(text.parse::<Crop>().is_err(), "{text}");
        }
    }
}
