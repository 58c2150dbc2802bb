//! What a video is before a single frame is decoded.

mod colour_names;
mod index;
mod mp4;
mod mpegts;
pub mod nal;
mod parameter_sets;
pub(crate) mod streams;
mod timeline;

pub use index::{Coding, NoIndex, Sample, Track, VideoIndex};
pub use mp4::IndexReader;
pub(crate) use mp4::{starts_like_mp4, write};
pub(crate) use mpegts::Seams;
pub use streams::{Described, StreamChoice, VideoStream};
pub use timeline::{Timeline, TimelineBuilder};

use crate::units::{Rational, TimeBase};

/// A video stream of a source and its container.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoInfo {
    /// The number of the stream among all streams of the source, from 0.
    pub stream: u32,
    /// The container's short name, as ffmpeg spells it (`mov,mp4,…`, `matroska,webm`).
    pub container: String,
    /// The codec's short name (`h264`).
    pub codec: String,
    /// Stored width in samples, before aspect and rotation.
    pub width: u32,
    /// Stored height in samples.
    pub height: u32,
    /// Width of a sample over its height; 1 when the file does not say.
    pub sample_aspect: Rational,
    /// How the stored picture is turned for display.
    pub orientation: Orientation,
    /// The pixel format's name (`yuv420p10le`).
    pub pixel_format: String,
    /// Whether pictures have an alpha channel, which VP8 and VP9 keep beside the pixel format.
    pub alpha: bool,
    /// Colour tags.
    pub colour: Colour,
    /// Whether the stream says that it is interlaced.
    pub interlaced: bool,
    /// Average frame rate that the container claims: a hint, never a count.
    pub frame_rate: Option<Rational>,
    /// Duration in seconds that the container claims: a hint.
    pub duration: Option<Rational>,
    /// Unit of the stream's timestamps.
    pub time_base: TimeBase,
    /// Timestamp of the first keyframe, where the stream begins with frames that refer to earlier ones: they
    /// cannot be decoded and are not shown. Known once packets or frames have been read.
    pub first_keyframe: Option<i64>,
}

impl VideoInfo {
    /// Width and height as displayed: square samples, upright unless `keep_rotation` is off.
    pub fn display_size(&self, rotate: bool) -> (u32, u32) {
        let width = self.sample_aspect * Rational::from_integer(i128::from(self.width));
        let width = u32::try_from(width.round().to_integer())
            .unwrap_or(u32::MAX)
            .max(1);
        if rotate && self.orientation.swaps_sides() {
            (self.height, width)
        } else {
            (width, self.height)
        }
    }
}

impl VideoInfo {
    /// The same video as it is once its pictures were turned upright.
    pub(crate) fn turned_upright(&self) -> Self {
        let mut video = self.clone();
        if self.orientation.swaps_sides() {
            (video.width, video.height) = (self.height, self.width);
            video.sample_aspect = self.sample_aspect.recip();
        }
        video.orientation = Orientation::Upright;
        video
    }
}

/// A sample aspect ratio that can be believed: beyond 1:16 … 16:1 it is none.
pub(crate) fn believable_aspect(aspect: Rational) -> Option<Rational> {
    let limit = Rational::from_integer(17);
    (aspect < limit && aspect.recip() < limit).then_some(aspect)
}

/// A turn by a multiple of 90°, perhaps mirrored: the display matrix of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orientation {
    /// As stored.
    #[default]
    Upright,
    /// Turned clockwise by 90°.
    Clockwise,
    /// Turned by 180°.
    HalfTurn,
    /// Turned counter-clockwise by 90°.
    CounterClockwise,
    /// Mirrored left to right.
    MirroredHorizontally,
    /// Mirrored top to bottom.
    MirroredVertically,
    /// Mirrored left to right, then turned clockwise by 90°.
    MirroredClockwise,
    /// Mirrored left to right, then turned counter-clockwise by 90°.
    MirroredCounterClockwise,
}

impl Orientation {
    /// From the upper left 2×2 of a display matrix `[a b; c d]` (16.16, only signs matter), with
    /// `x' = a·x + c·y`, `y' = b·x + d·y` (ISO/IEC 14496-12, 6.2.2). Anything but a multiple of
    /// 90° is taken as upright.
    pub fn from_matrix(a: i64, b: i64, c: i64, d: i64) -> Self {
        match (a.signum(), b.signum(), c.signum(), d.signum()) {
            (0, 1, -1, 0) => Self::Clockwise,
            (-1, 0, 0, -1) => Self::HalfTurn,
            (0, -1, 1, 0) => Self::CounterClockwise,
            (-1, 0, 0, 1) => Self::MirroredHorizontally,
            (1, 0, 0, -1) => Self::MirroredVertically,
            (0, 1, 1, 0) => Self::MirroredCounterClockwise,
            (0, -1, -1, 0) => Self::MirroredClockwise,
            _ => Self::Upright,
        }
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        matches!(
            self,
            Self::Clockwise
                | Self::CounterClockwise
                | Self::MirroredClockwise
                | Self::MirroredCounterClockwise
        )
    }

    /// Clockwise degrees from stored to displayed, leaving mirroring aside.
    pub fn degrees(self) -> u32 {
        match self {
            Self::Upright | Self::MirroredHorizontally | Self::MirroredVertically => 0,
            Self::Clockwise | Self::MirroredClockwise => 90,
            Self::HalfTurn => 180,
            Self::CounterClockwise | Self::MirroredCounterClockwise => 270,
        }
    }
}

/// Colour tags of a stream, in ffmpeg's names; `None` where the stream says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Colour {
    /// Matrix coefficients (`bt709`, `smpte170m`, `bt2020nc` …).
    pub matrix: Option<String>,
    /// Transfer characteristics (`bt709`, `smpte2084`, `arib-std-b67` …).
    pub transfer: Option<String>,
    /// Primaries.
    pub primaries: Option<String>,
    /// `Some(true)` for full range (`pc`), `Some(false)` for limited (`tv`).
    pub full_range: Option<bool>,
}

impl Colour {
    /// Whether the transfer is one of the two HDR curves, PQ or HLG.
    pub fn is_hdr(&self) -> bool {
        matches!(self.transfer.as_deref(), Some("smpte2084" | "arib-std-b67"))
    }
}
