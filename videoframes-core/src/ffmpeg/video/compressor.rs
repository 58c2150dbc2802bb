//! [`Compressor`] implemented by the installed ffmpeg.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::args::Rate;
use super::encode::{Frames, MAX_REPLACED, Run, Stopped};
use super::media::{self, Media};
use super::settings::Settings;
use super::{fit_size, verify};
use crate::compress::{
    CombinedReport, CombinedRequest, CompressError, CompressProgress, CompressReport, CompressRequest,
    Compressor,
};
use crate::extract::{Decoded, ExtractError, Picture};
use crate::ffmpeg::FfmpegExtractor;
use crate::ffmpeg::combined;
use crate::ffmpeg::pictures::deliver::PictureSender;
use crate::ffmpeg::process::blocking::blocking;
use crate::ffmpeg::process::interruption::Interruption;
use crate::ffmpeg::process::invocation::Invocation;
use crate::ffmpeg::process::program::Programs;
use crate::video::Timeline;

/// Runs `ffmpeg` and `ffprobe` like a [`FfmpegExtractor`].
#[derive(Debug, Clone)]
pub struct FfmpegCompressor {
    programs: Arc<Programs>,
}

impl FfmpegCompressor {
    /// Creates a compressor that runs the programs of `extractor`, and registers its child processes in the
    /// same folder.
    pub fn new(extractor: &FfmpegExtractor) -> Self {
        Self {
            programs: Arc::clone(&extractor.programs),
        }
    }

    /// Calls `work` for one request on a thread for blocking work.
    async fn run<T: Send + 'static, E: From<ExtractError> + From<CompressError> + Send + 'static>(
        &self,
        input: &Path,
        request: &CompressRequest,
        cancel: &CancellationToken,
        work: impl FnOnce(&Run<'_>, &Media) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let quiet = watch::Sender::default();
        self.run_with_progress(input, (request, &quiet), cancel, work)
            .await
    }

    async fn run_with_progress<
        T: Send + 'static,
        E: From<ExtractError> + From<CompressError> + Send + 'static,
    >(
        &self,
        input: &Path,
        (request, progress): (&CompressRequest, &watch::Sender<CompressProgress>),
        cancel: &CancellationToken,
        work: impl FnOnce(&Run<'_>, &Media) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (programs, input) = (Arc::clone(&self.programs), input.to_owned());
        let (request, progress) = (request.clone(), progress.clone());
        blocking(cancel, move |cancel| {
            let invocation = Invocation {
                programs: &programs,
                input: &input,
                limits: &request.limits,
                cancel,
            };
            let (settings, media) = resolve(invocation, &request)?;
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

/// Resolves a request to the settings for this ffmpeg and this source.
///
/// # Errors
/// Fails with [`ExtractError::Unsupported`] if ffmpeg lacks an encoder.
pub(crate) fn resolve(
    invocation: Invocation<'_>,
    request: &CompressRequest,
) -> Result<(Settings, Media), CompressError> {
    let codec = request.options.codec;
    let hdr = codec.keeps_hdr();
    let programs = invocation.programs;
    let media = media::describe(invocation, &request.video, hdr)?;
    let tonemaps = !request.video.colour.is_hdr()
        || hdr
        || programs.missing("-filters", &["zscale", "tonemap"])?.is_empty();
    let settings = Settings::resolve(request, &media, programs.version()?.number.0, tonemaps)?;
    let mut encoders = vec![codec.encoder()];
    encoders.extend(settings.audio_encoder());
    if let Some(missing) = programs.missing("-encoders", &encoders)?.first() {
        return Err(ExtractError::Unsupported(format!(
            "the encoder {missing} is missing, which {codec} needs"
        ))
        .into());
    }
    Ok((settings, media))
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
        let outcome = self.run_with_progress(input, (request, progress), cancel, encode);
        Interruption::split(outcome.await)
    }

    async fn extract_and_compress(
        &self,
        input: &Path,
        request: CombinedRequest,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<CombinedReport>, CompressError> {
        let (programs, input) = (Arc::clone(&self.programs), input.to_owned());
        blocking(cancel, move |cancel| {
            let invocation = Invocation {
                programs: &programs,
                input: &input,
                limits: &request.pictures.limits,
                cancel,
            };
            let pictures = PictureSender {
                sender: &pictures,
                cancel,
            };
            Interruption::split(combined::extract_and_compress(invocation, &request, pictures))
        })
        .await
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
            .run(input, request, cancel, |run, _| remux(run, frames))
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
        self.run(input, request, cancel, |run, _| run.similarity()).await
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
        return Ok(run.checked(frames)?);
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
    Ok(run.checked(encode(&run)?)?)
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
    Ok(run.checked(frames)?)
}
