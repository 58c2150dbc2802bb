//! Resolution of options and a source to the settings of an encoder. Pure.

use crate::compress::{AudioMode, Codec, CompressError, CompressRequest, Container};
use crate::ffmpeg::args::ENCODED;
use crate::ffmpeg::filters::{self, input_matrix, input_range, is_deep, is_rgb, rotation, tonemap_chain};
use crate::units::{Rational, TimeBase, approximate_seconds};
use crate::video::{Orientation, VideoInfo};

use super::ending::Ending;
use super::media::{AudioTrack, HdrMetadata, Media};

/// Maximum number of frames that are dropped by index.
pub(super) const MAX_REPLACED: usize = 500;
/// Latest start in seconds that the output takes over from the source. Broadcasts begin at times of several
/// hours, and players would wait until then.
const LATEST_START: f64 = 60.0;
/// Bit rates in bits per second of an audio track in the default codec of the container: for mono, for stereo,
/// and for each channel of more.
const AUDIO_BIT_RATES: [u64; 3] = [80_000, 128_000, 48_000];
/// Maximum number of samples of silence that fill a pause. They are in memory at once, with up to 8 bytes each.
const SILENCE: u64 = 1 << 26;

/// Tags of a source that may be published with the video.
const HARMLESS_TAGS: [&str; 9] = [
    "title",
    "artist",
    "album",
    "genre",
    "date",
    "copyright",
    "comment",
    "description",
    "creation_time",
];

/// Settings of an encoder, except for its bit rate or quality.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Index of the video stream among all streams of the source.
    pub(crate) stream: u32,
    pub(crate) codec: Codec,
    pub(crate) container: Container,
    /// Filters that are applied to frames before they are encoded.
    pub(crate) filters: String,
    /// Width and height as stored.
    pub(crate) size: (u32, u32),
    pub(crate) pixel_format: &'static str,
    /// Lowest level of H.264 for this size and frame rate, if there is one.
    pub(crate) level: Option<&'static str>,
    pub(crate) audio: Vec<AudioOutput>,
    /// HDR metadata of a video that stays HDR.
    pub(crate) hdr_metadata: HdrMetadata,
    pub(crate) keep_metadata: bool,
    /// Tags of the source that are kept although its other metadata is dropped.
    pub(crate) tags: Vec<(String, String)>,
    /// Seconds by which timestamps are shifted towards 0; negative if the source starts before 0.
    pub(crate) shift_s: f64,
    /// Whether ffmpeg applies the rotation instead of our filters. Before version 6 ffmpeg removes the rotation
    /// from the metadata of the output only if it has applied the rotation itself.
    pub(crate) autorotate: bool,
    /// Whether the filter graph must be kept when the frame size changes, since frames are deinterlaced.
    pub(crate) steady: bool,
    pub(crate) time_base: TimeBase,
    /// Coarser time base of the encoder that represents all timestamps exactly: see [`Settings::counting_in`].
    pub(crate) encoder_time_base: Option<TimeBase>,
    /// The last frame, if the source stores its duration.
    pub(crate) ending: Option<Ending>,
    /// Maximum number of samples of silence that fill a pause in the audio.
    pub(crate) silence: u64,
    /// Whether the first pass stores the dependencies between blocks of frames (macroblock tree). They improve
    /// the quality at the same size and take some kilobytes per frame.
    pub(crate) macroblock_tree: bool,
    /// Size in bytes at which ffmpeg ends the output, slightly above the limit. The size must be enforced by
    /// ffmpeg because audio and copied streams report no frames.
    pub(crate) max_bytes: u64,
    pub(crate) warnings: Vec<String>,
}

/// An audio track of the output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AudioOutput {
    /// Index of the track among all streams of the source.
    pub(crate) index: u32,
    /// Bit rate in bits per second; `None` copies the track.
    pub(crate) bit_rate: Option<u64>,
    /// Samples per second, summed over all channels.
    pub(crate) samples: u64,
    /// Whether only the first two channels are encoded, since the layout of so many channels is unknown.
    pub(crate) first_two: bool,
    /// Bit rate of a copy, if the source specifies it.
    pub(crate) copied: Option<u64>,
    /// Whether the container can hold a copy.
    pub(crate) held: bool,
    /// Whether older versions of ffmpeg treat the copy as experimental.
    pub(crate) experimental: bool,
    pub(crate) language: Option<String>,
}

impl Settings {
    /// Resolves the settings. `ffmpeg` is the major version, and `tonemaps` is whether ffmpeg can convert HDR to
    /// SDR.
    ///
    /// # Errors
    /// Fails with [`CompressError::NotHeld`] if the container or encoder does not support the request.
    pub(crate) fn resolve(
        request: &CompressRequest,
        media: &Media,
        ffmpeg: u32,
        tonemaps: bool,
    ) -> Result<Self, CompressError> {
        let options = &request.options;
        let autorotate = ffmpeg < 6 && request.video.orientation != Orientation::Upright;
        let video = &match autorotate {
            true => request.video.turned_upright(),
            false => request.video.clone(),
        };
        let (codec, container) = (options.codec, options.container());
        if !container.holds(codec) {
            let text = format!("{} does not support {codec}", container.extension());
            return Err(CompressError::NotHeld(text));
        }
        let size = output_size(video, options.max_height);
        check_size(codec, size)?;
        let hdr = video.colour.is_hdr();
        let conversion = Conversion {
            video,
            codec,
            size,
            deinterlace: request.deinterlace,
            tonemap: hdr && !codec.keeps_hdr() && tonemaps,
        };
        let audio = audio_outputs(media, container, options.audio)?;
        let first_frame_s = request
            .timeline
            .as_ref()
            .map(|timeline| approximate_seconds(video.time_base.seconds(timeline.pts()[0].into())));
        let shift_s = shift(media.start_s, first_frame_s);
        let mut warnings = media
            .left_out
            .iter()
            .map(|what| format!("left out: {what}"))
            .collect::<Vec<_>>();
        warnings.extend(conversion.warning());
        warnings.extend(audio_warning(&audio));
        warnings.extend(shift_warning(shift_s));
        Ok(Self {
            stream: video.stream,
            codec,
            container,
            filters: conversion.filter_graph(),
            size,
            pixel_format: pixel_format(codec, video),
            level: (codec == Codec::H264)
                .then(|| level(size, rate(request)))
                .flatten(),
            audio,
            hdr_metadata: if hdr && codec.keeps_hdr() {
                media.hdr_metadata
            } else {
                HdrMetadata::default()
            },
            keep_metadata: options.keep_metadata,
            tags: harmless_tags(media, options.keep_metadata),
            shift_s,
            autorotate,
            steady: request.deinterlace,
            time_base: video.time_base,
            encoder_time_base: None,
            ending: request
                .timeline
                .as_ref()
                .and_then(|timeline| Ending::new(timeline, ffmpeg)),
            silence: SILENCE,
            macroblock_tree: true,
            max_bytes: request.ceiling.saturating_add(1 << 20).min(i64::MAX as u64),
            warnings,
        })
    }

    /// Returns the time base of the container.
    pub(crate) fn muxed_time_base(&self) -> TimeBase {
        let ticks = match self.container {
            Container::Mp4 => self.time_base.denominator().min(i32::MAX as u32),
            Container::WebM => 1000,
        };
        TimeBase::new(1, ticks).unwrap_or(self.time_base)
    }

    /// Returns the audio encoder, if one is needed.
    pub(crate) fn audio_encoder(&self) -> Option<&'static str> {
        let needed = self.audio.iter().any(|track| track.bit_rate.is_some());
        needed.then_some(match self.container {
            Container::Mp4 => "aac",
            Container::WebM => "libopus",
        })
    }

    /// Returns the longest pause in the audio in seconds that can be filled: 11 minutes of stereo.
    pub(crate) fn max_pause_s(&self) -> u64 {
        let encoded = self.audio.iter().filter(|track| track.bit_rate.is_some());
        let samples = encoded.map(|track| track.samples).fold(0, u64::saturating_add);
        (self.silence / samples.max(1)).max(1)
    }

    /// Copies all audio tracks that the container can hold.
    pub(crate) fn copy_audio(&mut self) {
        for track in self.audio.iter_mut().filter(|track| track.held) {
            track.bit_rate = None;
        }
    }

    /// Makes the encoder count in units of `ticks`, of which all timestamps are multiples. libvpx plans for a
    /// frame per tick unless it receives durations, which ffmpeg passes from version 6 on.
    pub(crate) fn counting_in(mut self, ticks: u32) -> Self {
        self.encoder_time_base = self.time_base.times(ticks);
        self
    }

    /// Adjusts the settings for one of several outputs of a command.
    pub(crate) fn one_of(mut self, outputs: usize) -> Self {
        self.silence /= outputs.max(1) as u64;
        self
    }

    /// Drops frames that are never presented, given by their indices among the decoded frames.
    pub(crate) fn without(mut self, replaced: &[u64]) -> Self {
        let replaced = &replaced[..replaced.len().min(MAX_REPLACED)];
        self.filters = self.filters.replacen(&presented(&[]), &presented(replaced), 1);
        self
    }

    /// Removes the filter that reports frames.
    pub(crate) fn silent(mut self) -> Self {
        self.filters = self.filters.replacen(&format!("{},", report_filter()), "", 1);
        self
    }

    /// Returns the total bit rate of all audio tracks in bits per second, as far as known.
    pub(crate) fn audio_bit_rate(&self) -> u64 {
        let rate = |track: &AudioOutput| track.bit_rate.or(track.copied).unwrap_or(128_000);
        self.audio.iter().map(rate).fold(0, u64::saturating_add)
    }
}

/// Returns the tags of the source that are kept although its other metadata is dropped.
fn harmless_tags(media: &Media, keep_metadata: bool) -> Vec<(String, String)> {
    let names = HARMLESS_TAGS.iter().filter(|_| !keep_metadata);
    names
        .filter_map(|&name| Some((name.to_owned(), printable(media.tag(name)?)?)))
        .collect()
}

/// Returns a text that can be passed on a command line.
fn printable(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control()).take(1000).collect();
    (!text.is_empty()).then_some(text)
}

/// Returns the size of the output: upright, even, and not larger than the source.
fn output_size(video: &VideoInfo, max_height: Option<u32>) -> (u32, u32) {
    let (width, height) = upright(video);
    let max = max_height.map_or(height, |max| max.min(height));
    let max = if max < height { max / 2 * 2 } else { max };
    let shrink = |side: u32| {
        let exact = Rational::from_integer(side.into()) * Rational::new(max.into(), height.into());
        u32::try_from((exact / Rational::from_integer(2)).round().to_integer()).unwrap_or(u32::MAX)
    };
    let width = if max < height {
        shrink(width) * 2
    } else {
        width / 2 * 2
    };
    (width.max(2), (max / 2 * 2).max(2))
}

/// Fails for sizes that some version or build of the encoder does not support.
fn check_size(codec: Codec, (width, height): (u32, u32)) -> Result<(), CompressError> {
    let (min, max) = match codec {
        Codec::H264 => (2, (16_384, 16_384)),
        Codec::Hevc => (16, (u32::MAX, u32::MAX)),
        Codec::Av1 => (64, (16_384, 8_704)),
        Codec::Vp9 => (2, (16_384, 16_384)),
    };
    let takes = if width.min(height) < min {
        format!("sides of at least {min} pixels")
    } else if width > max.0 || height > max.1 {
        format!("at most {}×{} pixels", max.0, max.1)
    } else {
        return Ok(());
    };
    let text = format!("{codec} requires {takes}, but the output would have {width}×{height}");
    Err(CompressError::NotHeld(text))
}

/// Returns width and height after rotation.
fn upright(video: &VideoInfo) -> (u32, u32) {
    match video.orientation.swaps_sides() {
        true => (video.height, video.width),
        false => (video.width, video.height),
    }
}

/// Conversion of decoded frames to frames of the output.
struct Conversion<'a> {
    video: &'a VideoInfo,
    codec: Codec,
    size: (u32, u32),
    deinterlace: bool,
    /// Whether HDR is converted to SDR.
    tonemap: bool,
}

impl Conversion<'_> {
    /// Returns a warning if an HDR video would have to be converted to SDR, but is not.
    fn warning(&self) -> Option<String> {
        let text =
            "the video is HDR and this ffmpeg has no zscale and tonemap filters: it will look washed out";
        let lacks = self.video.colour.is_hdr() && !self.codec.keeps_hdr() && !self.tonemap;
        lacks.then(|| text.to_owned())
    }

    /// Returns the filters that are applied to frames before they are encoded, including a filter that reports
    /// frames.
    fn filter_graph(&self) -> String {
        let &Self {
            video,
            codec,
            size,
            deinterlace,
            tonemap,
        } = self;
        let mut chain: Vec<String> = Vec::new();
        chain.extend(filters::from_first_keyframe(video));
        if deinterlace {
            chain.extend(filters::deinterlace(video, false));
        }
        chain.push(report_filter());
        chain.push(presented(&[]));
        // The rotation is applied below; players must not apply it again.
        chain.push("sidedata=mode=delete:type=DISPLAYMATRIX".to_owned());
        chain.extend(rotation(video.orientation).map(str::to_owned));
        let aspect = match video.orientation.swaps_sides() {
            true => video.sample_aspect.recip(),
            false => video.sample_aspect,
        };
        let mut stored = upright(video);
        let whole = (stored.0.max(2) / 2 * 2, stored.1.max(2) / 2 * 2);
        if size == whole && whole != stored && stored.0 > 1 && stored.1 > 1 {
            // Subsampled chroma requires even sides. Cropping loses less than a line and, unlike scaling, blurs
            // nothing.
            chain.push("crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0".to_owned());
            stored = whole;
        }
        if tonemap {
            chain.push(tonemap_chain(video));
            for kind in ["MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"] {
                chain.push(format!("sidedata=mode=delete:type={kind}"));
            }
        }
        let (scale, pad) = filters::fit(stored, size, aspect);
        let full = !tonemap && input_range(video) == "pc";
        let colours = match (tonemap, is_rgb(video), full) {
            (false, true, _) => ":out_color_matrix=bt709:out_range=tv",
            (false, false, true) => ":in_range=pc:out_range=pc",
            _ => "",
        };
        // Restored below by `colour_tags`.
        let forget = filters::forget_matrix(video).filter(|_| !tonemap);
        chain.extend(forget.map(str::to_owned));
        let shape = format!("{}/{}", aspect.numer(), aspect.denom());
        let format = pixel_format(codec, video);
        chain.push(format!(
            "{scale}:flags=bicubic+accurate_rnd{colours},setsar={shape},format={format}"
        ));
        chain.extend(pad);
        chain.push(self.colour_tags());
        chain.join(",")
    }

    /// Returns the colour tags of the output: the tags of the source that still apply.
    fn colour_tags(&self) -> String {
        let &Self {
            video,
            codec,
            size,
            tonemap,
            ..
        } = self;
        if tonemap {
            return "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv".to_owned();
        }
        let colour = &video.colour;
        // Players choose the matrix of an untagged video by its size. The choice must not change the colours.
        let guessed = || match (input_matrix(video), size.1 >= 720 || size.0 >= 1280) {
            ("bt709", false) => Some("bt709".to_owned()),
            _ => None,
        };
        let matrix = match is_rgb(video) {
            true => Some("bt709".to_owned()),
            // Only RGB samples have this matrix, whatever a container specifies.
            false => colour
                .matrix
                .clone()
                .filter(|matrix| matrix != "gbr")
                .or_else(guessed),
        };
        let range = match (is_rgb(video), input_range(video)) {
            (true, _) => Some("tv"),
            (false, "pc") => Some("pc"),
            (false, "tv") if colour.full_range == Some(false) => Some("tv"),
            _ => None,
        };
        // Without these tags the tags of frames would apply, and encoders fail on unknown values.
        let said = |value: &Option<String>| match value.as_deref() {
            None | Some("reserved") => "unknown".to_owned(),
            Some("ebu3213" | "jedec-p22") if codec == Codec::Hevc => "unknown".to_owned(),
            Some(known) => known.to_owned(),
        };
        format!(
            "setparams=colorspace={}:color_primaries={}:color_trc={}{}",
            said(&matrix),
            said(&colour.primaries),
            said(&colour.transfer),
            range.map(|range| format!(":range={range}")).unwrap_or_default(),
        )
    }
}

/// Returns the filter that selects the presented frames. Frames that go back in time are not presented, and
/// encoders refuse them. Frames with an index in `replaced` share their timestamp with a later frame.
fn presented(replaced: &[u64]) -> String {
    let onwards = "(isnan(prev_selected_pts)+gt(pts,prev_selected_pts))";
    match replaced.is_empty() {
        true => format!("select='{onwards}'"),
        false => format!("select='not({})*{onwards}'", is_among(replaced)),
    }
}

/// Returns an expression for whether the index of a frame is among the ascending `indices`. The expression is a
/// tree, since ffmpeg accepts at most a hundred terms in a row.
fn is_among(indices: &[u64]) -> String {
    match indices {
        [] => "0".to_owned(),
        [index] => format!("eq(n,{index})"),
        _ => {
            let (low, high) = indices.split_at(indices.len() / 2);
            format!("if(lt(n,{}),{},{})", high[0], is_among(low), is_among(high))
        }
    }
}

/// Returns the filter that reports frames.
fn report_filter() -> String {
    format!("showinfo@{}=checksum=0", *ENCODED)
}

/// Returns the seconds by which timestamps are shifted towards 0. A source that starts late is shifted, and a
/// source whose video starts before 0, since containers drop or hide frames with negative timestamps.
fn shift(start_s: f64, first_frame_s: Option<f64>) -> f64 {
    match first_frame_s {
        _ if start_s > LATEST_START => start_s,
        Some(first) if first < 0.0 => first.min(start_s),
        _ => 0.0,
    }
}

/// Returns a 10-bit format if the source has more than 8 bits and players of the codec support 10 bits.
fn pixel_format(codec: Codec, video: &VideoInfo) -> &'static str {
    let ten = match codec {
        Codec::H264 => false,
        Codec::Hevc | Codec::Av1 => is_deep(&video.pixel_format),
        Codec::Vp9 => video.colour.is_hdr(),
    };
    if ten { "yuv420p10le" } else { "yuv420p" }
}

/// Returns a warning if timestamps are shifted by `shift_s` seconds.
fn shift_warning(shift_s: f64) -> Option<String> {
    (shift_s != 0.0).then(|| {
        format!("the source starts at {shift_s:.3} s, but the output starts at 0 and has no chapters")
    })
}

fn audio_outputs(
    media: &Media,
    container: Container,
    mode: AudioMode,
) -> Result<Vec<AudioOutput>, CompressError> {
    let tracks = media.audio.iter().filter(|_| mode != AudioMode::None);
    tracks
        .map(|track| audio_output(track, container, mode == AudioMode::Copy))
        .collect()
}

/// Returns a warning if channels of an audio track are dropped.
fn audio_warning(audio: &[AudioOutput]) -> Option<String> {
    let text = "an audio track has more than 8 channels in an unknown layout: only the first two are kept";
    let is_reduced = |track: &AudioOutput| track.first_two && track.bit_rate.is_some();
    audio.iter().any(is_reduced).then(|| text.to_owned())
}

fn audio_output(track: &AudioTrack, container: Container, copy: bool) -> Result<AudioOutput, CompressError> {
    let codec = track.codec.as_str();
    let own = match container {
        Container::Mp4 => "aac",
        Container::WebM => "opus",
    };
    let held: &[&str] = match container {
        Container::Mp4 => &["aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"],
        Container::WebM => &["opus", "vorbis"],
    };
    let held = held.contains(&codec);
    if copy && !held {
        return Err(CompressError::NotHeld(format!(
            "the audio is {codec}, which {} does not support: encode the audio as {own} or leave it out",
            container.extension()
        )));
    }
    let first_two = track.channels > 8 && !track.has_layout;
    let bit_rate = match track.channels {
        _ if first_two => AUDIO_BIT_RATES[1],
        1 => AUDIO_BIT_RATES[0],
        2 => AUDIO_BIT_RATES[1],
        more => AUDIO_BIT_RATES[2] * u64::from(more.min(8)),
    };
    // Encoding again would reduce the quality and save next to nothing.
    let small = codec == own && track.bit_rate.is_some_and(|rate| rate <= bit_rate * 5 / 4);
    Ok(AudioOutput {
        index: track.index,
        bit_rate: (!copy && !small).then_some(bit_rate),
        samples: u64::from(track.sample_rate) * u64::from(track.channels),
        first_two,
        copied: track.bit_rate,
        held,
        experimental: codec == "flac",
        language: track.language.clone(),
    })
}

/// Returns the frame rate as far as the container specifies it.
fn rate(request: &CompressRequest) -> f64 {
    let video = &request.video;
    let counted = video.duration.map(approximate_seconds).filter(|&s| s > 0.0);
    let counted = counted.map_or(0.0, |seconds| request.frames() as f64 / seconds);
    let claimed = video.frame_rate.map_or(0.0, approximate_seconds);
    // A claimed rate that contradicts the number of frames is ignored.
    match counted > 0.0 {
        true => claimed.min(counted * 2.0).max(counted),
        false => claimed,
    }
}

/// Returns the lowest level of H.264 for frames of this size at this rate (ITU-T H.264, table A-1). For a
/// variable frame rate the encoder would derive the level from the time base and choose a level that few decoders
/// support.
fn level((width, height): (u32, u32), rate: f64) -> Option<&'static str> {
    const LEVELS: [(&str, u64, u64); 9] = [
        ("3.0", 40_500, 1_620),
        ("3.1", 108_000, 3_600),
        ("3.2", 216_000, 5_120),
        ("4.0", 245_760, 8_192),
        ("4.2", 522_240, 8_704),
        ("5.0", 589_824, 22_080),
        ("5.1", 983_040, 36_864),
        ("5.2", 2_073_600, 36_864),
        ("6.1", 8_355_840, 139_264),
    ];
    let blocks = |side: u32| u64::from(side.div_ceil(16));
    let blocks = blocks(width) * blocks(height);
    let fits = |&&(_, a_second, a_frame): &&(&str, u64, u64)| {
        blocks <= a_frame && blocks as f64 * rate <= a_second as f64
    };
    // Without a rate the choice is left to the encoder.
    (rate > 0.0)
        .then(|| LEVELS.iter().find(fits).map(|level| level.0))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_late_and_negative_starts_to_zero() {
        for (start, first_frame, moved) in [
            (0.0, Some(0.0), 0.0),
            (1.4, Some(1.5), 0.0),
            (-0.02, Some(0.0), 0.0),
            (-0.02, None, 0.0),
            (95_442.0, Some(95_442.5), 95_442.0),
            (-0.3, Some(-0.3), -0.3),
            (-0.5, Some(-0.3), -0.5),
            (0.0, Some(-0.3), -0.3),
        ] {
            assert_eq!(shift(start, first_frame), moved, "{start} {first_frame:?}");
        }
    }
}
