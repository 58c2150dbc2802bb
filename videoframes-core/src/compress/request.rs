//! Requests to compressors, and their reports.

use std::path::PathBuf;
use std::sync::Arc;

use super::CompressOptions;
use crate::extract::{ExtractReport, ExtractRequest};
use crate::limits::Limits;
use crate::video::{Timeline, VideoInfo};

/// Request for one compressed video.
#[derive(Debug, Clone)]
#[non_exhaustive]
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
    /// Returns a request with default options and limits, for a video whose frames are not known.
    pub fn new(video: VideoInfo, output: impl Into<PathBuf>, workspace: impl Into<PathBuf>) -> Self {
        let limits = Limits::default();
        Self {
            video,
            timeline: None,
            options: CompressOptions::default(),
            deinterlace: false,
            output: output.into(),
            workspace: workspace.into(),
            ceiling: limits.output_bytes,
            statistics_ceiling: limits.output_bytes,
            limits,
        }
    }

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
#[non_exhaustive]
pub struct CombinedRequest {
    /// The pictures.
    pub pictures: ExtractRequest,
    /// The compressed videos.
    pub videos: Vec<CompressRequest>,
}

impl CombinedRequest {
    /// Returns a request for pictures and videos from one decode.
    #[must_use]
    pub fn new(pictures: ExtractRequest, videos: Vec<CompressRequest>) -> Self {
        Self { pictures, videos }
    }
}

/// Report on a decode for pictures and compressed videos.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CombinedReport {
    /// Report on the pictures.
    pub pictures: ExtractReport,
    /// Reports on the compressed videos, in the order of the requests.
    pub videos: Vec<CompressReport>,
}

impl CombinedReport {
    /// Returns a report on the pictures and on the videos in the order of the requests.
    #[must_use]
    pub fn new(pictures: ExtractReport, videos: Vec<CompressReport>) -> Self {
        Self { pictures, videos }
    }
}

/// Progress of a compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompressProgress {
    /// Frames encoded so far, over all passes.
    pub frames: u64,
    /// Expected frames over all passes; 0 if the container does not specify the number.
    pub total: u64,
}

/// Report on a compression.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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

impl CompressReport {
    /// Returns a report without warnings and damage.
    pub fn new(encoder: impl Into<String>, timeline: Timeline, size: (u32, u32)) -> Self {
        Self {
            encoder: encoder.into(),
            timeline,
            size,
            warnings: Vec::new(),
            damage: None,
        }
    }
}
