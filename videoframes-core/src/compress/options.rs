//! What a compressed video is to be.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::extract::Quality;
use crate::units::ParseUnitError;

/// How pictures are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// H.264, 8 bit 4:2:0: plays everywhere. HDR is brought to SDR.
    #[default]
    H264,
    /// HEVC (H.265), marked `hvc1`; keeps 10 bit and HDR.
    Hevc,
    /// AV1 by SVT-AV1; keeps 10 bit and HDR.
    Av1,
    /// VP9; keeps HDR.
    Vp9,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Self; 4] = [Self::H264, Self::Hevc, Self::Av1, Self::Vp9];

    /// The name on command lines and in messages, which is also ffmpeg's of the coded stream.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
            Self::Vp9 => "vp9",
        }
    }

    /// The container that it is put into, unless another is asked for.
    pub fn container(self) -> Container {
        match self {
            Self::H264 | Self::Hevc | Self::Av1 => Container::Mp4,
            Self::Vp9 => Container::WebM,
        }
    }

    /// The ffmpeg encoder that makes it.
    pub fn encoder(self) -> &'static str {
        match self {
            Self::H264 => "libx264",
            Self::Hevc => "libx265",
            Self::Av1 => "libsvtav1",
            Self::Vp9 => "libvpx-vp9",
        }
    }

    /// Whether the two HDR curves survive.
    pub fn keeps_hdr(self) -> bool {
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

/// What pictures and sound are put into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// MP4 with its index in front; sound as AAC. Timestamps are the source's own.
    Mp4,
    /// WebM, of VP9 or AV1; sound as Opus. Timestamps are rounded to milliseconds.
    WebM,
}

impl Container {
    /// The file extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::WebM => "webm",
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::WebM => "video/webm",
        }
    }

    /// Whether it holds a codec.
    pub fn holds(self, codec: Codec) -> bool {
        self == Self::Mp4 || matches!(codec, Codec::Av1 | Codec::Vp9)
    }
}

/// What becomes of the sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AudioMode {
    /// The container's own codec: AAC in MP4, Opus in WebM. A track that is that already, and not
    /// large, is taken as it is.
    #[default]
    Encode,
    /// As it is in the source.
    Copy,
    /// None.
    None,
}

impl AudioMode {
    /// The name on command lines and in messages.
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
            _ => Err(ParseUnitError::new(
                text,
                "a way to treat sound: aac, copy or none",
            )),
        }
    }
}

/// What a compressed video is to be. By default one that plays everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressOptions {
    /// How pictures are coded.
    pub codec: Codec,
    /// What they are put into; the codec's own container where not given.
    pub container: Option<Container>,
    /// Constant quality, the same scale for every codec. Not used with `max_bytes`.
    pub quality: Quality,
    /// Largest height as displayed, at least 16; nothing is ever enlarged.
    pub max_height: Option<u32>,
    /// Size that is met instead of a quality: not more, and little less. A source that is not larger is
    /// compressed at `quality`.
    pub max_bytes: Option<NonZeroU64>,
    /// What becomes of the sound.
    pub audio: AudioMode,
    /// Whether all that the source says of itself is kept, place and device too. Otherwise title, artist,
    /// album, genre, date, copyright, comment, description, time of creation, languages and chapters are.
    pub keep_metadata: bool,
}

impl CompressOptions {
    /// The quality unless another is asked for: hard to tell from the source, at a fraction of what a
    /// camera writes.
    pub const QUALITY: u8 = 70;
    /// Smallest height that can be asked for.
    pub const LEAST_HEIGHT: u32 = 16;

    /// What pictures and sound are put into.
    pub fn container(&self) -> Container {
        self.container.unwrap_or_else(|| self.codec.container())
    }
}

impl Default for CompressOptions {
    fn default() -> Self {
        Self {
            codec: Codec::default(),
            container: None,
            // Unwrap safety: it is from 1 to 100.
            #[allow(clippy::unwrap_used)]
            quality: Quality::new(Self::QUALITY).unwrap(),
            max_height: None,
            max_bytes: None,
            audio: AudioMode::default(),
            keep_metadata: false,
        }
    }
}
