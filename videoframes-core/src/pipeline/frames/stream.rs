//! The stream of decoded frames.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll};

use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};

use super::target::{FramesTarget, Opened};
use super::{Frame, FramesRequest};
use crate::extract::PixelFormat;
use crate::pipeline::context::Context;
use crate::pipeline::error::Error;
use crate::pipeline::extract::Extraction;
use crate::pipeline::request::Request;
use crate::pipeline::session::Session;
use crate::pipeline::summary::Work;
use crate::select::notes;
use crate::source::Source;
use crate::video::VideoInfo;

/// Frames that wait for the receiver, in addition to those of the decoder.
const WAITING: usize = 1;

/// How a [`FrameStream`] ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FramesSummary {
    /// Number of frames.
    pub frames: u64,
    /// Unexpected effects of the selection, and parts of the request that were left out, in words for a person.
    pub warnings: Vec<String>,
    /// The damage of the source, with [`OnDamage::Partial`](crate::pipeline::OnDamage::Partial).
    pub damage: Option<String>,
    /// How the frames were obtained.
    pub work: Work,
}

/// Decoded frames in order of time, created by [`Pipeline::frames`](crate::Pipeline::frames).
///
/// # Guarantees
/// Every frame is the frame that the timeline names, verified before its delivery, with the pixels of an extraction
/// to PNG. A decode may find that the container is wrong, or that a plan fails. Another decode follows then, which
/// repeats the delivered frames, compares their numbers, times and pixels, and skips them. If any of them differ,
/// the stream ends with [`Error::Inconsistent`]. [`Pipeline::extract`](crate::Pipeline::extract) has no such error,
/// since its result appears when complete.
///
/// With [`OnDamage::Fail`](crate::pipeline::OnDamage::Fail), the stream ends with an error before the first frame
/// that may be damaged.
///
/// # Resources
/// Decoding goes on only while frames are received: a few frames wait for the receiver, and ffmpeg waits for these.
/// Dropping the stream ends the decoder soon, and removes temporary files. The time limit of the pipeline includes the
/// time between two frames. The stream must be polled in a tokio runtime with time enabled.
pub struct FrameStream {
    opened: Opened,
    pixels: PixelFormat,
    size: (u32, u32),
    frames: mpsc::Receiver<Frame>,
    /// The extraction, until it ends.
    work: Option<Extracting>,
    /// The error that follows the last frame.
    failure: Option<Error>,
    summary: Option<FramesSummary>,
}

type Extracting = Pin<Box<dyn Future<Output = Result<FramesSummary, Error>> + Send>>;

impl fmt::Debug for FrameStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameStream")
            .field("total", &self.total())
            .field("size", &self.size)
            .field("pixels", &self.pixels)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

impl FrameStream {
    /// Opens the source and selects the frames.
    pub(in crate::pipeline) async fn open(
        context: Context,
        source: impl Source + 'static,
        request: &FramesRequest,
    ) -> Result<Self, Error> {
        let (sender, frames) = mpsc::channel(WAITING);
        let (opening, mut opened) = oneshot::channel();
        let request = request.request().clone();
        let picture = request.picture;
        let mut work: Extracting = Box::pin(async move {
            let session = Session::new(&context, source);
            let target = FramesTarget::new(&session, request.picture.pixels, sender, opening);
            session.bounded(extract(&session, &request, &target)).await
        });
        // The extraction opens the stream before it ends, or fails.
        let (opened, work, failure, summary) = tokio::select! {
            biased;
            outcome = &mut work => match (outcome, opened.try_recv()) {
                (Err(error), Err(_)) => return Err(error),
                (Err(error), Ok(opened)) => (opened, None, Some(error), None),
                (Ok(summary), Ok(opened)) => (opened, None, None, Some(summary)),
                (Ok(_), Err(_)) => return Err(crate::extract::ExtractError::Cancelled.into()),
            },
            Ok(opened) = &mut opened => (opened, Some(work), None, None),
        };
        let (width, height) = opened.video.display_size(picture.rotate);
        Ok(Self {
            size: picture.fit(width, height),
            pixels: picture.pixels,
            opened,
            frames,
            work,
            failure,
            summary,
        })
    }

    /// Returns the next frame, or `None` after the last frame or an error. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Frame, Error>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Returns the number of selected frames. The number changes if a decode finds that the container is wrong,
    /// mostly before the first frame.
    pub fn total(&self) -> usize {
        self.opened.total.load(Ordering::Relaxed)
    }

    /// Returns the number of selected frames, which changes together with that of the stream.
    pub(super) fn shared_total(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.opened.total)
    }

    /// Returns width and height of the frames.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Returns the pixel format of the frames.
    pub fn pixels(&self) -> PixelFormat {
        self.pixels
    }

    /// Returns the description of the video, with the tags of its colours.
    pub fn video(&self) -> &VideoInfo {
        &self.opened.video
    }

    /// Returns how the stream ended: `None` before the end and after an error.
    pub fn summary(&self) -> Option<&FramesSummary> {
        self.summary.as_ref()
    }
}

impl Stream for FrameStream {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Poll::Ready(Some(frame)) = self.frames.poll_recv(cx) {
                return Poll::Ready(Some(Ok(frame)));
            }
            let Some(work) = &mut self.work else {
                return Poll::Ready(self.failure.take().map(Err));
            };
            match work.as_mut().poll(cx) {
                Poll::Ready(outcome) => {
                    self.work = None;
                    match outcome {
                        Ok(summary) => self.summary = Some(summary),
                        Err(error) => self.failure = Some(error),
                    }
                }
                Poll::Pending => {
                    // The extraction may have sent a frame, and then waits for the next.
                    return match self.frames.poll_recv(cx) {
                        Poll::Ready(Some(frame)) => Poll::Ready(Some(Ok(frame))),
                        _ => Poll::Pending,
                    };
                }
            }
        }
    }
}

/// Performs the extraction.
async fn extract(
    session: &Session<'_>,
    request: &Request,
    target: &FramesTarget<'_>,
) -> Result<FramesSummary, Error> {
    let mut extraction = Extraction::open(session, request, &[], target).await?;
    let completed = extraction.run().await?;
    let (writer, mut report) = (completed.writer, completed.report);
    let selected = writer.selected();
    let notes = notes(
        &selected.timeline,
        &request.selection,
        &request.range,
        &selected.picks,
    );
    Ok(FramesSummary {
        frames: writer.delivered(),
        warnings: notes.into_iter().chain(report.warnings.drain(..)).collect(),
        damage: report.damage,
        work: completed.work,
    })
}
