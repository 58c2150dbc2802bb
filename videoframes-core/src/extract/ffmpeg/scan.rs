//! A decode of the whole video, to learn which frames there really are.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::args;
use crate::extract::{ExtractError, Scan};
use crate::ffmpeg::args::Opened;
use crate::ffmpeg::child::Stdin;
use crate::ffmpeg::decode::{Decode, Event};
use crate::ffmpeg::memory::Workload;
use crate::ffmpeg::program::Programs;
use crate::limits::{Limits, TIMELINE_FRAMES};
use crate::video::{TimelineBuilder, VideoInfo};

pub(super) fn scan(
    programs: &Programs,
    input: &Path,
    video: &VideoInfo,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<Scan, ExtractError> {
    let memory = Workload::opening(input).decoding(video).memory(limits);
    let mut decode = Decode::start(
        &programs.ffmpeg.with_memory(memory),
        args::scan(Opened::new(input, video, limits)),
        Stdin::Empty,
        None,
        limits.stall,
        cancel,
    )?;
    let mut frames = TimelineBuilder::default();
    let mut interlaced_frames = false;
    let outcome = loop {
        match decode.next() {
            Ok(Some(Event::Decoded {
                pts: Some(pts),
                duration,
                interlaced,
            })) => {
                frames.push(pts, duration);
                interlaced_frames |= interlaced;
                if frames.len() > TIMELINE_FRAMES {
                    let text = format!("the video has more than {TIMELINE_FRAMES} frames");
                    return Err(ExtractError::LimitExceeded(text));
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(error) => break Err(programs.explain(error)),
        }
    };
    let damage = decode.damage.take();
    if let Err(error) = outcome {
        // An ffmpeg that gives up on damaged input has still said which frames there are.
        if !(matches!(error, ExtractError::DecoderFailed(_)) && damage.is_some() && !frames.is_empty()) {
            return Err(match (error, damage) {
                (ExtractError::DecoderFailed(_), Some(damage)) => ExtractError::Damaged(damage),
                (error, _) => error,
            });
        }
    }
    let timeline = frames.finish(video.time_base, None).ok_or_else(|| {
        ExtractError::Damaged(
            damage
                .clone()
                .unwrap_or_else(|| "no frame can be decoded".to_owned()),
        )
    })?;
    Ok(Scan {
        timeline,
        interlaced: interlaced_frames,
        damage,
    })
}
