//! Pictures out of a video, by whatever decodes it.

mod picture;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use picture::{Deinterlace, PictureFormat, PictureOptions, Quality, Tonemap};

use crate::limits::Limits;
use crate::plan::DecodePlan;
use crate::source::Source;
use crate::video::{Described, StreamChoice, Timeline, VideoIndex, VideoInfo};

/// What is decoded.
#[derive(Clone)]
pub enum Input {
    /// A file, from its start up to the last frame needed.
    File(PathBuf),
    /// The samples that a plan names, read from their source.
    Planned(PlannedInput),
}

/// The samples that a plan names.
#[derive(Clone)]
pub struct PlannedInput {
    /// Where the samples lie.
    pub source: Arc<dyn Source>,
    /// What the samples are.
    pub index: Arc<VideoIndex>,
    /// Those that are needed for the frames of the [`ExtractRequest`].
    pub plan: Arc<DecodePlan>,
    /// How many decoders run side by side; 0 leaves it to the extractor.
    pub jobs: usize,
}

/// The presented frames that packets promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The frames.
    pub timeline: Timeline,
    /// See [`VideoInfo::first_keyframe`].
    pub first_keyframe: Option<i64>,
}

impl From<Timeline> for Promise {
    /// Of a video that begins with a keyframe.
    fn from(timeline: Timeline) -> Self {
        Self {
            timeline,
            first_keyframe: None,
        }
    }
}

/// What a decode of the whole video found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The frames that really decode.
    pub timeline: Timeline,
    /// See [`VideoInfo::first_keyframe`].
    pub first_keyframe: Option<i64>,
    /// Whether any frame is coded as interlaced.
    pub interlaced: bool,
    /// What the decoder complained about, if it lost or spoiled anything.
    pub damage: Option<String>,
}

/// What to extract.
#[derive(Debug, Clone)]
pub struct ExtractRequest {
    /// The stream, as probed.
    pub video: VideoInfo,
    /// The presented frames.
    pub timeline: Timeline,
    /// Indices into the timeline: strictly increasing, not empty.
    pub frames: Vec<usize>,
    /// What a picture looks like.
    pub picture: PictureOptions,
    /// Whether frames pass a deinterlacer.
    pub deinterlace: bool,
}

impl ExtractRequest {
    /// Whether an interlaced frame has to be told as [`ExtractError::Interlaced`].
    pub fn looks_for_interlaced(&self) -> bool {
        self.picture.deinterlace == Deinterlace::Auto && !self.deinterlace
    }
}

/// One picture, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Index of its frame in the timeline.
    pub frame: usize,
    /// The encoded picture.
    pub bytes: Bytes,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// How an extraction went that delivered every picture asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtractReport {
    /// Name and version of the decoder, for manifests.
    pub decoder: String,
    /// What could not be done as asked and was left out, in words for a person.
    pub warnings: Vec<String>,
    /// What the decoder complained about, if it lost or spoiled anything.
    pub damage: Option<String>,
}

/// Why no (more) pictures came.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The decoder is not installed or cannot be run.
    #[error("cannot run '{program}'")]
    DecoderMissing {
        /// What was run.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The decoder lacks something that this request needs.
    #[error("this ffmpeg cannot do it: {0}")]
    Unsupported(String),
    /// Not a video on our list.
    #[error("not a video that can be read: {0}")]
    NotAVideo(String),
    /// A media file without a video stream (cover art is none).
    #[error("no video stream")]
    NoVideoStream,
    /// The video stream that was asked for is not there.
    #[error("no video stream {0}")]
    NoSuchStream(StreamChoice),
    /// A video so damaged that nothing can be decoded.
    #[error("damaged, nothing can be decoded: {0}")]
    Damaged(String),
    /// The decoded frames are not those that the timeline says.
    #[error("the decoded frames differ from the container's index: {0}")]
    TimelineMismatch(String),
    /// What a plan left out was missed, or its samples are not what the index says. Pictures sent
    /// before that are right.
    #[error("the plan does not hold: {0}")]
    PlanFailed(String),
    /// The source of the samples cannot be read.
    #[error("cannot read the source")]
    SourceFailed(#[source] std::io::Error),
    /// An interlaced frame came although the stream is not marked as interlaced.
    #[error("the video has interlaced frames")]
    Interlaced,
    /// A limit was reached.
    #[error("{0}")]
    LimitExceeded(String),
    /// The decoder gave no sign of life for too long, and was killed.
    #[error("ffmpeg made no progress for {0} s and was stopped")]
    Stalled(u64),
    /// The decoder failed.
    #[error("ffmpeg failed: {0}")]
    DecoderFailed(String),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl ExtractError {
    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Stalled(_) | Self::DecoderFailed(_) | Self::SourceFailed(_)
        )
    }
}

/// A decoder of videos.
///
/// Callers may rely on: no process, thread that uses the CPU, or temporary file outliving a call
/// that has returned or was dropped; hostile input opening nothing but itself; and pictures coming
/// in the order of their frames, each exactly the frame that the timeline names.
///
/// Implementers never deliver a picture before they know that it is right, and never block a
/// runtime thread. All methods are idempotent and cancel-safe.
#[async_trait]
pub trait FrameExtractor: Send + Sync + 'static {
    /// Name and version of the decoder, for manifests of extractions that decode nothing.
    async fn version(&self) -> Result<String, ExtractError>;

    /// Reads what the container says of its video streams, without decoding. Where no stream is asked for,
    /// the one that a player shows is taken.
    ///
    /// # Errors
    /// [`ExtractError::NotAVideo`], [`ExtractError::NoVideoStream`], [`ExtractError::NoSuchStream`],
    /// [`ExtractError::Damaged`].
    async fn describe(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Described, ExtractError>;

    /// Reads the presented frames that the container's packets promise, without decoding more than the
    /// beginning; `None` where packets lack timestamps. A promise: [`FrameExtractor::extract`] checks it frame by frame.
    ///
    /// # Errors
    /// [`ExtractError::LimitExceeded`] for more frames than can be kept.
    async fn promise(
        &self,
        input: &Path,
        video: &VideoInfo,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Option<Promise>, ExtractError>;

    /// Decodes everything to learn which frames there are.
    ///
    /// # Errors
    /// [`ExtractError::Damaged`] when not one frame decodes.
    async fn scan(
        &self,
        input: &Path,
        video: &VideoInfo,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Scan, ExtractError>;

    /// Sends the pictures of `request.frames`, in order. A receiver that is dropped ends the call
    /// with [`ExtractError::Cancelled`].
    ///
    /// # Errors
    /// [`ExtractError::TimelineMismatch`] as soon as a decoded frame is not the one that the
    /// timeline says, and [`ExtractError::PlanFailed`] as soon as a plan's samples do not give what
    /// they should; pictures sent before that are right.
    async fn extract(
        &self,
        input: &Input,
        request: ExtractRequest,
        limits: &Limits,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<ExtractReport, ExtractError>;
}
