//! Pictures and compressed videos from one decode.

use tokio::sync::watch;

use super::pictures::capable::Capable;
use super::pictures::deliver::PictureSender;
use super::pictures::whole::{self, VideoOutputs};
use super::process::interruption::Interruption;
use super::process::invocation::Invocation;
use super::video::args::{self, EncodedOutput, Rate};
use super::video::encode::{Frames, Run, Stopped, output_or_decoder};
use super::video::settings::Settings;
use super::video::verify;
use crate::compress::{CombinedReport, CompressError, CompressProgress, CompressRequest};
use crate::extract::{ExtractError, Surprise};
use crate::units::Rational;

/// Pictures and compressed videos of one decode, resolved for the installed ffmpeg.
pub(super) struct Combined {
    pub(super) pictures: Capable,
    pub(super) videos: Vec<(CompressRequest, Settings)>,
}

/// Sends pictures and writes compressed videos of the same decoded frames.
pub(super) fn extract_and_compress(
    invocation: Invocation<'_>,
    combined: &Combined,
    pictures: PictureSender<'_>,
) -> Result<CombinedReport, Stopped> {
    let videos = &combined.videos;
    let autorotate = videos.iter().any(|(_, settings)| settings.autorotate);
    if autorotate && !combined.pictures.request.picture.rotate {
        let reason = "the pictures must not be rotated";
        return Err(Interruption::Surprise(Surprise::SeparateDecodes(reason)));
    }
    let video = &combined.pictures.request.video;
    if autorotate && video.orientation.swaps_sides() && video.sample_aspect != Rational::from_integer(1) {
        let reason = "the samples of the rotated video are not square";
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
    let additional = additional_outputs(videos, &runs, &mut decoded);
    let extracted = whole::extract(invocation, &combined.pictures, Some(additional), pictures);
    if let Some(error) = stopped {
        return Err(error.into());
    }
    let extracted = extracted.map_err(|interruption| match interruption {
        Interruption::Surprise(surprise) => Interruption::Surprise(surprise),
        Interruption::Error(error) => Interruption::Error(output_or_decoder(
            error,
            videos.iter().map(|(request, _)| request),
        )),
    })?;
    frames.damage = extracted.damage.clone();
    frames.encoder = extracted.decoder.clone();
    let reports = runs.iter().map(|run| verify::checked(run, frames.clone()));
    Ok(CombinedReport {
        pictures: extracted,
        videos: reports.collect::<Result<_, _>>()?,
    })
}

/// Returns the additional outputs of the command.
fn additional_outputs<'a>(
    videos: &[(CompressRequest, Settings)],
    runs: &[Run<'_>],
    decoded: &'a mut dyn FnMut(i64, bool) -> Result<(), Interruption<ExtractError>>,
) -> VideoOutputs<'a> {
    let mut before_input = Vec::new();
    let mut outputs = Vec::new();
    for (index, (request, settings)) in videos.iter().enumerate() {
        before_input.extend(args::before_input(settings));
        let settings = settings.clone().silent().one_of(videos.len());
        let output = EncodedOutput {
            settings: &settings,
            rate: Rate::Constant(request.options.quality),
            statistics: &request.workspace,
            file: &request.output,
        };
        outputs.extend(args::encoded(&output, &format!("video{index}")));
    }
    VideoOutputs {
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
