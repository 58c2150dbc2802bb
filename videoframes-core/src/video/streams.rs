//! The video streams of a source, and the choice among them. Pure.

use std::fmt;
use std::str::FromStr;

use super::VideoInfo;
use crate::units::ParseUnitError;

/// A video stream of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VideoStream {
    /// Index of the stream among all streams of the source, from 0.
    pub index: u32,
    /// Identifier of the stream in the container: the track of an MP4 file, the PID of an MPEG-TS.
    pub id: Option<u32>,
    /// Short name of the codec (`h264`).
    pub codec: String,
    /// Stored width in samples.
    pub width: u32,
    /// Stored height in samples.
    pub height: u32,
    /// Number of frames according to the container.
    pub frames: Option<u64>,
    /// Whether the container marks the stream for playback by default.
    pub default: bool,
    /// Whether the container marks the stream as disabled.
    pub disabled: bool,
    /// Whether the stream is an attached picture, such as cover art.
    pub attached: bool,
}

impl VideoStream {
    /// Returns a stream without identifier that is neither a default, disabled nor attached.
    pub fn new(index: u32, codec: impl Into<String>, width: u32, height: u32) -> Self {
        Self {
            index,
            id: None,
            codec: codec.into(),
            width,
            height,
            frames: None,
            default: false,
            disabled: false,
            attached: false,
        }
    }
}

/// Identification of a video stream by a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamChoice {
    /// By [`VideoStream::index`]: `1`.
    Index(u32),
    /// By [`VideoStream::id`]: `0x101`.
    Id(u32),
}

impl fmt::Display for StreamChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Id(id) => write!(f, "{id:#x}"),
        }
    }
}

impl FromStr for StreamChoice {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        let choice = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(id) if digits(id) => u32::from_str_radix(id, 16).ok().map(Self::Id),
            None if digits(text) => text.parse().ok().map(Self::Index),
            _ => None,
        };
        choice.ok_or_else(|| {
            ParseUnitError::new(
                text,
                "a stream: its index, such as 1, or its ID in hexadecimal, such as 0x101",
            )
        })
    }
}

/// Description of a video by its container.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Described {
    /// The chosen stream.
    pub video: VideoInfo,
    /// All video streams.
    pub streams: Vec<VideoStream>,
}

impl Described {
    /// Returns the description of a video with these streams.
    #[must_use]
    pub fn new(video: VideoInfo, streams: Vec<VideoStream>) -> Self {
        Self { video, streams }
    }
}

/// Returns the requested stream. Without a request, returns the stream that a player shows, which is the first
/// default stream or else the first stream. Attached pictures are only returned on request.
pub(crate) fn choose(streams: &[VideoStream], choice: Option<StreamChoice>) -> Option<&VideoStream> {
    match choice {
        Some(StreamChoice::Index(index)) => streams.iter().find(|stream| stream.index == index),
        Some(StreamChoice::Id(id)) => streams.iter().find(|stream| stream.id == Some(id)),
        None => {
            let mut shown = streams.iter().filter(|stream| !stream.attached);
            let first = shown.clone().next();
            shown.find(|stream| stream.default).or(first)
        }
    }
}

/// Returns a note about the used stream if there were several streams and no choice.
pub(crate) fn note(
    streams: &[VideoStream],
    taken: &VideoInfo,
    choice: Option<StreamChoice>,
) -> Option<String> {
    let shown = streams.iter().filter(|stream| !stream.attached).count();
    (choice.is_none() && shown > 1).then(|| {
        format!(
            "the source has {shown} video streams; stream {} ({}×{}) was used",
            taken.stream, taken.width, taken.height
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(index: u32, default: bool, attached: bool) -> VideoStream {
        VideoStream {
            index,
            id: Some(index + 0x100),
            codec: "h264".to_owned(),
            width: 16,
            height: 16,
            frames: None,
            default,
            disabled: false,
            attached,
        }
    }

    #[test]
    fn chooses_the_stream_that_a_player_shows_by_default() {
        let cover = stream(0, true, true);
        let (disabled, enabled, second) = (
            stream(1, false, false),
            stream(2, true, false),
            stream(3, true, false),
        );
        let all = [cover, disabled, enabled, second];
        let index = |streams: &[VideoStream], choice| choose(streams, choice).map(|stream| stream.index);
        assert_eq!(index(&all, None), Some(2));
        assert_eq!(
            index(&all[..2], None),
            Some(1),
            "the only stream is used even if it is disabled"
        );
        assert_eq!(index(&all[..1], None), None);
        assert_eq!(index(&all, Some(StreamChoice::Index(1))), Some(1));
        assert_eq!(index(&all, Some(StreamChoice::Id(0x103))), Some(3));
        assert_eq!(index(&all, Some(StreamChoice::Index(0))), Some(0));
        assert_eq!(index(&all, Some(StreamChoice::Index(4))), None);
    }

    #[test]
    fn parses_displayed_choices() {
        for (text, choice) in [
            ("0", StreamChoice::Index(0)),
            ("17", StreamChoice::Index(17)),
            ("0x1e1", StreamChoice::Id(0x1e1)),
        ] {
            assert_eq!(text.parse(), Ok(choice), "{text}");
            assert_eq!(choice.to_string(), text);
        }
        for text in ["", "v:0", "-1", "+1", "0x", "0x+1", "1e1", "99999999999"] {
            assert!(text.parse::<StreamChoice>().is_err(), "{text}");
        }
    }
}
