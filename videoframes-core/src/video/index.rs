//! What a container's index tells of every sample of a video, before a byte of it is decoded.

use bytes::Bytes;

use crate::units::Rational;

use super::{Timeline, VideoInfo, VideoStream};

/// One coded picture: where it lies, when it is shown, and whether decoding may start there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Place of its first byte in the source.
    pub offset: u64,
    /// Size in bytes, never 0.
    pub size: u32,
    /// Place in presentation order among all samples of the track, presented or not.
    pub order: u32,
    /// Whether the container says that decoding may start here.
    pub sync: bool,
}

/// How a track's samples are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// H.264 (ISO/IEC 14496-10): NAL units behind lengths of this many bytes.
    H264 {
        /// Bytes of a length: 1, 2 or 4.
        length_size: u8,
    },
    /// HEVC (ISO/IEC 23008-2): NAL units behind lengths of this many bytes.
    Hevc {
        /// Bytes of a length: 1, 2 or 4.
        length_size: u8,
        /// The highest temporal layer that the parameter sets announce.
        highest_layer: u8,
    },
    /// A codec whose samples are not looked into; its sync samples are taken at the container's word.
    Opaque,
}

/// What a decoder needs to know of a track besides its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// How samples are coded.
    pub coding: Coding,
    /// The sample description box (`stsd`) as it stands in the file.
    pub sample_description: Bytes,
    /// Width and height of the track header, in pixels.
    pub size: (u16, u16),
}

/// The index of a video's samples.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoIndex {
    /// The stream, where the index alone says enough of it; a decoder has to be asked otherwise.
    pub video: Option<VideoInfo>,
    /// The stream's number among all streams of the source.
    pub stream: u32,
    /// All video streams of the source.
    pub streams: Vec<VideoStream>,
    /// The presented frames.
    pub timeline: Timeline,
    /// Seconds for which the edit list shows the track, where there is one.
    pub edited: Option<Rational>,
    /// All samples in decode order; never empty.
    pub samples: Vec<Sample>,
    /// [`Sample::order`] of the first presented frame. Frame `i` of the timeline is the sample with
    /// order `first_presented + i`; the others are there to be decoded only.
    pub first_presented: u32,
    /// The track.
    pub track: Track,
    /// Reason why single samples must not be left out, where the index shows one.
    pub not_plannable: Option<&'static str>,
}

impl VideoIndex {
    /// The frame of the timeline that a sample is, if it is presented.
    pub fn frame_of(&self, sample: &Sample) -> Option<usize> {
        let frame = sample.order.checked_sub(self.first_presented)? as usize;
        (frame < self.timeline.pts().len()).then_some(frame)
    }

    /// Bytes of all samples together.
    pub fn bytes(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.size)).sum()
    }
}

/// Why a source has no index that can be used: another format, a damaged or an unusual one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NoIndex {
    reason: String,
    excessive: bool,
}

impl NoIndex {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            excessive: false,
        }
    }

    /// For an index that no program should read.
    pub(crate) fn excessive(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            excessive: true,
        }
    }

    /// Whether the index exceeds what is read of any file, so that no decoder may open this one either.
    pub fn is_excessive(&self) -> bool {
        self.excessive
    }
}
