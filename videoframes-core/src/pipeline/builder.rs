//! The builder and the calls of a [`Pipeline`].

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::compress;
use super::context::Context;
use super::error::Error;
use super::frames::{FrameIter, FrameStream, FramesRequest};
use super::outline::{self, Outline};
use super::outputs::{self, AdditionalOutputs};
use super::preview::{self, PreviewRequest};
use super::probe::{self, Probe};
use super::request::{CompressJob, Request};
use super::scratch::Scratch;
use super::session::Session;
use super::sheets::{self, ContactSheetRequest, Sheets, StoryboardRequest};
use super::summary::{Progress, Summary};
use crate::archive::Destination;
use crate::compress::{CompressProgress, Compressed, Compressor, VideoTarget};
use crate::extract::{FrameExtractor, PictureEncoder};
use crate::limits::Limits;
use crate::source::Source;
use crate::video::StreamChoice;

/// Pictures, decoded frames and compressed videos out of sources. Cheap to clone.
///
/// Every call is bounded by the [`Limits`] and ends early when the token is cancelled. A result appears at its
/// destination as a whole or not at all, also if the future is dropped. The same source and request give
/// the same bytes.
#[derive(Clone)]
#[must_use]
pub struct Pipeline {
    context: Context,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("encoder", &self.context.encoder.is_some())
            .field("compressor", &self.context.compressor.is_some())
            .field("limits", &self.context.limits)
            .field("scratch", &self.context.scratch)
            .field("cancelled", &self.context.cancel.is_cancelled())
            .finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Creates a pipeline with default limits, without a compressor.
    pub fn new(extractor: impl FrameExtractor) -> Self {
        Self {
            context: Context {
                extractor: Arc::new(extractor),
                encoder: None,
                compressor: None,
                limits: Limits::default(),
                scratch: Scratch::default(),
                cancel: CancellationToken::new(),
                on_progress: Arc::new(|_| {}),
                on_compress_progress: Arc::new(|_| {}),
            },
        }
    }

    /// Sets the encoder of composed pictures, which [`Pipeline::storyboard`], [`Pipeline::contact_sheet`] and pictures with
    /// [`BurnIn`](crate::extract::BurnIn) need.
    pub fn encoder(mut self, encoder: impl PictureEncoder) -> Self {
        self.context.encoder = Some(Arc::new(encoder));
        self
    }

    /// Sets the compressor, which [`Pipeline::compress`] and [`Pipeline::extract_with_outputs`] need.
    pub fn compressor(mut self, compressor: impl Compressor) -> Self {
        self.context.compressor = Some(Arc::new(compressor));
        self
    }

    /// Sets the limits of every call.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.context.limits = limits;
        self
    }

    /// Sets the folder for temporary files. The result does not depend on the folder.
    pub fn scratch(mut self, scratch: Scratch) -> Self {
        self.context.scratch = scratch;
        self
    }

    /// Sets the token that cancels every call.
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.context.cancel = cancel;
        self
    }

    /// Calls `progress` after every picture of an extraction.
    pub fn on_progress(mut self, progress: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.context.on_progress = Arc::new(progress);
        self
    }

    /// Calls `progress` while a video is compressed.
    pub fn on_compress_progress(
        mut self,
        progress: impl Fn(CompressProgress) + Send + Sync + 'static,
    ) -> Self {
        self.context.on_compress_progress = Arc::new(progress);
        self
    }

    /// Reads the description of a video and its presented frames. Without a choice of `stream`, describes the
    /// stream that a player shows. Decodes a video once if its packets lack timestamps.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn probe(
        &self,
        source: impl Source + 'static,
        stream: Option<StreamChoice>,
    ) -> Result<Probe, Error> {
        let session = Session::new(&self.context, source);
        session.bounded(probe::probe(&session, stream)).await
    }

    /// Returns what [`Pipeline::extract`] would decode for the same request. Decodes a video once if its packets
    /// lack timestamps.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn plan(&self, source: impl Source + 'static, request: &Request) -> Result<Outline, Error> {
        let session = Session::new(&self.context, source);
        session.bounded(outline::outline(&session, request)).await
    }

    /// Extracts the pictures of `request` into `destination`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn extract(
        &self,
        source: impl Source + 'static,
        request: &Request,
        destination: &dyn Destination,
    ) -> Result<Summary, Error> {
        let outputs = AdditionalOutputs::default();
        self.extract_with_outputs(source, request, &outputs, destination)
            .await
    }

    /// Decodes the frames of `request`. The stream is returned once the frames are selected, before the first is
    /// decoded.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use videoframes_core::Pipeline;
    /// use videoframes_core::ffmpeg::FfmpegExtractor;
    /// use videoframes_core::pipeline::FramesRequest;
    /// use videoframes_core::select::Selection;
    /// use videoframes_core::source::FileSource;
    ///
    /// let pipeline = Pipeline::new(FfmpegExtractor::default());
    /// let request = FramesRequest::new(Selection::All).max_width(224);
    /// let mut frames = pipeline.frames(FileSource::open("video.mp4")?, &request).await?;
    /// while let Some(frame) = frames.next().await {
    ///     let frame = frame?;
    ///     println!("{} s: {:?}", frame.timestamp, frame.shape());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Error`]. Errors of the decode follow the frames before.
    pub async fn frames(
        &self,
        source: impl Source + 'static,
        request: &FramesRequest,
    ) -> Result<FrameStream, Error> {
        FrameStream::open(self.context.clone(), source, request).await
    }

    /// Decodes the frames of `request`, for programs without an async runtime. Blocks until the frames are selected.
    ///
    /// # Errors
    /// See [`Pipeline::frames`].
    pub fn frames_blocking(
        &self,
        source: impl Source + 'static,
        request: &FramesRequest,
    ) -> Result<FrameIter, Error> {
        FrameIter::open(self.context.clone(), source, request)
    }

    /// Extracts pictures, and makes additional outputs of the same source: compressed videos, storyboards, contact sheets
    /// and previews. The container is read once, a copy of the source is made at most once, and renditions share the decode of
    /// the pictures where possible. Each composition decodes the samples that its own frames need.
    ///
    /// All additional outputs are stored before the archive is completed: an existing archive implies them.
    ///
    /// # Errors
    /// See [`Error`]. A rendition that fails ends the call unless the rendition is optional. Outputs that are stored by
    /// then stay.
    pub async fn extract_with_outputs(
        &self,
        source: impl Source + 'static,
        request: &Request,
        outputs: &AdditionalOutputs,
        destination: &dyn Destination,
    ) -> Result<Summary, Error> {
        let targets = outputs.renditions.iter().map(|wanted| &wanted.target);
        let session = Session::new(&self.context, source).with_space_for(targets);
        session
            .bounded(outputs::extract_with(&session, request, outputs, destination))
            .await
    }

    /// Makes the storyboard of a video: sheets of tiles, a WebVTT file, a tile list per sheet, and a manifest.
    ///
    /// Each tile is the frame displayed at its requested time. The cues of the WebVTT file and the tile lists cover the
    /// whole video without gaps.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use videoframes_core::Pipeline;
    /// use videoframes_core::archive::Directory;
    /// use videoframes_core::ffmpeg::FfmpegExtractor;
    /// use videoframes_core::pipeline::StoryboardRequest;
    /// use videoframes_core::select::Selection;
    /// use videoframes_core::source::FileSource;
    ///
    /// let ffmpeg = FfmpegExtractor::default();
    /// let pipeline = Pipeline::new(ffmpeg.clone()).encoder(ffmpeg);
    /// let request = StoryboardRequest::new(Selection::Count(100)).columns(10).rows(10);
    /// let source = FileSource::open("video.mp4")?;
    /// pipeline.storyboard(source, &request, &Directory::new("storyboard")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn storyboard(
        &self,
        source: impl Source + 'static,
        request: &StoryboardRequest,
        destination: &dyn Destination,
    ) -> Result<Summary, Error> {
        self.sheets(source, request.sheets(), destination).await
    }

    /// Makes a contact sheet of a video: one picture with a grid of frames and their times, and a manifest.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn contact_sheet(
        &self,
        source: impl Source + 'static,
        request: &ContactSheetRequest,
        destination: &dyn Destination,
    ) -> Result<Summary, Error> {
        self.sheets(source, request.sheets(), destination).await
    }

    /// Makes a preview of a video: one animated picture of its frames, and a manifest.
    ///
    /// Each frame is the frame displayed at its requested time, and is displayed until the time of the next frame.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use videoframes_core::Pipeline;
    /// use videoframes_core::archive::PictureFile;
    /// use videoframes_core::ffmpeg::FfmpegExtractor;
    /// use videoframes_core::pipeline::PreviewRequest;
    /// use videoframes_core::source::FileSource;
    ///
    /// let pipeline = Pipeline::new(FfmpegExtractor::default());
    /// let source = FileSource::open("video.mp4")?;
    /// let destination = PictureFile::new("preview.webp");
    /// pipeline.preview(source, &PreviewRequest::default(), &destination).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn preview(
        &self,
        source: impl Source + 'static,
        request: &PreviewRequest,
        destination: &dyn Destination,
    ) -> Result<Summary, Error> {
        let session = Session::new(&self.context, source);
        let progress = self.context.on_progress.as_ref();
        session
            .bounded(preview::make(&session, request, destination, None, progress))
            .await
    }

    async fn sheets(
        &self,
        source: impl Source + 'static,
        sheets: Sheets<'_>,
        destination: &dyn Destination,
    ) -> Result<Summary, Error> {
        let session = Session::new(&self.context, source);
        let progress = self.context.on_progress.as_ref();
        session
            .bounded(sheets::make(&session, sheets, destination, None, progress))
            .await
    }

    /// Compresses `source` into `target`. The result presents the frames of the source, each at its time.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn compress(
        &self,
        source: impl Source + 'static,
        job: &CompressJob,
        target: &VideoTarget,
    ) -> Result<Compressed, Error> {
        let session = Session::new(&self.context, source).with_space_for([target]);
        session.bounded(compress::compress(&session, job, target)).await
    }
}
