//! Filters that cut a rectangle out of the displayed picture. Pure.

use super::colours::Colours;
use crate::extract::{PictureOptions, Region};
use crate::ffmpeg::filters;
use crate::units::Rational;
use crate::video::VideoInfo;

/// Pixels around a rectangle from which the chroma inside is interpolated; scalers use at most four.
const MARGIN: u32 = 16;

/// Where a rectangle is cut out. Without both cuts, the whole picture is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cropping {
    /// Cut out of the frame, before colours and size are converted. The corners are at whole chroma samples.
    frame: Option<Region>,
    /// Cut out of the converted picture.
    picture: Option<Region>,
    /// Size to which frames are converted.
    pub(super) converted: (u32, u32),
}

impl Cropping {
    /// Chooses where the rectangle of `picture` is cut out of frames that have `upright` samples after rotation.
    ///
    /// A rectangle that is not reduced has the pixels of the whole picture. Therefore a larger one is converted first.
    pub(super) fn new(video: &VideoInfo, picture: &PictureOptions, upright: (u32, u32)) -> Self {
        let display = video.display_size(picture.rotate);
        let size = picture.fit(display.0, display.1);
        let Some(region) = picture.crop.and_then(|crop| crop.region(display)) else {
            return Self {
                frame: None,
                picture: None,
                converted: size,
            };
        };
        let even = |x: u32, y: u32| x.is_multiple_of(2) && y.is_multiple_of(2);
        // Elsewhere chroma samples belong to more than two by two pixels, or their positions depend on the size.
        let can_cut_frames = display == upright
            && even(upright.0, upright.1)
            && !["yuv410", "yuv411", "yuvj411", "uyyvyy411"]
                .iter()
                .any(|format| video.pixel_format.starts_with(format));
        let reduced = size != (region.width, region.height);
        if !can_cut_frames {
            return Self {
                frame: None,
                picture: Some(region),
                converted: display,
            };
        }
        if reduced && even(region.x, region.y) {
            return Self {
                frame: Some(region),
                picture: None,
                converted: size,
            };
        }
        let outer = around(region, upright);
        Self {
            frame: Some(outer),
            picture: Some(Region {
                x: region.x - outer.x,
                y: region.y - outer.y,
                ..region
            }),
            converted: (outer.width, outer.height),
        }
    }

    /// Returns the filters before the conversion of colours and size, and the size of their frames.
    pub(super) fn before(self, upright: (u32, u32)) -> (Vec<String>, (u32, u32)) {
        let Some(region) = self.frame else {
            return (Vec::new(), upright);
        };
        // Frames of another size are fitted first, as for the whole picture.
        let (scale, pad) = filters::fit(upright, upright, Rational::from_integer(1));
        let mut filters = vec![format!("{scale}:flags=bicubic+accurate_rnd")];
        filters.extend(pad);
        filters.push(cut(region));
        (filters, (region.width, region.height))
    }

    /// Returns the pixel format of converted frames for pictures in `format`: with chroma for every pixel if the corner
    /// of the rectangle lies between chroma samples.
    pub(super) fn format(self, format: &str) -> String {
        match self.picture {
            Some(Region { x, y, .. }) if x % 2 + y % 2 > 0 => format.replace("420p", "444p"),
            _ => format.to_owned(),
        }
    }

    /// Returns the filters after the conversion, which give a picture of `size` in the format of `target`. With
    /// `halved`, converted frames have the format of `target`.
    pub(super) fn after(self, size: (u32, u32), target: &Colours, halved: bool) -> Vec<String> {
        let Some(region) = self.picture else {
            return Vec::new();
        };
        let full = self.format(target.format);
        // Converted frames have the colours of the target already.
        let scale = |size: &str, format: &str| {
            let (same, options) = (target.options.replace(":out_", ":in_"), &target.options);
            format!(
                "scale={size}flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp{same}{options},setsar=1,format={format}"
            )
        };
        let mut filters: Vec<String> = Vec::new();
        if halved && full != target.format {
            filters.push(scale("", &full));
        }
        filters.push(cut(region));
        if full != target.format || size != (region.width, region.height) {
            let size = format!("w={}:h={}:", size.0, size.1);
            filters.push(scale(&size, target.format));
        }
        filters
    }
}

/// Returns the rectangle with its margin inside a picture of even size, from whole chroma samples to whole chroma samples.
fn around(region: Region, (width, height): (u32, u32)) -> Region {
    let sides = |start: u32, length: u32, all: u32| {
        let first = start.saturating_sub(MARGIN) & !1;
        let end = (start + length)
            .saturating_add(MARGIN)
            .next_multiple_of(2)
            .min(all);
        (first, end - first)
    };
    let (x, width) = sides(region.x, region.width, width);
    let (y, height) = sides(region.y, region.height, height);
    Region { width, height, x, y }
}

/// Returns a filter that cuts out exactly these pixels; without `exact`, ffmpeg rounds to whole chroma samples.
fn cut(region: Region) -> String {
    let Region { width, height, x, y } = region;
    format!("crop=w={width}:h={height}:x={x}:y={y}:exact=1")
}
