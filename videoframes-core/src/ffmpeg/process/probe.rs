//! Description of a container by ffprobe, validated and converted to the types of this crate.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use num_rational::Ratio;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::child::{ChildGroup, Stdin, for_each_line};
use super::invocation::Invocation;
use super::limit::{is_no_memory, is_too_many_pixels, no_memory, too_many_pixels};
use super::memory::Workload;
use super::program::Program;
use crate::extract::ExtractError;
use crate::ffmpeg::args;
use crate::limits::{Limits, PROBE_JSON_BYTES, TIMELINE_FRAMES};
use crate::units::{Rational, TimeBase};
use crate::video::{
    Colour, Described, Orientation, StreamChoice, Timeline, VideoInfo, VideoStream, believable_aspect,
    starts_like_mp4, streams,
};

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Deserialize, Default)]
struct Format {
    format_name: Option<String>,
    duration: Option<String>,
}

#[derive(Deserialize)]
struct Stream {
    index: u32,
    id: Option<String>,
    nb_frames: Option<String>,
    codec_type: Option<String>,
    codec_name: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    sample_aspect_ratio: Option<String>,
    pix_fmt: Option<String>,
    field_order: Option<String>,
    color_range: Option<String>,
    color_space: Option<String>,
    color_transfer: Option<String>,
    color_primaries: Option<String>,
    avg_frame_rate: Option<String>,
    time_base: Option<String>,
    #[serde(default)]
    disposition: HashMap<String, i64>,
    #[serde(default)]
    side_data_list: Vec<SideData>,
    #[serde(default)]
    tags: HashMap<String, String>,
}

#[derive(Deserialize)]
struct SideData {
    displaymatrix: Option<String>,
}

/// Reads the streams of an input.
pub(crate) fn describe(
    invocation: Invocation<'_>,
    stream: Option<StreamChoice>,
) -> Result<Described, ExtractError> {
    let Invocation {
        input,
        limits,
        cancel,
        ..
    } = invocation;
    let ffprobe = ffprobe(invocation);
    let (document, log) = answer(&ffprobe, args::probe_streams(input, limits), limits, cancel).map_err(
        |error| match error {
            // A file with the extension `.mp4` but different content has lost no index.
            ExtractError::Damaged(reason) if !looks_like_mp4(input) => ExtractError::NotAVideo(reason),
            ExtractError::NotAVideo(reason) => {
                picture(&head(input)).unwrap_or(ExtractError::NotAVideo(reason))
            }
            error => error,
        },
    )?;
    described(document, stream).map_err(|error| match error {
        // ffprobe omits a size that its decoder refused.
        ExtractError::Damaged(_) if log.iter().any(|line| is_too_many_pixels(line)) => too_many_pixels(),
        error => error,
    })
}

/// Returns ffprobe with the memory that opening the input takes.
fn ffprobe(invocation: Invocation<'_>) -> Program {
    let memory = Workload::opening(invocation.input).memory(invocation.limits);
    invocation.programs.ffprobe.with_memory(memory)
}

/// Runs ffprobe and parses its JSON output.
pub(crate) fn ask<T: DeserializeOwned>(
    ffprobe: &Program,
    args: Vec<OsString>,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<T, ExtractError> {
    Ok(answer(ffprobe, args, limits, cancel)?.0)
}

/// Runs ffprobe and parses its JSON output. Also returns the last lines of its log.
fn answer<T: DeserializeOwned>(
    ffprobe: &Program,
    args: Vec<OsString>,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<(T, Vec<String>), ExtractError> {
    let mut json = Vec::new();
    let child = ChildGroup::ffprobe(ffprobe, args)?;
    let log = watch(child, limits.stall, cancel, Output::Whole(&mut json))?;
    let document = serde_json::from_slice(&json)
        .map_err(|e| ExtractError::NotAVideo(format!("failed to parse the output of ffprobe ({e})")))?;
    Ok((document, log))
}

/// Selects the requested stream and describes it.
fn described(document: Document, choice: Option<StreamChoice>) -> Result<Described, ExtractError> {
    let container = document.format.format_name.clone().unwrap_or_default();
    let is_video = |stream: &&Stream| stream.codec_type.as_deref() == Some("video");
    let videos = document.streams.iter().filter(is_video);
    let streams: Vec<VideoStream> = videos.map(|stream| stream.listed(&container)).collect();
    let chosen = match (streams::choose(&streams, choice), choice) {
        (Some(chosen), _) => chosen.index,
        (None, Some(choice)) => return Err(ExtractError::NoSuchStream(choice)),
        (None, None) => return Err(ExtractError::NoVideoStream),
    };
    let video = video_info(document, chosen)?;
    Ok(Described { video, streams })
}

impl Stream {
    fn listed(&self, container: &str) -> VideoStream {
        let is = |disposition: &str| self.disposition.get(disposition) == Some(&1);
        let default = is("default");
        VideoStream {
            index: self.index,
            id: self
                .id
                .as_deref()
                .and_then(|id| u32::from_str_radix(id.strip_prefix("0x")?, 16).ok()),
            codec: self.codec_name.clone().unwrap_or_default(),
            width: self.width.unwrap_or(0),
            height: self.height.unwrap_or(0),
            frames: self.nb_frames.as_deref().and_then(|frames| frames.parse().ok()),
            default,
            // In this family of formats every enabled track is marked as default.
            disabled: container.starts_with("mov,") && !default,
            attached: ["attached_pic", "timed_thumbnails", "still_image"]
                .into_iter()
                .any(is),
        }
    }
}

fn video_info(document: Document, index: u32) -> Result<VideoInfo, ExtractError> {
    let stream = document
        .streams
        .into_iter()
        .find(|stream| stream.index == index)
        .ok_or(ExtractError::NoVideoStream)?;
    let (Some(width @ 1..), Some(height @ 1..)) = (stream.width, stream.height) else {
        return Err(ExtractError::Damaged("the video stream has no size".to_owned()));
    };
    let time_base = stream
        .time_base
        .and_then(|t| t.parse::<TimeBase>().ok())
        .ok_or_else(|| ExtractError::Damaged("the video stream has no time base".to_owned()))?;
    let known =
        |tag: Option<String>| tag.filter(|t| !matches!(t.as_str(), "unknown" | "reserved" | "unspecified"));
    let matrix = stream
        .side_data_list
        .iter()
        .find_map(|s| s.displaymatrix.as_deref());
    let duration = document
        .format
        .duration
        .as_deref()
        .and_then(|d| crate::units::parse_rational(d).ok());
    let codec = stream.codec_name.unwrap_or_default();
    let pixel_format = stream.pix_fmt.unwrap_or_default();
    Ok(VideoInfo {
        stream: stream.index,
        alpha: has_alpha(&codec, &pixel_format, &stream.tags),
        container: document.format.format_name.unwrap_or_default(),
        codec,
        width,
        height,
        sample_aspect: stream
            .sample_aspect_ratio
            .as_deref()
            .and_then(sample_aspect)
            .unwrap_or(Ratio::from_integer(1)),
        orientation: matrix.map(orientation).unwrap_or_default(),
        pixel_format,
        colour: Colour {
            matrix: known(stream.color_space),
            transfer: known(stream.color_transfer),
            primaries: known(stream.color_primaries),
            full_range: match stream.color_range.as_deref() {
                Some("pc") => Some(true),
                Some("tv") => Some(false),
                _ => None,
            },
        },
        interlaced: matches!(stream.field_order.as_deref(), Some("tt" | "bb" | "tb" | "bt")),
        frame_rate: stream
            .avg_frame_rate
            .and_then(|r| crate::units::parse_rational(&r).ok()),
        duration,
        time_base,
        first_keyframe: None,
    })
}

/// Returns whether pictures have an alpha channel: in their pixel format, or as a separate stream in WebM.
fn has_alpha(codec: &str, pixel_format: &str, tags: &HashMap<String, String>) -> bool {
    let formats = [
        "yuva", "rgba", "argb", "bgra", "abgr", "gbrap", "ya8", "ya16", "vuya", "ayuv",
    ];
    let tagged = |(name, value): (&String, &String)| {
        name.eq_ignore_ascii_case("alpha_mode") && value == "1" && ["vp8", "vp9"].contains(&codec)
    };
    formats.iter().any(|format| pixel_format.starts_with(format))
        || (pixel_format == "pal8" && ["png", "apng", "gif"].contains(&codec))
        || tags.iter().any(tagged)
}

/// Parses a ratio such as `4:3`; `0:1` means unknown.
fn sample_aspect(text: &str) -> Option<Rational> {
    let (n, d) = text.split_once(':')?;
    let (n, d): (u32, u32) = (n.parse().ok()?, d.parse().ok()?);
    (n > 0 && d > 0)
        .then(|| Ratio::new(n.into(), d.into()))
        .and_then(believable_aspect)
}

/// Parses ffprobe's dump of a display matrix: three lines, each with an offset and three numbers.
fn orientation(dump: &str) -> Orientation {
    let rows: Vec<Vec<i64>> = dump
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(_, numbers)| {
            numbers
                .split_whitespace()
                .filter_map(|n| n.parse().ok())
                .collect()
        })
        .collect();
    match rows.as_slice() {
        [first, second, ..] if first.len() == 3 && second.len() == 3 => {
            Orientation::from_matrix(first[0], first[1], second[0], second[1])
        }
        _ => Orientation::Upright,
    }
}

/// Presented frames according to the packets.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    /// Frames of all packets; `None` if a packet lacks a timestamp or two packets share one.
    pub(crate) all: Option<Timeline>,
    /// Frames from the first keyframe on, if other packets precede it.
    pub(crate) from_keyframe: Option<Timeline>,
}

/// Collects packets in decode order.
#[derive(Debug, Default)]
struct PacketReader {
    pts: Vec<i64>,
    last: Option<(i64, Option<i64>)>,
    /// Index and timestamp of the first keyframe, if other packets precede it.
    keyframe: Option<(usize, i64)>,
    /// Whether the stream begins with a packet that is not a keyframe, and no keyframe has followed yet.
    begins_late: Option<bool>,
    unreliable: bool,
    too_many: bool,
}

impl PacketReader {
    /// Adds a line of `pts,duration,flags`.
    fn packet(&mut self, line: &str) {
        let mut fields = line.split(',');
        let time = fields.next().and_then(|f| f.parse::<i64>().ok());
        let duration = fields.next().and_then(|f| f.parse::<i64>().ok());
        let flags = fields.next().unwrap_or_default();
        if line.is_empty() {
            return;
        }
        let late = self.begins_late.get_or_insert(!flags.contains('K'));
        if *late && flags.contains('K') {
            *late = false;
            self.keyframe = time.map(|time| (self.pts.len(), time));
        }
        if flags.contains('D') {
            return;
        }
        self.too_many |= self.pts.len() >= TIMELINE_FRAMES;
        match time {
            Some(time) if !self.unreliable && !self.too_many => {
                self.pts.push(time);
                if self.last.is_none_or(|(latest, _)| time > latest) {
                    self.last = Some((time, duration));
                }
            }
            _ => self.unreliable = true,
        }
    }

    fn finish(self, time_base: TimeBase) -> Packets {
        if self.unreliable {
            return Packets::default();
        }
        let duration = self.last.and_then(|(_, duration)| duration);
        let timeline = |pts: Vec<i64>| {
            let count = pts.len();
            Timeline::new(time_base, pts, duration).filter(|timeline| timeline.pts().len() == count)
        };
        let from_keyframe = self.keyframe.and_then(|(index, start)| {
            let shown = self.pts[index..].iter().copied().filter(|&pts| pts >= start);
            timeline(shown.collect())
        });
        Packets {
            all: timeline(self.pts),
            from_keyframe,
        }
    }
}

/// Reads the packets of the video.
pub(crate) fn packets(invocation: Invocation<'_>, video: &VideoInfo) -> Result<Packets, ExtractError> {
    let mut reader = PacketReader::default();
    let args = args::probe_packets(invocation.opened(video));
    let child = ChildGroup::ffprobe(&ffprobe(invocation), args)?;
    let outcome = watch(
        child,
        invocation.limits.stall,
        invocation.cancel,
        Output::Lines(&mut |line| reader.packet(line)),
    );
    match outcome {
        // Damage in the packets is left to the decoder.
        Ok(_) | Err(ExtractError::NotAVideo(_) | ExtractError::Damaged(_)) => {}
        Err(other) => return Err(other),
    }
    if reader.too_many {
        return Err(ExtractError::LimitExceeded(format!(
            "the video has more than {TIMELINE_FRAMES} frames"
        )));
    }
    Ok(reader.finish(video.time_base))
}

/// Returns whether the first packet of the video is a keyframe according to the container.
pub(crate) fn begins_with_keyframe(
    invocation: Invocation<'_>,
    video: &VideoInfo,
) -> Result<bool, ExtractError> {
    let mut first = None;
    let args = args::probe_first_packet(invocation.opened(video));
    let child = ChildGroup::ffprobe(&ffprobe(invocation), args)?;
    let mut line = |line: &str| {
        if first.is_none() && !line.is_empty() {
            first = Some(line.contains('K'));
        }
    };
    watch(
        child,
        invocation.limits.stall,
        invocation.cancel,
        Output::Lines(&mut line),
    )?;
    Ok(first.unwrap_or(true))
}

enum Output<'a> {
    Whole(&'a mut Vec<u8>),
    Lines(&'a mut dyn FnMut(&str)),
}

/// Runs ffprobe to completion under the watchdog and collects its output. Returns the last lines of its log.
fn watch(
    mut child: ChildGroup,
    stall: Duration,
    cancel: &CancellationToken,
    mut output: Output<'_>,
) -> Result<Vec<String>, ExtractError> {
    enum Message {
        Chunk(Vec<u8>),
        Lines(Vec<String>),
        Log(String),
        Closed,
    }
    child.feed(Stdin::Empty);
    let (sender, messages) = sync_channel(16);
    let whole = matches!(output, Output::Whole(_));
    if let Some(stderr) = child.take_stderr() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for_each_line(stderr, |line| sender.send(Message::Log(line.to_owned())).is_ok());
            let _ = sender.send(Message::Closed);
        });
    }
    if let Some(mut stdout) = child.take_stdout() {
        std::thread::spawn(move || {
            if whole {
                let mut bytes = Vec::new();
                let _ = (&mut stdout).take(PROBE_JSON_BYTES).read_to_end(&mut bytes);
                let _ = sender.send(Message::Chunk(bytes));
            } else {
                let mut batch = Vec::new();
                for_each_line(stdout, |line| {
                    batch.push(line.to_owned());
                    batch.len() < 512 || sender.send(Message::Lines(std::mem::take(&mut batch))).is_ok()
                });
                let _ = sender.send(Message::Lines(batch));
            }
            let _ = sender.send(Message::Closed);
        });
    }
    let mut log: Vec<String> = Vec::new();
    let mut open = 2;
    let mut quiet_since = Instant::now();
    while open > 0 {
        if cancel.is_cancelled() {
            return Err(ExtractError::Cancelled);
        }
        match messages.recv_timeout(Duration::from_millis(50)) {
            Ok(Message::Chunk(bytes)) => {
                if let Output::Whole(target) = &mut output {
                    **target = bytes;
                }
            }
            Ok(Message::Lines(lines)) => {
                quiet_since = Instant::now();
                if let Output::Lines(each) = &mut output {
                    lines.iter().for_each(|line| each(line));
                }
            }
            Ok(Message::Log(line)) => {
                if log.len() == LOG_LINES {
                    log.remove(0);
                }
                log.push(line.chars().take(200).collect());
            }
            Ok(Message::Closed) => open -= 1,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if quiet_since.elapsed() > stall {
            return Err(ExtractError::Stalled(stall.as_secs()));
        }
    }
    loop {
        let status = child
            .try_wait()
            .map_err(|e| ExtractError::DecoderFailed(e.to_string()))?;
        match status {
            Some(status) if status.success() => return Ok(log),
            Some(status) if status.code().is_none() => {
                return Err(ExtractError::DecoderFailed(format!("ffprobe: {status}")));
            }
            Some(_) => return Err(refusal(&log)),
            None if quiet_since.elapsed() > stall => return Err(ExtractError::Stalled(stall.as_secs())),
            None => std::thread::park_timeout(Duration::from_millis(1)),
        }
    }
}

/// Returns whether the file begins with a box of ISO/IEC 14496-12 or QuickTime.
fn looks_like_mp4(input: &Path) -> bool {
    head(input).first_chunk().is_some_and(starts_like_mp4)
}

/// Returns the first bytes of a file, or none if the file cannot be read.
fn head(input: &Path) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD);
    let read = std::fs::File::open(input).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    match read {
        Ok(_) => head,
        Err(_) => Vec::new(),
    }
}

/// Number of bytes that distinguish a picture from a video.
const HEAD: usize = 21;

/// Returns the error for a file with this beginning that ffprobe refused, if the file is a picture.
fn picture(head: &[u8]) -> Option<ExtractError> {
    let still = |kind: &str| ExtractError::NotAVideo(format!("it is a still picture ({kind})"));
    match head {
        // The flags of the extended format follow the chunk header.
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            rest @ ..,
        ] => Some(match rest {
            [b'V', b'P', b'8', b'X', _, _, _, _, flags, ..] if flags & 2 != 0 => {
                ExtractError::Unsupported("its ffprobe does not support animated WebP".to_owned())
            }
            _ => still("WebP"),
        }),
        [0x89, b'P', b'N', b'G', ..] => Some(still("PNG")),
        [0xff, 0xd8, 0xff, ..] => Some(still("JPEG")),
        _ => None,
    }
}

/// Number of lines of ffprobe's log that are kept.
const LOG_LINES: usize = 8;

/// Converts the log of ffprobe to an error. A container without its index is damaged, not of an unknown format.
fn refusal(log: &[String]) -> ExtractError {
    if log.iter().any(|line| line.contains("moov atom not found")) {
        return ExtractError::Damaged("the index is missing (moov atom not found)".to_owned());
    }
    if log.iter().any(|line| is_no_memory(line)) {
        return no_memory();
    }
    if log.iter().any(|line| is_too_many_pixels(line)) {
        return too_many_pixels();
    }
    if log
        .iter()
        .any(|line| line.contains("not on whitelist") && line.contains("Codec ("))
    {
        return ExtractError::NotAVideo("its codec is not supported".to_owned());
    }
    if log.iter().any(|line| line.contains("not on whitelist")) {
        return ExtractError::NotAVideo("its format is not self-contained".to_owned());
    }
    let line = log.last().map_or("ffprobe gave no reason", String::as_str);
    let reason = line
        .rsplit_once(": ")
        .map_or(line, |(_, reason)| reason)
        .to_owned();
    let lower = line.to_ascii_lowercase();
    if lower.contains("option") && lower.contains("not found") {
        return ExtractError::Unsupported(reason);
    }
    ExtractError::NotAVideo(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (Option<Vec<i64>>, Option<Vec<i64>>) {
        let mut reader = PacketReader::default();
        lines.iter().for_each(|line| reader.packet(line));
        let packets = reader.finish(TimeBase::new(1, 30).unwrap());
        let pts = |timeline: Option<Timeline>| timeline.map(|timeline| timeline.pts().to_vec());
        (pts(packets.all), pts(packets.from_keyframe))
    }

    #[test]
    fn distinguishes_animated_from_still_pictures() {
        let webp = |flags| [b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0".as_slice(), &[flags]].concat();
        assert!(matches!(picture(&webp(0x12)), Some(ExtractError::Unsupported(_))));
        assert!(matches!(picture(&webp(0x10)), Some(ExtractError::NotAVideo(_))));
        let simple = b"RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0\x02";
        assert!(matches!(picture(simple), Some(ExtractError::NotAVideo(_))));
        assert!(matches!(
            picture(b"\x89PNG\r\n"),
            Some(ExtractError::NotAVideo(_))
        ));
        assert!(picture(b"just text").is_none() && picture(b"").is_none());
    }

    #[test]
    fn finds_alpha_in_the_pixel_format_and_in_tags() {
        let tags = |name: &str, value: &str| HashMap::from([(name.to_owned(), value.to_owned())]);
        let none = HashMap::new();
        for (codec, format, tags, expected) in [
            ("prores", "yuva444p12le", &none, true),
            ("prores", "yuv422p10le", &none, false),
            ("png", "rgba64be", &none, true),
            ("png", "rgb24", &none, false),
            ("png", "pal8", &none, true),
            ("msrle", "pal8", &none, false),
            ("vp9", "yuv420p", &none, false),
            ("vp9", "yuv420p", &tags("ALPHA_MODE", "1"), true),
            ("vp9", "yuv420p", &tags("alpha_mode", "0"), false),
            ("h264", "yuv420p", &tags("alpha_mode", "1"), false),
        ] {
            assert_eq!(has_alpha(codec, format, tags), expected, "{codec} {format}");
        }
    }

    #[test]
    fn presents_frames_from_the_first_keyframe_on() {
        let usual = read(&["0,1,K__", "2,1,___", "1,1,___", "3,1,K__"]);
        assert_eq!(usual, (Some(vec![0, 1, 2, 3]), None));
        // Frames presented before the keyframe refer to missing packets.
        let late = read(&["1,1,___", "5,1,K__", "3,1,___", "6,1,___"]);
        assert_eq!(late, (Some(vec![1, 3, 5, 6]), Some(vec![5, 6])));
        // The keyframe exists but is not presented.
        let edited = read(&["0,1,KD_", "1,1,___", "2,1,K__"]);
        assert_eq!(edited, (Some(vec![1, 2]), None));
        assert_eq!(read(&["0,1,___", "1,1,___"]), (Some(vec![0, 1]), None));
        assert_eq!(read(&["0,1,___", "N/A,1,K__"]), (None, None));
    }
}
