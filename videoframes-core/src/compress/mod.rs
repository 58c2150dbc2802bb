//! A smaller version of a video, frame for frame: a rendition.

mod compressed;
mod options;
mod remux;
mod target;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use compressed::{Compressed, Origin};
pub use options::{AudioMode, Codec, CompressOptions, Container};
pub(crate) use remux::may_remux;
pub(crate) use target::Draft;
pub use target::{Describe, VideoTarget};

use crate::extract::{ExtractError, ExtractReport, ExtractRequest, Picture};
use crate::limits::Limits;
use crate::video::{Timeline, VideoInfo};

/// One video to be written.
#[derive(Debug, Clone)]
pub struct CompressRequest {
    /// The stream, as probed.
    pub video: VideoInfo,
    /// Presented frames that the container promises, where it does.
    pub timeline: Option<Arc<Timeline>>,
    /// What it is to be.
    pub options: CompressOptions,
    /// Whether frames pass a deinterlacer.
    pub deinterlace: bool,
    /// The file that is written; one that is there is replaced.
    pub output: PathBuf,
    /// An existing folder for notes between passes.
    pub workspace: PathBuf,
    /// Bytes beyond which the output is given up.
    pub ceiling: u64,
    /// Bytes beyond which the notes are.
    pub notes_ceiling: u64,
}

impl CompressRequest {
    /// Returns the number of frames that the container promises; 0 where it promises none.
    pub(crate) fn frames(&self) -> u64 {
        self.timeline
            .as_ref()
            .map_or(0, |timeline| timeline.pts().len() as u64)
    }
}

/// How far a compression has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompressProgress {
    /// Frames that have been encoded, over all passes so far.
    pub frames: u64,
    /// Frames that will be, as far as is known; 0 where the container does not say.
    pub total: u64,
}

/// How a compression went.
#[derive(Debug, Clone, PartialEq)]
pub struct CompressReport {
    /// Name and version of the encoder.
    pub encoder: String,
    /// The presented frames: those of the source and of the output.
    pub timeline: Timeline,
    /// Width and height of the output in samples, upright.
    pub size: (u32, u32),
    /// What could not be done as asked and was left out, in words for a person.
    pub warnings: Vec<String>,
    /// What the decoder complained about, if it lost or spoiled anything.
    pub damage: Option<String>,
}

/// Why there is no compressed video.
#[derive(Debug, thiserror::Error)]
pub enum CompressError {
    /// The decoder, or the encoder beside it.
    #[error(transparent)]
    Decoder(#[from] ExtractError),
    /// The output cannot be written.
    #[error("the compressed video cannot be written")]
    Output(#[source] io::Error),
    /// Pictures and video cannot be had of one decode; each can of its own.
    #[error("it takes a decode of its own: {0}")]
    Apart(&'static str),
    /// It would be larger than [`CompressRequest::ceiling`].
    #[error("the compressed video is larger than {0} bytes")]
    TooLarge(u64),
    /// Notes between two passes would be larger than [`CompressRequest::notes_ceiling`].
    #[error("what its encoder has to note between two passes is more than {0} bytes")]
    NotesTooLarge(u64),
    /// No video of that size can be made of it.
    #[error("it cannot be made as small as {limit} bytes: {why}")]
    SizeOutOfReach {
        /// Bytes that were asked for.
        limit: u64,
        /// What takes more.
        why: String,
    },
    /// The container does not hold what is to be put into it.
    #[error("{0}")]
    NotHeld(String),
    /// The output is not frame for frame the source.
    #[error("the compressed video is not frame for frame its source: {0}")]
    Differs(String),
}

impl CompressError {
    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Decoder(error) => error.is_retryable(),
            Self::Output(_) => true,
            _ => false,
        }
    }
}

/// An encoder of videos.
///
/// Callers may rely on: every presented frame of the source, and no other, in the output at the same
/// time; no process outliving a call that has returned or was dropped; hostile input opening nothing
/// but itself. Of an output whose call failed nothing may be relied on; the caller removes it.
///
/// Implementers look at what they have written before they say that it is done, and never block a
/// runtime thread. All methods are idempotent and cancel-safe.
#[async_trait]
pub trait Compressor: Send + Sync + 'static {
    /// Compresses `input`.
    ///
    /// # Errors
    /// [`ExtractError::Interlaced`] where an interlaced frame came and none was expected.
    async fn compress(
        &self,
        input: &Path,
        request: &CompressRequest,
        limits: &Limits,
        progress: &watch::Sender<CompressProgress>,
        cancel: &CancellationToken,
    ) -> Result<CompressReport, CompressError>;

    /// Sends pictures as [`crate::extract::FrameExtractor::extract`] does of a file, and compresses the
    /// same decoded frames. No request may ask for a size: that takes more than one pass.
    ///
    /// # Errors
    /// Of either, which both end by.
    async fn extract_and_compress(
        &self,
        input: &Path,
        extract: ExtractRequest,
        pictures: mpsc::Sender<Picture>,
        requests: &[CompressRequest],
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<(ExtractReport, Vec<CompressReport>), CompressError>;

    /// Puts the source's own streams into the container, as they are. `timeline` is the source's.
    ///
    /// # Errors
    /// [`CompressError::NotHeld`] where the container does not hold them;
    /// [`CompressError::Differs`] where other frames would be presented.
    async fn remux(
        &self,
        input: &Path,
        request: &CompressRequest,
        timeline: &Timeline,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<CompressReport, CompressError>;

    /// The structural similarity (SSIM) of the output of `request` and its source, of all planes and
    /// frames, 0 to 1, at the output's size and after what was done to the frames before they were
    /// encoded (Wang et al., 2004, as ffmpeg computes it).
    ///
    /// # Errors
    /// Of the decoder.
    async fn similarity(
        &self,
        input: &Path,
        request: &CompressRequest,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<f64, CompressError>;
}
