//! The facts about a picture that its metadata states.

use time::OffsetDateTime;

use crate::text::is_unprintable;
use crate::units::{Rational, TimeBase};
use crate::video::{Location, Recording};

/// Name and version of this program.
pub(super) const SOFTWARE: &str = concat!("videoframes ", env!("CARGO_PKG_VERSION"));

/// Maximum length of a text in characters.
const MAX_CHARS: usize = 255;

/// A frame of a video, and its recording.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameMetadata<'a> {
    /// Name of the source.
    pub(crate) source: &'a str,
    pub(crate) recording: &'a Recording,
    /// Whether the metadata contains the location of the camera.
    pub(crate) location: bool,
    /// Number of the frame in the video, if known.
    pub(crate) frame: Option<u64>,
    /// Ticks from the first frame to this one.
    pub(crate) ticks: u64,
    /// Display duration in ticks.
    pub(crate) duration: u64,
    pub(crate) time_base: TimeBase,
    /// Width and height of the picture, if it is a JPEG.
    pub(crate) jpeg: Option<(u32, u32)>,
}

impl<'a> FrameMetadata<'a> {
    /// Returns the time of recording, if the start of the recording is known.
    pub(super) fn recorded(&self) -> Option<OffsetDateTime> {
        let offset: Rational = self.time_base.seconds(self.ticks.into());
        self.recording.start?.plus(offset)
    }

    pub(super) fn make(&self) -> Option<String> {
        clean(self.recording.make.as_deref()?)
    }

    pub(super) fn model(&self) -> Option<String> {
        clean(self.recording.model.as_deref()?)
    }

    pub(super) fn source(&self) -> Option<String> {
        clean(self.source)
    }

    /// Returns the location, if requested.
    pub(super) fn location(&self) -> Option<&'a Location> {
        self.recording.location.as_ref().filter(|_| self.location)
    }
}

/// Returns the beginning of an untrusted text without characters that are invalid in XML or steer a terminal.
fn clean(text: &str) -> Option<String> {
    let invalid = |c: char| is_unprintable(c) || u32::from(c) & 0xfffe == 0xfffe;
    let kept: String = text.chars().filter(|&c| !invalid(c)).take(MAX_CHARS).collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}
