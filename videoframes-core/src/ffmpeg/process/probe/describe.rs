//! Description of a container by ffprobe, validated and converted to the types of this crate.

use std::collections::{BTreeMap, HashMap};

use num_rational::Ratio;
use serde::Deserialize;

use super::ffprobe::Ffprobe;
use super::refusal::refused;
use crate::extract::ExtractError;
use crate::ffmpeg::args;
use crate::ffmpeg::process::invocation::Invocation;
use crate::ffmpeg::process::limit::{is_too_many_pixels, too_many_pixels};
use crate::units::{Rational, TimeBase};
use crate::video::{
    Colour, Described, Orientation, Recording, StreamChoice, VideoInfo, VideoStream, believable_aspect,
    streams,
};

/// ffprobe's description of a container.
#[derive(Deserialize)]
pub(super) struct Document {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Deserialize, Default)]
struct Format {
    format_name: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
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
    let Invocation { input, limits, .. } = invocation;
    let (document, log) = Ffprobe::opening(invocation)
        .answer(args::probe_streams(input, limits))
        .map_err(|error| refused(error, input))?;
    described(document, stream, &log)
}

/// Selects the requested stream in a document of ffprobe with this log, and describes the stream.
pub(super) fn described(
    document: Document,
    choice: Option<StreamChoice>,
    log: &[String],
) -> Result<Described, ExtractError> {
    selected(document, choice).map_err(|error| match error {
        // ffprobe omits a size that its decoder refused.
        ExtractError::Damaged(_) if log.iter().any(|line| is_too_many_pixels(line)) => too_many_pixels(),
        error => error,
    })
}

fn selected(document: Document, choice: Option<StreamChoice>) -> Result<Described, ExtractError> {
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
    let tags = document.format.tags.iter();
    let tags = tags.map(|(name, value)| (name.as_str(), value.as_str()));
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
        recording: Recording::from_tags(tags),
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
