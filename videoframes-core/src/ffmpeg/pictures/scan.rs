//! Decode of a whole video to find its frames.

use super::args;
use super::head::Head;
use crate::extract::{ExtractError, Scan};
use crate::ffmpeg::process::damage::Part;
use crate::ffmpeg::process::decode::{Decode, DecodeCommand, Event, Frame};
use crate::ffmpeg::process::invocation::Invocation;
use crate::ffmpeg::process::probe;
use crate::limits::TIMELINE_FRAMES;
use crate::video::{TimelineBuilder, VideoInfo};

/// Decodes the whole video and returns its frames.
pub(crate) fn scan(invocation: Invocation<'_>, video: &VideoInfo) -> Result<Scan, ExtractError> {
    let Invocation {
        input,
        limits,
        cancel,
        ..
    } = invocation;
    let command = DecodeCommand::new(args::scan(invocation.opened(video)));
    let mut decode = Decode::start(&invocation.decoder(video), command, limits.stall, cancel)?;
    let mut found = Found::new(video.first_keyframe);
    decode.begin(Part::Head);
    let outcome = loop {
        match decode.next() {
            Ok(Some(Event::Decoded(frame))) => {
                if found.push(frame) {
                    decode.begin(Part::Requested);
                }
                if found.frames.len() > TIMELINE_FRAMES {
                    let text = format!("the video has more than {TIMELINE_FRAMES} frames");
                    return Err(ExtractError::LimitExceeded(text));
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(error) => break Err(invocation.explain(error)),
        }
    };
    let head = Head { invocation, video };
    let begins_late = begins_late(&found, &decode, &head)?;
    if !begins_late {
        decode.count_head();
    }
    let damage = decode.damage(Some(input));
    let interlaced = found.interlaced;
    let frames = found.frames(begins_late);
    if let Err(error) = outcome {
        // Even if ffmpeg gives up on damaged input, it has reported the frames that decode.
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
        first_keyframe: begins_late.then(|| timeline.pts()[0]),
        timeline,
        interlaced,
        damage,
    })
}

/// Returns the `reported` damage if a scan finds damage too. A log that may contain the metadata of its source
/// proves nothing; the log of a scan contains none.
pub(crate) fn confirmed(
    reported: Option<String>,
    invocation: Invocation<'_>,
    video: &VideoInfo,
) -> Result<Option<String>, ExtractError> {
    match reported {
        Some(_) => Ok(scan(invocation, video)?.damage),
        None => Ok(None),
    }
}

/// Returns whether the stream begins with frames that refer to earlier ones.
fn begins_late(found: &Found, decode: &Decode<'_>, head: &Head<'_>) -> Result<bool, ExtractError> {
    if !found.started {
        return Ok(false);
    }
    if found.first_keyframe.is_some() {
        return Ok(true);
    }
    if found.before.is_empty() && !decode.has_damaged_head() {
        return Ok(false);
    }
    Ok(!probe::begins_with_keyframe(head.invocation, head.video)? && head.is_clean()?)
}

/// Frames of a scan; frames before the first keyframe are kept separately.
struct Found {
    /// Timestamp of the first keyframe, if known.
    first_keyframe: Option<i64>,
    started: bool,
    before: TimelineBuilder,
    frames: TimelineBuilder,
    interlaced: bool,
}

impl Found {
    fn new(first_keyframe: Option<i64>) -> Self {
        Self {
            first_keyframe,
            started: false,
            before: TimelineBuilder::default(),
            frames: TimelineBuilder::default(),
            interlaced: false,
        }
    }

    /// Adds the next frame. Returns whether it is the first keyframe.
    fn push(&mut self, frame: Frame) -> bool {
        let Some(pts) = frame.pts else {
            return false;
        };
        let starts = !self.started && self.first_keyframe.map_or(frame.key, |start| pts >= start);
        if starts {
            self.started = true;
            self.before = std::mem::take(&mut self.frames);
        }
        self.frames.push(pts, frame.duration);
        if frame.key && self.frames.last() == Some(pts) {
            self.frames.mark_keyframe();
        }
        self.interlaced |= frame.interlaced;
        starts
    }

    /// Returns all frames, or only the frames from the first keyframe on.
    fn frames(self, begins_late: bool) -> TimelineBuilder {
        if begins_late || self.before.is_empty() {
            return self.frames;
        }
        let mut all = self.before;
        all.append(self.frames);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::TimeBase;

    #[test]
    fn drops_or_keeps_frames_before_the_first_keyframe() {
        let frames = |begins_late| {
            let mut found = Found::new(None);
            for (pts, key) in [(1, false), (2, false), (4, true), (3, false), (5, false)] {
                found.push(Frame {
                    pts: Some(pts),
                    duration: Some(1),
                    interlaced: false,
                    key,
                });
            }
            let timeline = found
                .frames(begins_late)
                .finish(TimeBase::new(1, 30).unwrap(), None);
            timeline.unwrap().pts().to_vec()
        };
        assert_eq!(frames(true), [4, 5]);
        assert_eq!(frames(false), [1, 2, 4, 5]);
    }
}
