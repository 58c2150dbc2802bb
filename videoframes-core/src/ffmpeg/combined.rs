//! Pictures and compressed videos from one decode.

use tokio::sync::watch;

use super::pictures::deliver::PictureSender;
use super::pictures::whole::{self, AdditionalOutputs};
use super::process::interruption::Interruption;
use super::process::invocation::Invocation;
use super::video::args::{self, Rate};
use super::video::compressor::resolve;
use super::video::encode::{Frames, Run, Stopped, output_or_decoder};
use super::video::settings::Settings;
use crate::compress::{CombinedReport, CombinedRequest, CompressError, CompressProgress, CompressRequest};
use crate::extract::{ExtractError, Surprise};

/// Sends pictures and writes compressed videos of the same decoded frames.
pub(super) fn extract_and_compress(
    invocation: Invocation<'_>,
    request: &CombinedRequest,
    pictures: PictureSender<'_>,
) -> Result<CombinedReport, Stopped> {
    let videos: Vec<(&CompressRequest, Settings)> = request
        .videos
        .iter()
        .map(|video| Ok((video, resolve(invocation, video)?.0)))
        .collect::<Result<_, CompressError>>()?;
    let autorotate = videos.iter().any(|(_, settings)| settings.autorotate);
    if autorotate && !request.pictures.picture.rotate {
        let reason = "the pictures must not be rotated";
        return Err(Interruption::Surprise(Surprise::SeparateDecodes(reason)));
    }
    let progress = watch::Sender::new(CompressProgress::default());
    let runs: Vec<Run<'_>> = videos
        .iter()
        .map(|(request, settings)| Run {
            invocation,
            request,
            settings,
            progress: &progress,
        })
        .collect();
    let mut frames = Frames::default();
    // The error of a compression; the extraction itself ends with another type of error.
    let mut stopped = None;
    let mut index = 0;
    let mut decoded = |pts: i64, interlaced: bool| {
        frames.push(index, pts);
        index += 1;
        let verdict = match frames.replaced.is_empty() {
            true => runs
                .iter()
                .try_for_each(|run| run.check_frame(&frames, interlaced)),
            false => Err(Interruption::Surprise(Surprise::SeparateDecodes(
                "two frames have the same timestamp",
            ))),
        };
        verdict.map_err(|interruption| match interruption {
            Interruption::Surprise(surprise) => Interruption::Surprise(surprise),
            Interruption::Error(CompressError::Decoder(error)) => Interruption::Error(error),
            Interruption::Error(error) => {
                stopped = Some(error);
                Interruption::Error(ExtractError::Cancelled)
            }
        })
    };
    let additional = additional_outputs(&videos, &runs, &mut decoded);
    let extracted = whole::extract(invocation, &request.pictures, Some(additional), pictures);
    if let Some(error) = stopped {
        return Err(error.into());
    }
    let extracted = extracted.map_err(|interruption| match interruption {
        Interruption::Surprise(surprise) => Interruption::Surprise(surprise),
        Interruption::Error(error) => Interruption::Error(output_or_decoder(error, &request.videos)),
    })?;
    frames.damage = extracted.damage.clone();
    frames.encoder = extracted.decoder.clone();
    let reports = runs.iter().map(|run| run.checked(frames.clone()));
    Ok(CombinedReport {
        pictures: extracted,
        videos: reports.collect::<Result<_, _>>()?,
    })
}

/// Returns the additional outputs of the command.
fn additional_outputs<'a>(
    videos: &[(&CompressRequest, Settings)],
    runs: &[Run<'_>],
    decoded: &'a mut dyn FnMut(i64, bool) -> Result<(), Interruption<ExtractError>>,
) -> AdditionalOutputs<'a> {
    let mut before_input = Vec::new();
    let mut outputs = Vec::new();
    for (index, (request, settings)) in videos.iter().enumerate() {
        before_input.extend(args::before_input(settings));
        let settings = settings.clone().silent().one_of(videos.len());
        let rate = Rate::Constant(request.options.quality);
        outputs.extend(args::encoded(
            &settings,
            &format!("video{index}"),
            rate,
            &request.workspace,
            &request.output,
        ));
    }
    AdditionalOutputs {
        autorotate: videos.iter().any(|(_, settings)| settings.autorotate),
        before_input,
        files: videos.iter().map(|(request, _)| request.output.clone()).collect(),
        sizes: videos.iter().map(|(_, settings)| settings.size).collect(),
        file_bytes: runs.iter().map(Run::file_bytes).max().unwrap_or_default(),
        outputs,
        keeps_metadata: videos.iter().any(|(request, _)| request.options.keep_metadata),
        decoded,
    }
}
