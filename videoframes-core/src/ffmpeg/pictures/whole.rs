//! Extraction from a whole file. Every decoded frame is compared with the timeline.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;

use super::args;
use super::capable::Capable;
use super::deliver::PictureSender;
use super::scan::confirmed;
use crate::extract::{ExtractError, ExtractReport, ExtractRequest, Picture, Surprise};
use crate::ffmpeg::args::{NO_AUTOROTATE, Opened};
use crate::ffmpeg::process::child::Stdin;
use crate::ffmpeg::process::damage::Part;
use crate::ffmpeg::process::decode::{Decode, DecodeCommand, Event, Frame};
use crate::ffmpeg::process::interruption::Interruption;
use crate::ffmpeg::process::invocation::Invocation;
use crate::ffmpeg::process::memory::Workload;
use crate::ffmpeg::process::split::Framing;
use crate::video::TimelineBuilder;

/// Reason why an extraction ends early.
type Stopped = Interruption<ExtractError>;

/// Outputs of a decode in addition to pictures.
pub(crate) struct VideoOutputs<'a> {
    /// Whether ffmpeg applies the rotation to all outputs.
    pub(crate) autorotate: bool,
    /// Options before the input.
    pub(crate) before_input: Vec<OsString>,
    /// Output files.
    pub(crate) files: Vec<PathBuf>,
    /// Widths and heights of the videos in the files.
    pub(crate) sizes: Vec<(u32, u32)>,
    /// Maximum size of each file in bytes.
    pub(crate) file_bytes: u64,
    /// Arguments of the additional outputs.
    pub(crate) outputs: Vec<OsString>,
    /// Whether an output keeps the metadata of the source, which ffmpeg then prints into the log.
    pub(crate) keeps_metadata: bool,
    /// Receives the timestamp of every decoded frame, and whether the frame is interlaced. Only the graph of the
    /// pictures may report frames: a filter writes its line in parts, and parts of two graphs, which run in
    /// separate threads, would mix.
    pub(crate) decoded: &'a mut dyn FnMut(i64, bool) -> Result<(), Stopped>,
}

/// Sends the pictures. With additional outputs, decodes to the end of the file.
pub(crate) fn extract(
    invocation: Invocation<'_>,
    capable: &Capable,
    mut additional: Option<VideoOutputs<'_>>,
    pictures: PictureSender<'_>,
) -> Result<ExtractReport, Stopped> {
    let mut request = capable.request.clone();
    if additional.as_ref().is_some_and(|outputs| outputs.autorotate) {
        request.video = request.video.turned_upright();
    }
    let request = &request;
    if !args::exact_in_double(&request.timeline) {
        let text = "the timestamps are too large for an exact comparison";
        return Err(ExtractError::Unsupported(text.to_owned()).into());
    }
    let mut decode = start(invocation, request, additional.as_mut())?;
    let mut lead_in = request.video.first_keyframe.is_some();
    if lead_in {
        decode.begin(Part::Head);
    }
    let mut delivery = Delivery::new(request);
    while let Some(event) = decode.next().map_err(|error| invocation.explain(error))? {
        if std::mem::take(&mut lead_in) {
            decode.begin(Part::Requested);
        }
        delivery.take(event, additional.as_mut())?;
        if additional.is_none() && delivery.has_last() {
            decode.begin(Part::Surplus);
            if std::mem::take(&mut delivery.replaces_last) {
                decode.count_surplus();
            }
        }
        if request.stop_at_damage && decode.new_damage(Some(invocation.input)).is_some() {
            break;
        }
        while let Some(picture) = delivery.ready(false)? {
            pictures.send(picture)?;
        }
        if delivery.is_complete() && additional.is_none() {
            // Decoding stops after the last pick. Dropping the decode ends ffmpeg.
            return Ok(decode.report(&capable.warnings, Some(invocation.input)));
        }
    }
    if request.stop_at_damage && decode.damage(Some(invocation.input)).is_some() {
        // The damage may concern the pictures that are left.
        return Ok(decode.report(&capable.warnings, Some(invocation.input)));
    }
    delivery.ended()?;
    while let Some(picture) = delivery.ready(true)? {
        pictures.send(picture)?;
    }
    if !delivery.is_complete() {
        return Err(Interruption::timeline_mismatch(
            "ffmpeg returned fewer pictures than were picked",
        ));
    }
    let mut report = decode.report(&capable.warnings, Some(invocation.input));
    if additional.is_some_and(|outputs| outputs.keeps_metadata) {
        report.damage = confirmed(report.damage, invocation, &request.video)?;
    }
    Ok(report)
}

/// Starts the decode of the pictures and of the additional outputs.
fn start<'a>(
    invocation: Invocation<'a>,
    request: &ExtractRequest,
    mut additional: Option<&mut VideoOutputs<'_>>,
) -> Result<Decode<'a>, ExtractError> {
    let Invocation {
        programs,
        input,
        limits,
        cancel,
    } = invocation;
    let opened = Opened::new(input, &request.video, limits);
    let graph = args::filter_graph(request, additional.is_some());
    let (mut args, stdin) = if graph.len() <= args::MAX_ARGUMENT_BYTES {
        (
            args::extract(opened, request, programs.threads, args::Graph::Inline(&graph)),
            Stdin::Empty,
        )
    } else {
        let major = programs.blocking_version(cancel)?.number.0;
        let args = args::extract(opened, request, programs.threads, args::Graph::OnStdin { major });
        (args, Stdin::Text(graph))
    };
    let mut workload = Workload::opening(input).decoding(&request.video);
    let mut ffmpeg = programs.ffmpeg.clone();
    if let Some(outputs) = &mut additional {
        args.splice(0..0, std::mem::take(&mut outputs.before_input));
        args.append(&mut outputs.outputs);
        if outputs.autorotate {
            args.retain(|arg| arg != NO_AUTOROTATE);
        }
        workload = outputs.sizes.iter().copied().fold(workload, Workload::encoding);
        ffmpeg = ffmpeg.with_files(outputs.file_bytes);
    }
    let ffmpeg = ffmpeg.with_memory(workload.memory(limits)).with_cpu_of(limits);
    let command = DecodeCommand {
        stdin,
        pictures: Some(Framing::new(request)),
        ..DecodeCommand::new(args)
    };
    let mut decode = Decode::start(&ffmpeg, command, limits.stall, cancel)?;
    if let Some(outputs) = additional {
        outputs.files.iter().for_each(|file| decode.watch_file(file));
        if outputs.keeps_metadata {
            decode.doubt_log();
        }
    }
    Ok(decode)
}

/// A frame that ffmpeg picked, in the order of its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Picked {
    /// The frame of this pick.
    First(usize),
    /// Another frame with the same timestamp, which replaces the frame of this pick.
    Again(usize),
    /// A frame that is not presented.
    Hidden,
}

/// Matches decoded frames, picks and pictures. Releases a picture only when every frame up to the one after the
/// pick matched the timeline.
struct Delivery<'a> {
    request: &'a ExtractRequest,
    seen: TimelineBuilder,
    delivered: usize,
    picked: VecDeque<Picked>,
    next_pick: usize,
    /// Timestamps that occurred twice in a row. The later frame is displayed.
    replaced: Vec<i64>,
    /// Whether a frame with the timestamp of the last requested frame has followed it.
    replaces_last: bool,
    pictures: VecDeque<Picture>,
}

impl<'a> Delivery<'a> {
    fn new(request: &'a ExtractRequest) -> Self {
        Self {
            request,
            seen: TimelineBuilder::default(),
            delivered: 0,
            picked: VecDeque::new(),
            next_pick: 0,
            replaced: Vec::new(),
            replaces_last: false,
            pictures: VecDeque::new(),
        }
    }

    /// Takes the next event of the decode. Also passes frames to the additional outputs.
    fn take(&mut self, event: Event, additional: Option<&mut VideoOutputs<'_>>) -> Result<(), Stopped> {
        match event {
            Event::Decoded(Frame { interlaced: true, .. }) if self.request.looks_for_interlaced() => {
                return Err(Interruption::Surprise(Surprise::Interlaced));
            }
            Event::Decoded(Frame { pts, interlaced, .. }) => {
                self.decoded(pts)?;
                if let (Some(outputs), Some(pts)) = (additional, pts) {
                    (outputs.decoded)(pts, interlaced)?;
                }
            }
            Event::Picked { pts, .. } => self.picked(pts)?,
            Event::Picture { bytes, width, height } => self.picture(bytes, width, height),
            Event::Paused if additional.is_some() => {
                return Err(ExtractError::Unsupported("the audio pauses for too long".to_owned()).into());
            }
            Event::Encoded { .. } | Event::Compared(_) | Event::Paused => {}
        }
        Ok(())
    }

    fn decoded(&mut self, pts: Option<i64>) -> Result<(), Stopped> {
        // The stream ends after the last pick. Frames that a decoder still returns then are out of order.
        if self.seen.len() >= self.needed() {
            return Ok(());
        }
        let Some(pts) = pts else {
            return Err(Interruption::timeline_mismatch("a frame has no timestamp"));
        };
        if self.seen.last() == Some(pts) {
            self.replaced.push(pts);
            self.replaces_last |= self.seen.len() == self.needed() - 1;
        }
        let before = self.seen.len();
        self.seen.push(pts, None);
        if self.seen.len() > before {
            let expected = self.request.timeline.pts().get(before);
            if expected != Some(&pts) {
                let expected = expected.map_or("no more frames".to_owned(), i64::to_string);
                return Err(Interruption::timeline_mismatch(format!(
                    "frame {before} has timestamp {pts}, the index says {expected}"
                )));
            }
        }
        Ok(())
    }

    fn picked(&mut self, pts: i64) -> Result<(), Stopped> {
        let wanted = |index: usize| {
            self.request
                .frames
                .get(index)
                .map(|&f| self.request.timeline.pts()[f])
        };
        if wanted(self.next_pick) == Some(pts) {
            self.picked.push_back(Picked::First(self.next_pick));
            self.next_pick += 1;
            return Ok(());
        }
        let before = self
            .next_pick
            .checked_sub(1)
            .filter(|&index| wanted(index) == Some(pts));
        let again = self.replaced.iter().position(|&again| again == pts);
        if let (Some(index), Some(again)) = (before, again) {
            self.replaced.swap_remove(again);
            self.picked.push_back(Picked::Again(index));
        } else if self.seen.last().is_some_and(|latest| pts <= latest) {
            // The frame goes back in time, to the timestamp of an earlier pick, and is not presented.
            self.picked.push_back(Picked::Hidden);
        } else {
            return Err(Interruption::timeline_mismatch(format!(
                "ffmpeg returned a frame with timestamp {pts} that was not picked"
            )));
        }
        Ok(())
    }

    fn picture(&mut self, bytes: bytes::Bytes, width: u32, height: u32) {
        self.pictures.push_back(Picture {
            frame: 0,
            bytes,
            width,
            height,
        });
    }

    /// Returns the next picture if its frame is confirmed. At the `end` of the stream all frames are confirmed.
    fn ready(&mut self, end: bool) -> Result<Option<Picture>, Stopped> {
        while let (Some(&picked), false) = (self.picked.front(), self.pictures.is_empty()) {
            let (Picked::First(pick) | Picked::Again(pick)) = picked else {
                self.picked.pop_front();
                self.pictures.pop_front();
                continue;
            };
            if self.picked.get(1) == Some(&Picked::Again(pick)) {
                // The next picture replaces this one.
                self.picked.pop_front();
                self.pictures.pop_front();
                continue;
            }
            let frame = self.request.frames[pick];
            let awaited = self.replaced.contains(&self.request.timeline.pts()[frame]);
            if !end && (awaited || self.seen.len() <= frame + 1) {
                return Ok(None);
            }
            self.picked.pop_front();
            self.delivered = pick + 1;
            return Ok(self
                .pictures
                .pop_front()
                .map(|picture| Picture { frame, ..picture }));
        }
        Ok(None)
    }

    /// Returns whether the last requested frame was decoded.
    fn has_last(&self) -> bool {
        self.request
            .frames
            .last()
            .is_some_and(|&last| self.seen.len() > last)
    }

    fn is_complete(&self) -> bool {
        self.delivered == self.request.frames.len()
    }

    /// Returns the number of frames up to the one after the last pick.
    fn needed(&self) -> usize {
        self.request.frames.last().map_or(0, |last| last + 2)
    }

    /// Fails if the stream ended before all required frames of the timeline were decoded.
    fn ended(&self) -> Result<(), Stopped> {
        let all = self.request.timeline.pts().len();
        let (came, expected) = (self.seen.len(), self.needed().min(all));
        if came >= expected {
            return Ok(());
        }
        Err(Interruption::timeline_mismatch(format!(
            "{came} frames decoded, the index says {expected}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::extract::PictureOptions;
    use crate::units::{Rational, TimeBase};
    use crate::video::{Colour, Orientation, Timeline, VideoInfo};

    /// Returns a request for `frames` of five frames with the timestamps 0 to 4.
    fn request(frames: &[usize]) -> ExtractRequest {
        let time_base = TimeBase::new(1, 10).unwrap();
        ExtractRequest {
            video: VideoInfo {
                stream: 0,
                container: String::new(),
                codec: String::new(),
                width: 16,
                height: 16,
                sample_aspect: Rational::from_integer(1),
                orientation: Orientation::Upright,
                pixel_format: String::new(),
                alpha: false,
                colour: Colour::default(),
                interlaced: false,
                frame_rate: None,
                duration: None,
                time_base,
                first_keyframe: None,
                recording: crate::video::Recording::default(),
            },
            timeline: Timeline::new(time_base, (0..5).collect(), Some(1)).unwrap(),
            frames: frames.to_vec(),
            picture: PictureOptions::default(),
            deinterlace: false,
            on_demand: false,
            stop_at_damage: false,
            limits: crate::limits::Limits::default(),
        }
    }

    fn pictured(delivery: &mut Delivery<'_>, pts: i64, content: &'static [u8]) {
        delivery.decoded(Some(pts)).unwrap();
        delivery.picked(pts).unwrap();
        delivery.picture(Bytes::from_static(content), 16, 16);
    }

    #[test]
    fn holds_a_picture_until_the_next_frame_is_decoded() {
        let request = request(&[0]);
        let mut delivery = Delivery::new(&request);
        pictured(&mut delivery, 0, b"0");
        assert_eq!(delivery.ready(false).unwrap(), None);
        delivery.decoded(Some(1)).unwrap();
        assert_eq!(delivery.ready(false).unwrap().map(|p| p.frame), Some(0));
        assert!(delivery.is_complete());
    }

    #[test]
    fn presents_the_later_of_two_frames_with_equal_timestamps() {
        let request = request(&[1, 2]);
        let mut delivery = Delivery::new(&request);
        delivery.decoded(Some(0)).unwrap();
        pictured(&mut delivery, 1, b"first");
        delivery.decoded(Some(1)).unwrap();
        delivery.decoded(Some(2)).unwrap();
        assert_eq!(
            delivery.ready(false).unwrap(),
            None,
            "the second one is picked later"
        );
        delivery.picked(1).unwrap();
        delivery.picture(Bytes::from_static(b"second"), 16, 16);
        let shown = delivery.ready(false).unwrap().unwrap();
        assert_eq!((shown.frame, &shown.bytes[..]), (1, &b"second"[..]));
    }

    #[test]
    fn drops_frames_that_go_back_in_time() {
        let request = request(&[1, 3]);
        let mut delivery = Delivery::new(&request);
        delivery.decoded(Some(0)).unwrap();
        pictured(&mut delivery, 1, b"1");
        delivery.decoded(Some(2)).unwrap();
        assert_eq!(delivery.ready(false).unwrap().map(|p| p.frame), Some(1));
        pictured(&mut delivery, 1, b"again");
        assert_eq!(delivery.ready(false).unwrap(), None);
        pictured(&mut delivery, 3, b"3");
        delivery.decoded(Some(4)).unwrap();
        assert_eq!(&delivery.ready(false).unwrap().unwrap().bytes[..], b"3");
    }

    #[test]
    fn ignores_frames_after_the_end() {
        let request = request(&[1]);
        let mut delivery = Delivery::new(&request);
        delivery.decoded(Some(0)).unwrap();
        pictured(&mut delivery, 1, b"1");
        delivery.decoded(Some(2)).unwrap();
        // At the end of its input a decoder returns a reference frame without the frames between.
        delivery.decoded(Some(4)).unwrap();
        delivery.ended().unwrap();
        assert_eq!(delivery.ready(true).unwrap().map(|p| p.frame), Some(1));
        assert!(delivery.is_complete());
    }

    #[test]
    fn reports_a_mismatch_for_a_frame_outside_the_timeline() {
        let request = request(&[0]);
        let mut delivery = Delivery::new(&request);
        pictured(&mut delivery, 0, b"0");
        assert!(matches!(
            delivery.decoded(Some(7)),
            Err(Interruption::Surprise(Surprise::TimelineMismatch(_)))
        ));
    }
}
