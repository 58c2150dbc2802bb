//! Contents of a source in addition to the video, as far as a compressed video needs them.

use std::collections::BTreeMap;

use num_rational::Ratio;
use serde::Deserialize;

use crate::extract::ExtractError;
use crate::ffmpeg::args;
use crate::ffmpeg::process::invocation::Invocation;
use crate::ffmpeg::process::memory::Workload;
use crate::ffmpeg::process::probe::Ffprobe;
use crate::limits::AUDIO_TRACKS;
use crate::video::VideoInfo;

/// Contents of a source in addition to the video.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Media {
    /// Audio tracks that can be decoded.
    pub(crate) audio: Vec<AudioTrack>,
    /// Descriptions of tracks that a compressed video cannot contain.
    pub(crate) left_out: Vec<String>,
    /// Metadata of the container.
    pub(crate) tags: BTreeMap<String, String>,
    /// Earliest timestamp in seconds.
    pub(crate) start_s: f64,
    /// Duration in seconds according to the container.
    pub(crate) duration_s: Option<f64>,
    /// Metadata of an HDR video.
    pub(crate) hdr_metadata: HdrMetadata,
}

impl Media {
    /// Returns the value of a tag. The case of tag names depends on the container.
    pub(crate) fn tag(&self, name: &str) -> Option<&str> {
        let mut tags = self.tags.iter();
        let tag = tags.find(|(found, _)| found.eq_ignore_ascii_case(name));
        tag.map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AudioTrack {
    /// Index of the track among all streams of the source.
    pub(crate) index: u32,
    pub(crate) codec: String,
    pub(crate) channels: u32,
    /// Whether the speaker positions of the channels are known.
    pub(crate) has_layout: bool,
    /// Samples per second of each channel.
    pub(crate) sample_rate: u32,
    /// Bit rate in bits per second, if the container specifies it.
    pub(crate) bit_rate: Option<u64>,
    pub(crate) language: Option<String>,
}

/// Mastering display and content light level of an HDR video (SMPTE ST 2086, CTA-861.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HdrMetadata {
    pub(crate) mastering: Option<Mastering>,
    /// Maximum content light level and maximum frame-average light level in cd/m².
    pub(crate) content: Option<(u32, u32)>,
}

/// Chromaticities in units of 1/50000, luminances in units of 1/10000 cd/m².
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mastering {
    pub(crate) red: (u32, u32),
    pub(crate) green: (u32, u32),
    pub(crate) blue: (u32, u32),
    pub(crate) white: (u32, u32),
    pub(crate) max_luminance: u32,
    pub(crate) min_luminance: u32,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Deserialize, Default)]
struct Format {
    start_time: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Stream {
    index: u32,
    codec_type: Option<String>,
    codec_name: Option<String>,
    channels: Option<u32>,
    channel_layout: Option<String>,
    sample_rate: Option<String>,
    bit_rate: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Frames {
    #[serde(default)]
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Deserialize)]
struct SideData {
    red_x: Option<String>,
    red_y: Option<String>,
    green_x: Option<String>,
    green_y: Option<String>,
    blue_x: Option<String>,
    blue_y: Option<String>,
    white_point_x: Option<String>,
    white_point_y: Option<String>,
    min_luminance: Option<String>,
    max_luminance: Option<String>,
    max_content: Option<u32>,
    max_average: Option<u32>,
}

/// Reads the contents of the input. With `hdr`, also reads the HDR metadata, which requires decoding a frame.
pub(crate) fn describe(
    invocation: Invocation<'_>,
    video: &VideoInfo,
    hdr: bool,
) -> Result<Media, ExtractError> {
    let Invocation { input, limits, .. } = invocation;
    let mut media = read(Ffprobe::opening(invocation).ask(args::probe_streams(input, limits))?);
    if hdr && video.colour.is_hdr() {
        let ffprobe = Ffprobe::new(invocation).with_workload(Workload::opening(input).decoding(video));
        media.hdr_metadata = hdr_metadata(ffprobe.ask(args::probe_first_frame(invocation.opened(video)))?);
    }
    Ok(media)
}

fn read(document: Document) -> Media {
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
    let mut media = Media {
        start_s: number(&document.format.start_time).unwrap_or(0.0),
        duration_s: number(&document.format.duration).filter(|&s| s > 0.0),
        tags: document.format.tags,
        ..Media::default()
    };
    let (mut mute, mut surplus, mut subtitles) = (0, 0, 0);
    for stream in document.streams {
        match stream.codec_type.as_deref() {
            Some("subtitle") => subtitles += 1,
            Some("audio") => {
                let known = stream
                    .codec_name
                    .filter(|name| name != "none" && name != "unknown");
                let sample_rate = stream.sample_rate.and_then(|rate| rate.parse().ok());
                match (known, stream.channels, sample_rate) {
                    (Some(_), Some(1..), Some(1..)) if media.audio.len() >= AUDIO_TRACKS => surplus += 1,
                    (Some(codec), Some(channels @ 1..), Some(sample_rate @ 1..)) => {
                        media.audio.push(AudioTrack {
                            index: stream.index,
                            codec,
                            channels,
                            has_layout: stream.channel_layout.is_some_and(|layout| is_layout(&layout)),
                            sample_rate,
                            bit_rate: stream.bit_rate.and_then(|rate| rate.parse().ok()),
                            language: stream.tags.get("language").filter(|l| is_language(l)).cloned(),
                        })
                    }
                    _ => mute += 1,
                }
            }
            // Cover art, time codes and positions are not presented.
            _ => {}
        }
    }
    for (count, what) in [
        (mute, "of an unknown codec or without channels"),
        (surplus, "beyond the first 16"),
    ] {
        if count > 0 {
            media.left_out.push(format!("{count} audio track(s) {what}"));
        }
    }
    if subtitles > 0 {
        media.left_out.push(format!("{subtitles} subtitle track(s)"));
    }
    media
}

/// Returns whether ffprobe reports a channel layout and not only a number of channels.
fn is_layout(text: &str) -> bool {
    text != "unknown" && !text.ends_with(" channels")
}

/// Returns whether a text is a language code of ISO 639, optionally with a region.
fn is_language(text: &str) -> bool {
    text != "und"
        && (2..=16).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn hdr_metadata(frames: Frames) -> HdrMetadata {
    let mut metadata = HdrMetadata::default();
    for side in frames.frames.into_iter().flat_map(|frame| frame.side_data_list) {
        metadata.mastering = metadata.mastering.or_else(|| mastering(&side));
        let content = side.max_content.zip(side.max_average);
        metadata.content = metadata.content.or(content);
    }
    metadata
}

fn mastering(side: &SideData) -> Option<Mastering> {
    let scaled = |text: &Option<String>, unit: u32| {
        let ratio: Ratio<i64> = text.as_deref()?.parse().ok()?;
        let scaled = (ratio * i64::from(unit)).round().to_integer();
        u32::try_from(scaled).ok()
    };
    let point = |x, y| Some((scaled(x, 50_000)?, scaled(y, 50_000)?));
    Some(Mastering {
        red: point(&side.red_x, &side.red_y)?,
        green: point(&side.green_x, &side.green_y)?,
        blue: point(&side.blue_x, &side.blue_y)?,
        white: point(&side.white_point_x, &side.white_point_y)?,
        max_luminance: scaled(&side.max_luminance, 10_000)?,
        min_luminance: scaled(&side.min_luminance, 10_000)?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_tracks_that_cannot_be_kept() {
        let document = json!({
            "streams": [
                {"index": 0, "codec_type": "video", "codec_name": "h264"},
                {"index": 1, "codec_type": "audio", "codec_name": "aac", "channels": 2, "sample_rate": "48000",
                 "bit_rate": "128000", "tags": {"language": "deu"}},
                {"index": 2, "codec_type": "audio", "codec_name": "none", "channels": 4, "sample_rate": "48000"},
                {"index": 3, "codec_type": "audio", "channels": 4, "sample_rate": "48000"},
                {"index": 4, "codec_type": "subtitle", "codec_name": "subrip"},
                {"index": 5, "codec_type": "data"},
            ],
            "format": {"start_time": "1.400000", "duration": "N/A", "tags": {"title": "x"}},
        });
        let media = read(serde_json::from_value(document).unwrap());
        assert_eq!(media.audio.len(), 1);
        assert_eq!(media.audio[0].language.as_deref(), Some("deu"));
        assert_eq!((media.start_s, media.duration_s), (1.4, None));
        assert_eq!(
            media.left_out,
            [
                "2 audio track(s) of an unknown codec or without channels",
                "1 subtitle track(s)"
            ]
        );
    }

    #[test]
    fn reads_hdr_metadata_in_the_units_of_its_standard() {
        let frames = json!({"frames": [{"side_data_list": [
            {"side_data_type": "Mastering display metadata",
             "red_x": "34000/50000", "red_y": "16000/50000", "green_x": "13250/50000", "green_y": "34500/50000",
             "blue_x": "7500/50000", "blue_y": "3000/50000", "white_point_x": "15635/50000",
             "white_point_y": "16450/50000", "min_luminance": "1/10000", "max_luminance": "10000000/10000"},
            {"side_data_type": "Content light level metadata", "max_content": 1000, "max_average": 400},
        ]}]});
        let metadata = hdr_metadata(serde_json::from_value(frames).unwrap());
        let mastering = metadata.mastering.unwrap();
        assert_eq!(
            (mastering.red, mastering.max_luminance, mastering.min_luminance),
            ((34_000, 16_000), 10_000_000, 1)
        );
        assert_eq!(metadata.content, Some((1000, 400)));
    }
}
