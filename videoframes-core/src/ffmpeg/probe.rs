//! What ffprobe says of a container, distrusted and turned into our own terms.

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

use super::args;
use super::child::{ChildGroup, Stdin, for_each_line};
use super::limit::{is_of_no_memory, is_of_pixels, no_memory, too_many_pixels};
use super::memory::Workload;
use super::program::Program;
use crate::extract::ExtractError;
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
}

#[derive(Deserialize)]
struct SideData {
    displaymatrix: Option<String>,
}

/// Reads the streams of `input`.
pub(crate) fn describe(
    ffprobe: &Program,
    input: &Path,
    stream: Option<StreamChoice>,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<Described, ExtractError> {
    let ffprobe = ffprobe.with_memory(Workload::opening(input).memory(limits));
    let (document, log) = answer(&ffprobe, args::probe_streams(input, limits), limits, cancel).map_err(
        |error| match error {
            // A file that is only called `.mp4` has lost no index.
            ExtractError::Damaged(reason) if !looks_like_mp4(input) => ExtractError::NotAVideo(reason),
            error => error,
        },
    )?;
    described(document, stream).map_err(|error| match error {
        // ffprobe leaves out a size that its decoder has refused.
        ExtractError::Damaged(_) if log.iter().any(|line| is_of_pixels(line)) => too_many_pixels(),
        error => error,
    })
}

/// What ffprobe answers in JSON.
pub(crate) fn ask<T: DeserializeOwned>(
    ffprobe: &Program,
    args: Vec<OsString>,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<T, ExtractError> {
    Ok(answer(ffprobe, args, limits, cancel)?.0)
}

/// What ffprobe answers in JSON, and what it complained about.
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
        .map_err(|e| ExtractError::NotAVideo(format!("ffprobe's answer cannot be read ({e})")))?;
    Ok((document, log))
}

/// The stream that is meant among all of them.
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
            // In this family every enabled track is marked as default.
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
    Ok(VideoInfo {
        stream: stream.index,
        container: document.format.format_name.unwrap_or_default(),
        codec: stream.codec_name.unwrap_or_default(),
        width,
        height,
        sample_aspect: stream
            .sample_aspect_ratio
            .as_deref()
            .and_then(sample_aspect)
            .unwrap_or(Ratio::from_integer(1)),
        orientation: matrix.map(orientation).unwrap_or_default(),
        pixel_format: stream.pix_fmt.unwrap_or_default(),
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
    })
}

/// `4:3` as a ratio; `0:1` means unknown.
fn sample_aspect(text: &str) -> Option<Rational> {
    let (n, d) = text.split_once(':')?;
    let (n, d): (u32, u32) = (n.parse().ok()?, d.parse().ok()?);
    (n > 0 && d > 0)
        .then(|| Ratio::new(n.into(), d.into()))
        .and_then(believable_aspect)
}

/// From ffprobe's dump of the matrix: three lines of an offset and three numbers.
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

/// The presented frames that the packets promise; `None` if any lacks a timestamp or two share one.
pub(crate) fn promise(
    ffprobe: &Program,
    input: &Path,
    video: &VideoInfo,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<Option<Timeline>, ExtractError> {
    let mut pts: Vec<i64> = Vec::new();
    let mut last: Option<(i64, Option<i64>)> = None;
    let mut reliable = true;
    let mut too_many = false;
    let memory = Workload::opening(input).memory(limits);
    let opened = args::Opened::new(input, video, limits);
    let child = ChildGroup::ffprobe(&ffprobe.with_memory(memory), args::probe_packets(opened))?;
    let outcome = watch(
        child,
        limits.stall,
        cancel,
        Output::Lines(&mut |line| {
            let mut fields = line.split(',');
            let time = fields.next().and_then(|f| f.parse::<i64>().ok());
            let duration = fields.next().and_then(|f| f.parse::<i64>().ok());
            let flags = fields.next().unwrap_or_default();
            if flags.contains('D') || line.is_empty() {
                return;
            }
            too_many |= pts.len() >= TIMELINE_FRAMES;
            match time {
                Some(time) if reliable && !too_many => {
                    pts.push(time);
                    if last.is_none_or(|(latest, _)| time > latest) {
                        last = Some((time, duration));
                    }
                }
                _ => reliable = false,
            }
        }),
    );
    match outcome {
        // Damage in the packets is for the decoder to judge.
        Ok(_) | Err(ExtractError::NotAVideo(_) | ExtractError::Damaged(_)) => {}
        Err(other) => return Err(other),
    }
    if too_many {
        return Err(ExtractError::LimitExceeded(format!(
            "the video has more than {TIMELINE_FRAMES} frames"
        )));
    }
    let count = pts.len();
    let timeline = Timeline::new(video.time_base, pts, last.and_then(|(_, duration)| duration));
    Ok(timeline.filter(|t| reliable && t.pts().len() == count))
}

enum Output<'a> {
    Whole(&'a mut Vec<u8>),
    Lines(&'a mut dyn FnMut(&str)),
}

/// Runs ffprobe to its end, taking its output, under the watchdog. Returns the last lines of its log.
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

/// Whether the file begins with a box of ISO/IEC 14496-12 or QuickTime.
fn looks_like_mp4(input: &Path) -> bool {
    let mut head = [0; 8];
    let read = std::fs::File::open(input).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && starts_like_mp4(&head)
}

/// Lines of ffprobe's complaints that are kept.
const LOG_LINES: usize = 8;

/// What ffprobe's complaints mean: a container that lost its index is damaged, not foreign.
fn refusal(log: &[String]) -> ExtractError {
    if log.iter().any(|line| line.contains("moov atom not found")) {
        return ExtractError::Damaged("its index is lost (moov atom not found)".to_owned());
    }
    if log.iter().any(|line| is_of_no_memory(line)) {
        return no_memory();
    }
    if log.iter().any(|line| is_of_pixels(line)) {
        return too_many_pixels();
    }
    if log
        .iter()
        .any(|line| line.contains("not on whitelist") && line.contains("Codec ("))
    {
        return ExtractError::NotAVideo("it has a codec that is not decoded here".to_owned());
    }
    if log.iter().any(|line| line.contains("not on whitelist")) {
        return ExtractError::NotAVideo("its format is none that holds a whole video by itself".to_owned());
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
