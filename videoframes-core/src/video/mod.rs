//! Description of a video before a frame is decoded.

mod colour_names;
mod ebml;
#[doc(hidden)] // public for the fuzz target only
pub mod excerpt;
mod index;
mod mp4;
#[cfg(not(fuzzing))]
mod mpegts;
#[cfg(fuzzing)]
pub(crate) mod mpegts;
#[doc(hidden)] // public for the fuzz target only
pub mod nal;
#[doc(hidden)] // public for the fuzz target only
pub mod packets;
mod parameter_sets;
mod recording;
#[doc(hidden)] // public for the fuzz target only
pub mod references;
pub(crate) mod streams;
mod timeline;

pub use index::{Coding, NoIndex, Packaging, Sample, Track, VideoIndex};
pub use mp4::IndexReader;
pub(crate) use mp4::{starts_like_mp4, write};
pub(crate) use mpegts::Seams;
pub use packets::{Packet, PacketList};
pub use recording::{Location, Recording, RecordingTime};
pub use streams::{Described, StreamChoice, VideoStream};
pub use timeline::Timeline;
pub(crate) use timeline::TimelineBuilder;

use crate::units::{Rational, TimeBase};

/// A video stream of a source and its container.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VideoInfo {
    /// Index of the stream among all streams of the source, from 0.
    pub stream: u32,
    /// Short name of the container in ffmpeg (`mov,mp4,…`, `matroska,webm`).
    pub container: String,
    /// Short name of the codec (`h264`).
    pub codec: String,
    /// Stored width in samples, before aspect ratio and rotation.
    pub width: u32,
    /// Stored height in samples.
    pub height: u32,
    /// Ratio of a sample's width to its height; 1 if the file does not specify it.
    pub sample_aspect: Rational,
    /// Rotation and mirroring for display.
    pub orientation: Orientation,
    /// Name of the pixel format (`yuv420p10le`).
    pub pixel_format: String,
    /// Whether pictures have an alpha channel, which VP8 and VP9 store separately from the pixel format.
    pub alpha: bool,
    /// Colour tags.
    pub colour: Colour,
    /// Whether the stream is marked as interlaced.
    pub interlaced: bool,
    /// Average frame rate according to the container; never used for counting.
    pub frame_rate: Option<Rational>,
    /// Duration in seconds according to the container; not verified.
    pub duration: Option<Rational>,
    /// Time base of the timestamps.
    pub time_base: TimeBase,
    /// Timestamp of the first keyframe, if the stream begins with frames that refer to earlier frames. These
    /// frames cannot be decoded and are not presented. Known after packets or frames have been read.
    pub first_keyframe: Option<i64>,
    /// What the container says about the recording; not verified.
    pub recording: Recording,
}

impl VideoInfo {
    /// Returns the description of an upright, progressive 8-bit 4:2:0 video with square samples, without an alpha
    /// channel and colour tags. The stream is the first of its source.
    pub fn new(
        container: impl Into<String>,
        codec: impl Into<String>,
        (width, height): (u32, u32),
        time_base: TimeBase,
    ) -> Self {
        Self {
            stream: 0,
            container: container.into(),
            codec: codec.into(),
            width,
            height,
            sample_aspect: Rational::from_integer(1),
            orientation: Orientation::Upright,
            pixel_format: "yuv420p".to_owned(),
            alpha: false,
            colour: Colour::default(),
            interlaced: false,
            frame_rate: None,
            duration: None,
            time_base,
            first_keyframe: None,
            recording: Recording::default(),
        }
    }

    /// Returns width and height as displayed, with square samples. With `rotate`, the orientation is applied.
    #[must_use]
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
    /// Returns the description of the video after the rotation was applied.
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

/// Returns a sample aspect ratio if it is plausible, between 1:16 and 16:1.
pub(crate) fn believable_aspect(aspect: Rational) -> Option<Rational> {
    let limit = Rational::from_integer(17);
    (aspect < limit && aspect.recip() < limit).then_some(aspect)
}

/// Rotation by a multiple of 90° and mirroring, from the display matrix of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orientation {
    /// Stored as displayed.
    #[default]
    Upright,
    /// Rotated clockwise by 90°.
    Clockwise,
    /// Rotated by 180°.
    HalfTurn,
    /// Rotated counter-clockwise by 90°.
    CounterClockwise,
    /// Mirrored left to right.
    MirroredHorizontally,
    /// Mirrored top to bottom.
    MirroredVertically,
    /// Mirrored left to right, then rotated clockwise by 90°.
    MirroredClockwise,
    /// Mirrored left to right, then rotated counter-clockwise by 90°.
    MirroredCounterClockwise,
}

impl Orientation {
    /// Converts the upper left 2×2 of a display matrix `[a b; c d]` (16.16, only signs matter), with
    /// `x' = a·x + c·y`, `y' = b·x + d·y` (ISO/IEC 14496-12, 6.2.2). Other rotations than multiples of 90° count as upright.
    #[must_use]
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

    /// Returns whether width and height are swapped.
    #[must_use]
    pub fn swaps_sides(self) -> bool {
        matches!(
            self,
            Self::Clockwise
                | Self::CounterClockwise
                | Self::MirroredClockwise
                | Self::MirroredCounterClockwise
        )
    }

    /// Returns the clockwise rotation from stored to displayed in degrees, without mirroring.
    #[must_use]
    pub fn degrees(self) -> u32 {
        match self {
            Self::Upright | Self::MirroredHorizontally | Self::MirroredVertically => 0,
            Self::Clockwise | Self::MirroredClockwise => 90,
            Self::HalfTurn => 180,
            Self::CounterClockwise | Self::MirroredCounterClockwise => 270,
        }
    }
}

/// Colour tags of a stream, with ffmpeg's names; `None` if the stream does not specify them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
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
    /// Returns whether the transfer is one of the two HDR transfer functions, PQ or HLG.
    #[must_use]
    pub fn is_hdr(&self) -> bool {
        matches!(self.transfer.as_deref(), Some("smpte2084" | "arib-std-b67"))
    }
}
