//! Requests to compressors, and their reports.

use std::path::PathBuf;
use std::sync::Arc;

use super::CompressOptions;
use crate::extract::{ExtractReport, ExtractRequest};
use crate::limits::Limits;
use crate::video::{Timeline, VideoInfo};

/// Request for one compressed video.
#[derive(Debug, Clone)]
pub struct CompressRequest {
    /// The stream, as probed.
    pub video: VideoInfo,
    /// The presented frames according to the container, or as decoded; `None` where neither is known.
    pub timeline: Option<Arc<Timeline>>,
    /// Codec, quality or size, and appearance of the output.
    pub options: CompressOptions,
    /// Whether frames are deinterlaced.
    pub deinterlace: bool,
    /// The output file; an existing file is replaced.
    pub output: PathBuf,
    /// An existing folder for two-pass statistics.
    pub workspace: PathBuf,
    /// Maximum size of the output in bytes.
    pub ceiling: u64,
    /// Maximum size of the two-pass statistics in bytes.
    pub statistics_ceiling: u64,
    /// Limits of the decode.
    pub limits: Limits,
}

impl CompressRequest {
    /// Returns the number of frames according to the container; 0 where it is not known.
    pub(crate) fn frames(&self) -> u64 {
        self.timeline
            .as_ref()
            .map_or(0, |timeline| timeline.pts().len() as u64)
    }
}

/// Request for pictures and compressed videos from one decode. No video may have a maximum size, which requires
/// more than one pass.
#[derive(Debug, Clone)]
pub struct CombinedRequest {
    /// The pictures.
    pub pictures: ExtractRequest,
    /// The compressed videos.
    pub videos: Vec<CompressRequest>,
}

/// Report on a decode for pictures and compressed videos.
#[derive(Debug, Clone, PartialEq)]
pub struct CombinedReport {
    /// Report on the pictures.
    pub pictures: ExtractReport,
    /// Reports on the compressed videos, in the order of the requests.
    pub videos: Vec<CompressReport>,
}

/// Progress of a compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompressProgress {
    /// Frames encoded so far, over all passes.
    pub frames: u64,
    /// Expected frames over all passes; 0 if the container does not specify the number.
    pub total: u64,
}

/// Report on a compression.
#[derive(Debug, Clone, PartialEq)]
pub struct CompressReport {
    /// Name and version of the encoder.
    pub encoder: String,
    /// The presented frames of the source and of the output.
    pub timeline: Timeline,
    /// Width and height of the output in samples, upright.
    pub size: (u32, u32),
    /// Parts of the request that could not be fulfilled and were left out, in words for a person.
    pub warnings: Vec<String>,
    /// The first error of the decoder that means lost or corrupted frames.
    pub damage: Option<String>,
}
