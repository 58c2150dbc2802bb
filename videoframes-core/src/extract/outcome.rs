//! Results of decoders.

use std::fmt;

use crate::video::Timeline;

/// Result of a decode that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded<T> {
    /// The decode delivered everything requested.
    Complete(T),
    /// The decode stopped early, and another decode is needed.
    Surprise(Surprise),
}

/// Finding during a decode that calls for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Surprise {
    /// The decoded frames are not those of the timeline.
    TimelineMismatch(String),
    /// The decoder needs a sample that the plan leaves out, or samples differ from the index. Pictures
    /// that were sent before are right.
    PlanFailed(String),
    /// An interlaced frame was decoded although the stream is not marked as interlaced.
    Interlaced,
    /// Pictures and compressed videos need separate decodes.
    SeparateDecodes(&'static str),
}

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimelineMismatch(why) => {
                write!(f, "the decoded frames differ from the container's index: {why}")
            }
            Self::PlanFailed(why) => write!(f, "the plan failed: {why}"),
            Self::Interlaced => f.write_str("the video has interlaced frames"),
            Self::SeparateDecodes(why) => write!(f, "pictures and videos need separate decodes: {why}"),
        }
    }
}

/// Result of a decode of the whole video.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scan {
    /// The frames that decode.
    pub timeline: Timeline,
    /// See [`VideoInfo::first_keyframe`](crate::video::VideoInfo::first_keyframe).
    pub first_keyframe: Option<i64>,
    /// Whether any frame is coded as interlaced.
    pub interlaced: bool,
    /// The first error of the decoder that means lost or corrupted frames.
    pub damage: Option<String>,
}

impl Scan {
    /// Returns the result for an intact, progressive video that begins with a keyframe.
    #[must_use]
    pub fn new(timeline: Timeline) -> Self {
        Self {
            timeline,
            first_keyframe: None,
            interlaced: false,
            damage: None,
        }
    }
}

/// Report on an extraction that delivered all requested pictures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExtractReport {
    /// Name and version of the decoder, for manifests.
    pub decoder: String,
    /// Parts of the request that could not be fulfilled and were left out, in words for a person.
    pub warnings: Vec<String>,
    /// The first error of the decoder that means lost or corrupted frames.
    pub damage: Option<String>,
}

impl ExtractReport {
    /// Returns a report without warnings and damage.
    pub fn new(decoder: impl Into<String>) -> Self {
        Self {
            decoder: decoder.into(),
            ..Self::default()
        }
    }
}
