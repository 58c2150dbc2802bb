//! End of the presentation, which depends on how long the last frame is displayed.
//!
//! Encoders set the duration of a packet to the duration of its decoded frame. In MP4 the latter is the time to
//! the next frame in decode order, which may be minutes where frames are reordered. Before version 7 it is the
//! nominal frame duration. Muxers derive the end of the video from either duration.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::encode::Run;
use crate::compress::{CompressError, Container};
use crate::ffmpeg::args;
use crate::ffmpeg::process::probe::Ffprobe;
use crate::units::{Rational, TimeBase, approximate_seconds};
use crate::video::{IndexReader, Timeline};

/// First major version that counts in the encoder's time base until a packet is written.
const EXACT: u32 = 7;

/// The last frame of a source that stores the duration of this frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Timestamp of the last frame, in ticks of the source.
    pts: i64,
    /// Timestamp at which the last frame ends.
    end: i64,
    /// Whether the time base of packets is known.
    exact: bool,
}

impl Ending {
    /// Returns the ending of `timeline`. `ffmpeg` is the major version.
    pub(crate) fn new(timeline: &Timeline, ffmpeg: u32) -> Option<Self> {
        Some(Self {
            pts: *timeline.pts().last()?,
            end: timeline.stored_end()?,
            exact: ffmpeg >= EXACT,
        })
    }

    /// Returns the duration of the frame at `pts` in ticks if it is the last frame.
    pub(crate) fn duration_of(&self, pts: i64) -> Option<i64> {
        (pts == self.pts).then(|| self.end.saturating_sub(self.pts))
    }

    /// Returns the bitstream filter that makes the packets of a video in `time_base` end where the source ends.
    /// The encoder counts in `counted`, the muxer in `muxed`.
    pub(crate) fn filter(&self, time_base: TimeBase, counted: TimeBase, muxed: TimeBase) -> String {
        let ticks = |unit: TimeBase| {
            let ticks = |pts: i64| {
                let exact = time_base.seconds(pts.into()) / unit.seconds(1);
                (exact + Rational::new(1, 2)).floor().to_integer()
            };
            (ticks(self.pts), ticks(self.end))
        };
        let (last, end) = ticks(counted);
        let duration = end - last;
        // Muxers use other durations only to find the end: a duration of one tick never extends beyond the next
        // frame.
        let rule = if self.exact || counted == muxed {
            // The index of MP4 stores durations in decode order, and readers apply the last duration to the last
            // frame.
            format!("if(eq(NEXT_DTS,NOPTS)+gte(PTS,{last}),{duration},1)")
        } else {
            // Packets count in the time base that was known when the first packet arrived, which is either of the
            // two.
            let (written, written_end) = ticks(muxed);
            let written_duration = written_end - written;
            format!("if(eq(PTS,{last}),{duration},if(eq(PTS,{written}),{written_duration},1))")
        };
        format!("setts=pts=PTS:dts=DTS:duration={}", rule.replace(',', "\\,"))
    }
}

/// Returns the timeline that the output presents. `expected` are the encoded frames, `written` the frames of the
/// output.
///
/// # Errors
/// Fails with [`CompressError::Differs`] if the source stores its end and the output ends at another time.
pub(crate) fn check(
    run: &Run<'_>,
    expected: Timeline,
    written: &Timeline,
) -> Result<Timeline, CompressError> {
    let output = &run.request.output;
    let lengths = match run.settings.container {
        Container::Mp4 => mp4_lengths(output, run.invocation.cancel).map_err(CompressError::Output)?,
        Container::WebM => {
            let args = args::probe_streams(output, run.invocation.limits);
            let document: Document = Ffprobe::new(run.invocation).ask(args)?;
            let start = written.time_base().seconds(written.pts()[0].into());
            document.end().map(|end| end - start).into_iter().collect()
        }
    };
    match expected.stored_end() {
        Some(_) => compare(expected.duration(), &lengths).map_err(CompressError::Differs)?,
        None => {
            return Ok(lengths
                .first()
                .map_or(expected.clone(), |&length| ended(expected, length)));
        }
    }
    Ok(expected)
}

/// Returns a timeline whose last frame ends after `length` seconds.
fn ended(timeline: Timeline, length: Rational) -> Timeline {
    let time_base = timeline.time_base();
    let last = timeline.pts().len() - 1;
    let displayed = (length - timeline.time(last)) / time_base.seconds(1) + Rational::new(1, 2);
    let displayed = i64::try_from(displayed.floor().to_integer()).ok();
    Timeline::new(time_base, timeline.pts().to_vec(), displayed).unwrap_or(timeline)
}

/// Fails if one of the `lengths` that the container reports differs from the expected length.
fn compare(expected: Rational, lengths: &[Rational]) -> Result<(), String> {
    // Containers round start and end to a millisecond.
    let tolerance = Rational::new(2, 1000);
    let other = lengths
        .iter()
        .find(|&&length| length - expected > tolerance || expected - length > tolerance);
    match other {
        None => Ok(()),
        Some(&length) => Err(format!(
            "it ends after {} s instead of {} s",
            approximate_seconds(length),
            approximate_seconds(expected)
        )),
    }
}

/// Returns the durations in seconds from the index and from the edit list of an MP4 file.
fn mp4_lengths(path: &Path, cancel: &CancellationToken) -> std::io::Result<Vec<Rational>> {
    let file = File::open(path)?;
    let mut reader = IndexReader::new(file.metadata()?.len());
    while let (Some(range), false) = (reader.wanted(), cancel.is_cancelled()) {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, range.start)?;
        reader.supply(range.start, bytes.into());
    }
    Ok(reader.finish().map_or_else(
        |_| Vec::new(),
        |index| {
            let edited = index.edited.into_iter();
            edited.chain([index.timeline.duration()]).collect()
        },
    ))
}

/// ffprobe's description of the output.
#[derive(Deserialize)]
struct Document {
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    codec_type: Option<String>,
    #[serde(default)]
    tags: Tags,
}

#[derive(Deserialize, Default)]
struct Tags {
    #[serde(rename = "DURATION")]
    duration: Option<String>,
}

impl Document {
    /// Returns the end of the video in seconds if the muxer has stored it.
    fn end(&self) -> Option<Rational> {
        let is_video = |stream: &&Stream| stream.codec_type.as_deref() == Some("video");
        clock(self.streams.iter().find(is_video)?.tags.duration.as_deref()?)
    }
}

/// Parses a time such as `00:03:01.000000000` to seconds.
fn clock(text: &str) -> Option<Rational> {
    let (whole, fraction) = text.split_once('.')?;
    let seconds = whole.split(':').try_fold(0_i128, |seconds, part| {
        let part: u32 = part.parse().ok()?;
        seconds.checked_mul(60)?.checked_add(part.into())
    })?;
    let digits = u32::try_from(fraction.len()).ok().filter(|&digits| digits <= 9)?;
    let fraction: u32 = fraction.parse().ok()?;
    Some(Rational::from_integer(seconds) + Rational::new(fraction.into(), 10_i128.pow(digits)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn time_base(unit: u32) -> TimeBase {
        TimeBase::new(1, unit).unwrap()
    }

    #[test]
    fn requires_a_stored_end() {
        let timeline = |duration| Timeline::new(time_base(30), vec![0, 1, 90], duration).unwrap();
        assert_eq!(Ending::new(&timeline(None), 9), None);
        let ending = Ending::new(&timeline(Some(2)), 9).unwrap();
        assert_eq!(ending.duration_of(90), Some(2));
        assert_eq!(ending.duration_of(1), None);
    }

    #[test]
    fn uses_the_end_of_the_output_if_the_source_stores_none() {
        let timeline = Timeline::new(time_base(30), vec![30, 31, 90], None).unwrap();
        let ended = ended(timeline.clone(), Rational::new(2051, 1000));
        assert_eq!(ended.pts(), timeline.pts());
        assert_eq!(ended.stored_end(), Some(92));
        // An impossible end.
        let other = super::ended(timeline.clone(), Rational::from_integer(1));
        assert_eq!(other, timeline);
    }

    #[test]
    fn filter_distinguishes_the_time_bases_of_packets() {
        let ending = |ffmpeg| {
            Ending::new(
                &Timeline::new(time_base(30), vec![0, 90], Some(2)).unwrap(),
                ffmpeg,
            )
            .unwrap()
        };
        let filter = |ffmpeg, counted, muxed| {
            ending(ffmpeg).filter(time_base(30), time_base(counted), time_base(muxed))
        };
        let one = "setts=pts=PTS:dts=DTS:duration=if(eq(NEXT_DTS\\,NOPTS)+gte(PTS\\,90)\\,2\\,1)";
        assert_eq!(filter(9, 30, 1000), one);
        assert_eq!(filter(5, 30, 30), one);
        let either = "setts=pts=PTS:dts=DTS:duration=if(eq(PTS\\,90)\\,2\\,if(eq(PTS\\,3000)\\,67\\,1))";
        assert_eq!(filter(5, 30, 1000), either);
    }

    #[test]
    fn rejects_a_video_that_ends_at_another_time() {
        let seconds = |text: &str| clock(text).unwrap();
        let expected = Rational::from_integer(181);
        let right = [seconds("00:03:01.000000000"), seconds("00:03:00.998500000")];
        assert_eq!(compare(expected, &right), Ok(()));
        assert_eq!(compare(expected, &[]), Ok(()));
        for wrong in ["00:05:00.834000000", "00:03:00.967000000"] {
            assert!(compare(expected, &[right[0], seconds(wrong)]).is_err(), "{wrong}");
        }
        assert_eq!(clock("01:00:00.5"), Some(Rational::new(7201, 2)));
        for other in ["", "181", "0:x.0", "99999999999999:0.0"] {
            assert_eq!(clock(other), None, "{other}");
        }
    }
}
