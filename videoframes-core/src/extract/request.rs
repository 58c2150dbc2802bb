//! Requests to decoders.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Deinterlace, PictureOptions};
use crate::limits::Limits;
use crate::plan::DecodePlan;
use crate::source::Source;
use crate::video::{Timeline, VideoIndex, VideoInfo};

/// Input of a decode.
#[derive(Debug, Clone)]
pub enum Input {
    /// A file, from its start up to the last frame needed.
    File(PathBuf),
    /// The samples of a plan, read from their source.
    Planned(PlannedInput),
}

/// The samples of a plan.
#[derive(Clone)]
#[non_exhaustive]
pub struct PlannedInput {
    /// Source of the samples.
    pub source: Arc<dyn Source>,
    /// Index of the samples.
    pub index: Arc<VideoIndex>,
    /// The samples needed for the frames of the [`ExtractRequest`].
    pub plan: Arc<DecodePlan>,
    /// Maximum number of concurrent decoders; at least one is used.
    pub jobs: usize,
}

impl fmt::Debug for PlannedInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedInput")
            .field("source", &self.source.name())
            .field("plan", &self.plan)
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

/// Request for pictures of single frames.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExtractRequest {
    /// The stream, as probed.
    pub video: VideoInfo,
    /// The presented frames.
    pub timeline: Timeline,
    /// Indices into the timeline: strictly increasing, not empty.
    pub frames: Vec<usize>,
    /// Format, size and appearance of the pictures.
    pub picture: PictureOptions,
    /// Whether frames are deinterlaced.
    pub deinterlace: bool,
    /// Whether the receiver may stop after any picture, so that as little as possible is read ahead.
    pub on_demand: bool,
    /// Whether the call ends when damage is found, with the damage in its report. No picture follows that may be
    /// damaged.
    pub stop_at_damage: bool,
    /// Limits of the decode.
    pub limits: Limits,
}

impl ExtractRequest {
    /// Returns a request for `frames` of `timeline`, as JPEG, within the default limits.
    #[must_use]
    pub fn new(video: VideoInfo, timeline: Timeline, frames: Vec<usize>) -> Self {
        Self {
            video,
            timeline,
            frames,
            picture: PictureOptions::default(),
            deinterlace: false,
            on_demand: false,
            stop_at_damage: false,
            limits: Limits::default(),
        }
    }

    /// Returns width and height of the pictures.
    #[must_use]
    pub fn picture_size(&self) -> (u32, u32) {
        let (width, height) = self.video.display_size(self.picture.rotate);
        self.picture.fit(width, height)
    }

    /// Returns whether an interlaced frame is a [`Surprise::Interlaced`](super::Surprise::Interlaced).
    #[must_use]
    pub fn looks_for_interlaced(&self) -> bool {
        self.picture.deinterlace == Deinterlace::Auto && !self.deinterlace
    }
}
