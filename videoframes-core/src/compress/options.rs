//! Options of a compressed video.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::extract::Quality;
use crate::units::ParseUnitError;

/// Codec of a compressed video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Codec {
    /// H.264, 8-bit 4:2:0; plays everywhere. HDR is converted to SDR.
    #[default]
    H264,
    /// HEVC (H.265), tagged `hvc1`; keeps 10 bits and HDR.
    Hevc,
    /// AV1, encoded by SVT-AV1; keeps 10 bits and HDR.
    Av1,
    /// VP9; keeps HDR.
    Vp9,
}

impl Codec {
    /// All codecs.
    pub const ALL: [Self; 4] = [Self::H264, Self::Hevc, Self::Av1, Self::Vp9];

    /// Returns the name on command lines and in messages, which is also ffmpeg's name of the codec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
            Self::Vp9 => "vp9",
        }
    }

    /// Returns the default container of the codec.
    #[must_use]
    pub fn container(self) -> Container {
        match self {
            Self::H264 | Self::Hevc | Self::Av1 => Container::Mp4,
            Self::Vp9 => Container::WebM,
        }
    }

    /// Returns ffmpeg's name of the encoder.
    pub fn encoder(self) -> &'static str {
        match self {
            Self::H264 => "libx264",
            Self::Hevc => "libx265",
            Self::Av1 => "libsvtav1",
            Self::Vp9 => "libvpx-vp9",
        }
    }

    /// Returns whether HDR is kept, with either HDR transfer function.
    #[must_use]
    pub(crate) fn keeps_hdr(self) -> bool {
        self != Self::H264
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Codec {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "h264" | "h.264" | "avc" | "x264" => Ok(Self::H264),
            "hevc" | "h265" | "h.265" | "x265" => Ok(Self::Hevc),
            "av1" => Ok(Self::Av1),
            "vp9" => Ok(Self::Vp9),
            _ => Err(ParseUnitError::new(text, "a codec: h264, hevc, av1 or vp9")),
        }
    }
}

/// Container of a compressed video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Container {
    /// MP4 with its index at the front; audio as AAC. The timestamps of the source are kept exactly.
    Mp4,
    /// WebM, for VP9 or AV1; audio as Opus. Timestamps are rounded to milliseconds.
    WebM,
}

impl Container {
    /// Returns the file extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::WebM => "webm",
        }
    }

    /// Returns the media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::WebM => "video/webm",
        }
    }

    /// Returns whether the container supports a codec.
    #[must_use]
    pub fn holds(self, codec: Codec) -> bool {
        self == Self::Mp4 || matches!(codec, Codec::Av1 | Codec::Vp9)
    }
}

/// Treatment of audio tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AudioMode {
    /// Encodes to the default codec of the container: AAC in MP4, Opus in WebM. A track with this codec and a low
    /// bit rate is copied.
    #[default]
    Encode,
    /// Copies the tracks of the source.
    Copy,
    /// Drops all audio tracks.
    None,
}

impl AudioMode {
    /// Returns the name on command lines and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encode => "aac",
            Self::Copy => "copy",
            Self::None => "none",
        }
    }
}

impl FromStr for AudioMode {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "aac" => Ok(Self::Encode),
            "copy" => Ok(Self::Copy),
            "none" => Ok(Self::None),
            _ => Err(ParseUnitError::new(text, "an audio mode: aac, copy or none")),
        }
    }
}

/// Options of a compressed video. The default plays everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompressOptions {
    /// Codec of the video.
    pub codec: Codec,
    /// Container; the default container of the codec if `None`.
    pub container: Option<Container>,
    /// Constant quality, on the same scale for every codec. Not used with `max_bytes`.
    pub quality: Quality,
    /// Maximum height as displayed, at least 16. Videos are never enlarged.
    pub max_height: Option<u32>,
    /// Maximum size in bytes, which the result almost reaches, instead of a quality. A source that is not larger
    /// is compressed at `quality`.
    pub max_bytes: Option<NonZeroU64>,
    /// Treatment of audio tracks.
    pub audio: AudioMode,
    /// Whether all metadata of the source is kept, including location and device. Otherwise only title, artist,
    /// album, genre, date, copyright, comment, description, creation time, languages and chapters are kept.
    pub keep_metadata: bool,
}

impl CompressOptions {
    /// Default quality: hard to distinguish from the source, at a fraction of the size of camera recordings.
    pub const QUALITY: u8 = 70;
    /// Minimum of `max_height`.
    pub const MIN_HEIGHT: u32 = 16;

    /// Returns the container of the video.
    #[must_use]
    pub fn container(&self) -> Container {
        self.container.unwrap_or_else(|| self.codec.container())
    }

    /// Sets the codec of the video.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Sets the container of the video.
    #[must_use]
    pub fn in_container(mut self, container: Container) -> Self {
        self.container = Some(container);
        self
    }

    /// Sets the constant quality.
    #[must_use]
    pub fn quality(mut self, quality: Quality) -> Self {
        self.quality = quality;
        self
    }

    /// Sets the maximum height as displayed, at least 16.
    #[must_use]
    pub fn max_height(mut self, max_height: u32) -> Self {
        self.max_height = Some(max_height);
        self
    }

    /// Sets the maximum size in bytes, which replaces the quality.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: NonZeroU64) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Sets the treatment of audio tracks.
    #[must_use]
    pub fn audio(mut self, audio: AudioMode) -> Self {
        self.audio = audio;
        self
    }

    /// Sets whether all metadata of the source is kept.
    #[must_use]
    pub fn keep_metadata(mut self, keep_metadata: bool) -> Self {
        self.keep_metadata = keep_metadata;
        self
    }
}

impl Default for CompressOptions {
    fn default() -> Self {
        Self {
            codec: Codec::default(),
            container: None,
            // The quality is between 1 and 100, so `unwrap` cannot panic.
            #[allow(clippy::unwrap_used)]
            quality: Quality::new(Self::QUALITY).unwrap(),
            max_height: None,
            max_bytes: None,
            audio: AudioMode::default(),
            keep_metadata: false,
        }
    }
}
