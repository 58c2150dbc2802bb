//! [`Compressor`] on the ffmpeg that is installed on the machine, version 5.1 to 9.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::args::{self, Rate};
use super::encode::{self, Frames, Run, UNSEEN};
use super::media::{self, Media};
use super::settings::Settings;
use super::{fit_size, verify};
use crate::compress::{CompressError, CompressProgress, CompressReport, CompressRequest, Compressor};
use crate::extract::{ExtractError, ExtractReport, ExtractRequest, Picture};
use crate::ffmpeg::FfmpegExtractor;
use crate::ffmpeg::pictures::whole::{self, Alongside};
use crate::ffmpeg::process::blocking::blocking;
use crate::ffmpeg::process::program::Programs;
use crate::limits::Limits;
use crate::video::Timeline;

/// Runs the `ffmpeg` and `ffprobe` of a [`FfmpegExtractor`], with what that says of child processes.
#[derive(Debug, Clone)]
pub struct FfmpegCompressor {
    programs: Arc<Programs>,
}

impl FfmpegCompressor {
    /// With the programs of `extractor`, whose children are registered where its own are.
    pub fn new(extractor: &FfmpegExtractor) -> Self {
        Self {
            programs: Arc::clone(&extractor.programs),
        }
    }

    /// Does `work` for one request, on a thread that may block.
    async fn alone<T: Send + 'static>(
        &self,
        input: &Path,
        request: &CompressRequest,
        limits: &Limits,
        progress: &watch::Sender<CompressProgress>,
        cancel: &CancellationToken,
        work: impl FnOnce(&Run<'_>, &Media) -> Result<T, CompressError> + Send + 'static,
    ) -> Result<T, CompressError> {
        let (programs, input, request) = (Arc::clone(&self.programs), input.to_owned(), request.clone());
        let (limits, progress) = (*limits, progress.clone());
        blocking(cancel, move |cancel| {
            let (settings, media) = settings(&programs, &input, &request, &limits, cancel)?;
            let run = Run {
                programs: &programs,
                input: &input,
                request: &request,
                settings: &settings,
                limits: &limits,
                progress: &progress,
                cancel,
            };
            work(&run, &media)
        })
        .await
    }
}

/// What a request is to this ffmpeg and this source.
///
/// # Errors
/// [`ExtractError::Unsupported`] where it lacks an encoder.
fn settings(
    programs: &Programs,
    input: &Path,
    request: &CompressRequest,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<(Settings, Media), CompressError> {
    let codec = request.options.codec;
    let hdr = codec.keeps_hdr();
    let media = media::describe(&programs.ffprobe, input, &request.video, hdr, limits, cancel)?;
    let tonemaps = !request.video.colour.is_hdr()
        || hdr
        || programs.missing("-filters", &["zscale", "tonemap"])?.is_empty();
    let settings = Settings::resolve(request, &media, programs.version()?.number.0, tonemaps)?;
    let mut encoders = vec![codec.encoder()];
    encoders.extend(settings.encodes_sound());
    if let Some(missing) = programs.missing("-encoders", &encoders)?.first() {
        return Err(
            ExtractError::Unsupported(format!("it has no encoder {missing}, which {codec} needs")).into(),
        );
    }
    Ok((settings, media))
}

#[async_trait]
impl Compressor for FfmpegCompressor {
    async fn compress(
        &self,
        input: &Path,
        request: &CompressRequest,
        limits: &Limits,
        progress: &watch::Sender<CompressProgress>,
        cancel: &CancellationToken,
    ) -> Result<CompressReport, CompressError> {
        self.alone(input, request, limits, progress, cancel, |run, media| {
            let encode = |run: &Run<'_>| match run.request.options.max_bytes {
                Some(most) => fit_size::meet(run, most.get(), media.duration_s),
                None => run.encode(Rate::Constant(run.request.options.quality)),
            };
            let frames = encode(run)?;
            if frames.unseen.is_empty() {
                return run.checked(frames);
            }
            // A filter cannot know that another frame of the same time will follow.
            tracing::info!("frames share a time; encoding again without those that are never seen");
            let mut settings = run.settings.clone().without(&frames.unseen);
            if frames.unseen.len() > UNSEEN {
                settings.warnings.push(format!(
                    "more than {UNSEEN} frames share a time: of the others the first of a time is taken"
                ));
            }
            run.forget_notes()?;
            run.expect_passes(1);
            let run = Run {
                settings: &settings,
                ..*run
            };
            run.checked(encode(&run)?)
        })
        .await
    }

    async fn extract_and_compress(
        &self,
        input: &Path,
        extract: ExtractRequest,
        pictures: mpsc::Sender<Picture>,
        requests: &[CompressRequest],
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<(ExtractReport, Vec<CompressReport>), CompressError> {
        let (programs, input) = (Arc::clone(&self.programs), input.to_owned());
        let (requests, limits) = (requests.to_vec(), *limits);
        blocking(cancel, move |cancel| {
            let all: Vec<(&CompressRequest, Settings)> = requests
                .iter()
                .map(|request| {
                    let (settings, _) = settings(&programs, &input, request, &limits, cancel)?;
                    Ok((request, settings))
                })
                .collect::<Result<_, CompressError>>()?;
            let autorotate = all.iter().any(|(_, settings)| settings.autorotate);
            if autorotate && !extract.picture.rotate {
                return Err(CompressError::Apart("the pictures are not to be turned"));
            }
            let mut before_input = Vec::new();
            let mut outputs = Vec::new();
            for (place, (request, settings)) in all.iter().enumerate() {
                let label = format!("video{place}");
                before_input.extend(args::before_input(settings));
                let settings = settings.clone().silent().one_of(all.len());
                let rate = Rate::Constant(request.options.quality);
                let notes = &request.workspace;
                outputs.extend(args::encoded(&settings, &label, rate, notes, &request.output));
            }
            let progress = watch::Sender::new(CompressProgress::default());
            let runs: Vec<Run<'_>> = all
                .iter()
                .map(|(request, settings)| Run {
                    programs: &programs,
                    input: &input,
                    request,
                    settings,
                    limits: &limits,
                    progress: &progress,
                    cancel,
                })
                .collect();
            let mut frames = Frames::default();
            let mut failure = None;
            let mut place = 0;
            let mut decoded = |pts: i64, interlaced: bool| {
                frames.push(place, pts);
                place += 1;
                if !frames.unseen.is_empty() {
                    failure = Some(CompressError::Apart("frames share a time"));
                    return Err(ExtractError::Cancelled);
                }
                let verdict = runs.iter().try_for_each(|run| run.look(&frames, interlaced));
                verdict.map_err(|error| match error {
                    CompressError::Decoder(error) => error,
                    error => {
                        failure = Some(error);
                        ExtractError::Cancelled
                    }
                })
            };
            let alongside = Alongside {
                autorotate,
                before_input,
                files: requests.iter().map(|request| request.output.clone()).collect(),
                sizes: all.iter().map(|(_, settings)| settings.size).collect(),
                file_bytes: runs.iter().map(Run::file_bytes).max().unwrap_or_default(),
                outputs,
                keeps_metadata: requests.iter().any(|request| request.options.keep_metadata),
                decoded: &mut decoded,
            };
            let extracted = whole::extract(
                &programs,
                &input,
                &extract,
                Some(alongside),
                &limits,
                &pictures,
                cancel,
            );
            if let Some(failure) = failure {
                return Err(failure);
            }
            let extracted = extracted.map_err(|error| encode::output_or_decoder(error, &requests))?;
            frames.damage = extracted.damage.clone();
            frames.encoder = extracted.decoder.clone();
            let reports = runs.iter().map(|run| run.checked(frames.clone()));
            Ok((extracted, reports.collect::<Result<_, _>>()?))
        })
        .await
    }

    async fn remux(
        &self,
        input: &Path,
        request: &CompressRequest,
        timeline: &Timeline,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<CompressReport, CompressError> {
        let (timeline, progress) = (timeline.clone(), watch::Sender::default());
        self.alone(input, request, limits, &progress, cancel, move |run, _| {
            verify::holds_stream(run.settings.container, &run.request.video.codec)?;
            let mut settings = run.settings.clone();
            settings.keep_sound();
            let run = Run {
                settings: &settings,
                ..*run
            };
            let mut frames = Frames::of(&timeline);
            frames.encoder = run.remux()?;
            run.checked(frames)
        })
        .await
    }

    async fn similarity(
        &self,
        input: &Path,
        request: &CompressRequest,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<f64, CompressError> {
        let progress = watch::Sender::default();
        self.alone(input, request, limits, &progress, cancel, |run, _| {
            run.similarity()
        })
        .await
    }
}
