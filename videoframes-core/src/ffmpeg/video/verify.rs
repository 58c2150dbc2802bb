//! Verification of the output, which must contain exactly the frames of its source.

use super::encode::{Frames, Run};
use super::ending;
use crate::compress::{CompressError, CompressReport, Container};
use crate::extract::ExtractError;
use crate::ffmpeg::process::invocation::Invocation;
use crate::ffmpeg::process::probe;
use crate::units::Rational;
use crate::video::{PacketList, Timeline};

/// Verifies the output of a run that encoded `frames`, and returns the report.
pub(crate) fn checked(run: &Run<'_>, frames: Frames) -> Result<CompressReport, CompressError> {
    let nothing = || {
        let text = "no frame can be decoded".to_owned();
        CompressError::from(ExtractError::Damaged(frames.damage.clone().unwrap_or(text)))
    };
    let timeline = frames.timeline(run.settings).ok_or_else(nothing)?;
    run.check_output_size()?;
    let verified = verify(run, timeline).map_err(|error| attributed(error, frames.damage.as_deref()));
    let (timeline, size) = verified?;
    Ok(CompressReport {
        encoder: frames.encoder,
        timeline,
        size,
        warnings: run.settings.warnings.clone(),
        damage: frames.damage,
    })
}

/// Returns the damage of the source instead of a difference of its output. The frames of a damaged source are not
/// reliable, so the damage is the reason that the caller can act on.
fn attributed(error: CompressError, damage: Option<&str>) -> CompressError {
    match (error, damage) {
        (CompressError::Differs(_), Some(damage)) => ExtractError::Damaged(damage.to_owned()).into(),
        (error, _) => error,
    }
}

/// Compares the frames of the output with the encoded frames. Returns the timeline that the output presents, and
/// the size of its frames after rotation.
fn verify(run: &Run<'_>, expected: Timeline) -> Result<(Timeline, (u32, u32)), CompressError> {
    let output = Invocation {
        input: &run.request.output,
        ..run.invocation
    };
    let PacketList {
        described, timeline, ..
    } = probe::packets(output, None)?.list;
    let video = described.video;
    let written =
        timeline.ok_or_else(|| CompressError::Differs("its frames lack distinct timestamps".to_owned()))?;
    let tolerance = match run.settings.container {
        Container::Mp4 => Rational::from_integer(0),
        Container::WebM => Rational::new(1, 1000),
    };
    compare(&expected, &written, tolerance).map_err(CompressError::Differs)?;
    let presented = ending::check(run, expected, &written)?;
    let size = match video.orientation.swaps_sides() {
        true => (video.height, video.width),
        false => (video.width, video.height),
    };
    Ok((presented, size))
}

/// Returns why `written` does not present the frames of `expected`, relative to the first frame.
fn compare(expected: &Timeline, written: &Timeline, tolerance: Rational) -> Result<(), String> {
    let (wanted, found) = (expected.pts().len(), written.pts().len());
    if wanted != found {
        return Err(format!("it has {found} frames, but {wanted} were encoded"));
    }
    let late = |index: &usize| {
        let difference = expected.time(*index) - written.time(*index);
        difference > tolerance || -difference > tolerance
    };
    match (0..wanted).find(late) {
        None => Ok(()),
        Some(index) => Err(format!(
            "frame {index} is presented at {} s instead of {} s",
            crate::units::approximate_seconds(written.time(index)),
            crate::units::approximate_seconds(expected.time(index)),
        )),
    }
}

/// Fails if a container cannot hold a copy of a stream, or if players do not support the codec in this container.
pub(super) fn holds_stream(container: Container, codec: &str) -> Result<(), CompressError> {
    let held: &[&str] = match container {
        Container::Mp4 => &[
            "h264",
            "hevc",
            "av1",
            "vp9",
            "mpeg4",
            "mpeg2video",
            "mpeg1video",
            "mjpeg",
        ],
        Container::WebM => &["vp8", "vp9", "av1"],
    };
    match held.contains(&codec) {
        true => Ok(()),
        false => Err(CompressError::NotHeld(format!(
            "{} does not support {codec}",
            container.extension()
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::units::TimeBase;

    fn timeline(unit: u32, pts: &[i64]) -> Timeline {
        Timeline::new(TimeBase::new(1, unit).unwrap(), pts.to_vec(), None).unwrap()
    }

    #[test]
    fn a_difference_is_attributed_to_a_damaged_source() {
        let differs = || CompressError::Differs("it has 2 frames, but 1 were encoded".to_owned());
        let damaged = attributed(differs(), Some("a packet is lost"));
        assert_eq!(damaged.kind(), ErrorKind::Damaged, "{damaged}");
        assert_eq!(attributed(differs(), None).kind(), differs().kind());
        let other = CompressError::NotHeld("av1".to_owned());
        assert_eq!(
            attributed(other, Some("a packet is lost")).kind(),
            CompressError::NotHeld(String::new()).kind()
        );
    }

    #[test]
    fn rejects_outputs_with_other_frames_or_timestamps() {
        let source = timeline(30, &[3, 4, 5, 9]);
        let exact = Rational::from_integer(0);
        assert_eq!(compare(&source, &timeline(600, &[0, 20, 40, 120]), exact), Ok(()));
        for other in [&[0, 20, 40][..], &[0, 20, 40, 121], &[0, 20, 40, 60, 120]] {
            assert!(
                compare(&source, &timeline(600, other), exact).is_err(),
                "{other:?}"
            );
        }
        let rounded = timeline(1000, &[0, 33, 67, 200]);
        assert!(compare(&source, &rounded, exact).is_err());
        assert_eq!(compare(&source, &rounded, Rational::new(1, 1000)), Ok(()));
    }
}
