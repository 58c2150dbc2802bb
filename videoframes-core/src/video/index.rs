//! Index of the samples of a video according to its container.

use bytes::Bytes;

use crate::units::Rational;

use super::{Timeline, VideoInfo, VideoStream};

/// One coded picture: its position in the file, its presentation order, and whether decoding may start at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// Position of the first byte in the source.
    pub offset: u64,
    /// Size in bytes, never 0.
    pub size: u32,
    /// Index in presentation order among all samples of the track, including samples that are not presented.
    pub order: u32,
    /// Whether decoding may start at the sample according to the container.
    pub sync: bool,
}

/// Coding of the samples of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// H.264 (ISO/IEC 14496-10): NAL units, each preceded by its length.
    H264 {
        /// Size of a length in bytes: 1, 2 or 4.
        length_size: u8,
    },
    /// HEVC (ISO/IEC 23008-2): NAL units, each preceded by its length.
    Hevc {
        /// Size of a length in bytes: 1, 2 or 4.
        length_size: u8,
        /// Highest temporal layer according to the parameter sets.
        highest_layer: u8,
    },
    /// A codec whose samples are not inspected. Its sync samples are those of the container.
    Opaque,
}

/// Properties of a track that a decoder needs in addition to the samples.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Track {
    /// Coding of the samples.
    pub coding: Coding,
    /// The sample description box (`stsd`), unchanged.
    pub sample_description: Bytes,
    /// Width and height of the track header, in pixels.
    pub size: (u16, u16),
    /// How the source stores the samples.
    pub packaging: Packaging,
}

/// How a source stores the samples of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packaging {
    /// Without additional bytes.
    Bare,
    /// Each sample is the content of a Matroska block (RFC 9559, 10.2), without lacing.
    MatroskaBlock {
        /// Number of the track.
        track: u64,
    },
    /// Each sample is an FLV tag with an AVC packet.
    FlvTag,
    /// Each sample is the content of an AVI chunk.
    AviChunk {
        /// Digits of the stream, with which the identifiers of its chunks begin.
        stream: [u8; 2],
    },
    /// Each sample is a PES packet in packets of an MPEG transport stream (ISO/IEC 13818-1), and consists of NAL
    /// units that follow start codes.
    TransportStream {
        /// Identifier of the packets.
        pid: u16,
        /// Sizes of the contents of the PES packets in bytes, for every sample.
        contents: Vec<u32>,
    },
}

/// The index of a video's samples.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VideoIndex {
    /// The stream, if the index describes it completely. Otherwise a decoder has to describe the stream.
    pub video: Option<VideoInfo>,
    /// Index of the stream among all streams of the source.
    pub stream: u32,
    /// All video streams of the source.
    pub streams: Vec<VideoStream>,
    /// The presented frames.
    pub timeline: Timeline,
    /// Duration of the track in seconds according to its edit list, if there is one.
    pub edited: Option<Rational>,
    /// The samples in decode order; never empty. All of them, unless there are `gaps`.
    pub samples: Vec<Sample>,
    /// [`Sample::order`] of the first presented frame. Frame `i` of the timeline is the sample with order
    /// `first_presented + i`. Other samples are only decoded.
    pub first_presented: u32,
    /// Positions in `samples` before which the source has other samples that are not listed.
    pub gaps: Vec<usize>,
    /// The track.
    pub track: Track,
    /// Reason why no sample may be left out, if the index contains one.
    pub not_plannable: Option<&'static str>,
}

impl VideoIndex {
    /// Returns the frame of the timeline for a sample, if the sample is presented.
    pub(crate) fn frame_of(&self, sample: &Sample) -> Option<usize> {
        let frame = sample.order.checked_sub(self.first_presented)? as usize;
        (frame < self.timeline.pts().len()).then_some(frame)
    }

    /// Returns the total size of all samples in bytes.
    pub fn bytes(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.size)).sum()
    }
}

/// Reason why a source has no usable index: another format, a damaged index or an unusual index.
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

    /// Creates the reason for an index that no program should read.
    pub(crate) fn excessive(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            excessive: true,
        }
    }

    /// Returns whether the index exceeds general limits, so that no decoder may open the file either.
    pub(crate) fn is_excessive(&self) -> bool {
        self.excessive
    }
}
