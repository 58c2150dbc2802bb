//! [`Compressor`] implemented by the installed ffmpeg.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::args::Rate;
use super::encode::{Frames, Run, Stopped};
use super::media::Media;
use super::resolve::resolve;
use super::settings::MAX_REPLACED;
use super::{fit_size, verify};
use crate::compress::{
    CombinedReport, CombinedRequest, CompressError, CompressProgress, CompressReport, CompressRequest,
    Compressor,
};
use crate::extract::{Decoded, ExtractError, Picture};
use crate::ffmpeg::FfmpegExtractor;
use crate::ffmpeg::combined::{self, Combined};
use crate::ffmpeg::pictures::capable::capable_of;
use crate::ffmpeg::pictures::deliver::PictureSender;
use crate::ffmpeg::process::interruption::Interruption;
use crate::ffmpeg::process::invocation::{BlockingInvocation, Invocation};
use crate::ffmpeg::process::programs::Programs;
use crate::video::Timeline;

/// Runs `ffmpeg` and `ffprobe` like a [`FfmpegExtractor`].
#[derive(Debug, Clone)]
pub struct FfmpegCompressor {
    programs: Arc<Programs>,
}

impl FfmpegCompressor {
    /// Creates a compressor that runs the programs of `extractor`, and registers its child processes in the
    /// same folder.
    #[must_use]
    pub fn new(extractor: &FfmpegExtractor) -> Self {
        Self {
            programs: Arc::clone(&extractor.programs),
        }
    }

    /// Calls `work` on a thread for blocking work.
    async fn run<T: Send + 'static, E: From<ExtractError> + From<CompressError> + Send + 'static>(
        &self,
        call: Call<'_>,
        cancel: &CancellationToken,
        work: impl FnOnce(&Run<'_>, &Media) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let Call {
            input,
            request,
            progress,
        } = call;
        let (settings, media) = resolve(&self.programs, input, request, cancel).await?;
        let request = request.clone();
        BlockingInvocation::new(&self.programs, input, &request.limits)
            .run(cancel, move |invocation: Invocation<'_>| {
                let run = Run {
                    invocation,
                    request: &request,
                    settings: &settings,
                    progress: &progress,
                };
                work(&run, &media)
            })
            .await
    }
}

/// A call of the compressor.
struct Call<'a> {
    input: &'a Path,
    request: &'a CompressRequest,
    progress: watch::Sender<CompressProgress>,
}

impl<'a> Call<'a> {
    /// Creates a call whose progress nobody receives.
    fn quiet(input: &'a Path, request: &'a CompressRequest) -> Self {
        Self {
            input,
            request,
            progress: watch::Sender::default(),
        }
    }
}

#[async_trait]
impl Compressor for FfmpegCompressor {
    async fn compress(
        &self,
        input: &Path,
        request: &CompressRequest,
        progress: &watch::Sender<CompressProgress>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<CompressReport>, CompressError> {
        let call = Call {
            input,
            request,
            progress: progress.clone(),
        };
        Interruption::split(self.run(call, cancel, encode).await)
    }

    async fn extract_and_compress(
        &self,
        input: &Path,
        request: CombinedRequest,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<CombinedReport>, CompressError> {
        let CombinedRequest {
            pictures: request,
            videos: requests,
        } = request;
        let mut videos = Vec::with_capacity(requests.len());
        for video in requests {
            let (settings, _) = resolve(&self.programs, input, &video, cancel).await?;
            videos.push((video, settings));
        }
        let limits = request.limits;
        let combined = Combined {
            pictures: capable_of(&self.programs, request, cancel).await?,
            videos,
        };
        let outcome = BlockingInvocation::new(&self.programs, input, &limits)
            .run(cancel, move |invocation: Invocation<'_>| {
                let pictures = PictureSender {
                    sender: &pictures,
                    cancel: invocation.cancel,
                };
                combined::extract_and_compress(invocation, &combined, pictures)
            })
            .await;
        Interruption::split(outcome)
    }

    async fn remux(
        &self,
        input: &Path,
        request: &CompressRequest,
        timeline: &Timeline,
        cancel: &CancellationToken,
    ) -> Result<CompressReport, CompressError> {
        let frames = Frames::from_timeline(timeline);
        let remuxed = self
            .run(Call::quiet(input, request), cancel, |run, _| remux(run, frames))
            .await;
        match Interruption::split(remuxed)? {
            Decoded::Complete(report) => Ok(report),
            // Copying decodes nothing.
            Decoded::Surprise(surprise) => {
                let text = format!("copying the streams ended with a surprise: {surprise}");
                Err(ExtractError::DecoderFailed(text).into())
            }
        }
    }

    async fn similarity(
        &self,
        input: &Path,
        request: &CompressRequest,
        cancel: &CancellationToken,
    ) -> Result<f64, CompressError> {
        let call = Call::quiet(input, request);
        self.run(call, cancel, |run, _| run.similarity()).await
    }
}

/// Encodes the source to the requested quality or size.
fn encode(run: &Run<'_>, media: &Media) -> Result<CompressReport, Stopped> {
    let encode = |run: &Run<'_>| match run.request.options.max_bytes {
        Some(max) => fit_size::encode_to_size(run, max.get(), media.duration_s),
        None => run.encode(Rate::Constant(run.request.options.quality)),
    };
    let frames = encode(run)?;
    if frames.replaced.is_empty() {
        return Ok(verify::checked(run, frames)?);
    }
    // A filter cannot foresee another frame with the same timestamp.
    tracing::info!("encoding again without frames that share a timestamp with a later frame");
    let mut settings = run.settings.clone().without(&frames.replaced);
    if frames.replaced.len() > MAX_REPLACED {
        settings.warnings.push(format!(
            "more than {MAX_REPLACED} frames repeat a timestamp: beyond them the first frame of each timestamp is kept"
        ));
    }
    run.remove_statistics()?;
    run.expect_passes(1);
    let run = Run {
        settings: &settings,
        ..*run
    };
    Ok(verify::checked(&run, encode(&run)?)?)
}

/// Copies the streams of the source, whose decoded frames are `frames`.
fn remux(run: &Run<'_>, mut frames: Frames) -> Result<CompressReport, Stopped> {
    verify::holds_stream(run.settings.container, &run.request.video.codec)?;
    let mut settings = run.settings.clone();
    settings.copy_audio();
    let run = Run {
        settings: &settings,
        ..*run
    };
    frames.encoder = run.remux()?;
    Ok(verify::checked(&run, frames)?)
}
