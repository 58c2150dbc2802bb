//! Options and a source, resolved to what an encoder is told. Pure.

use crate::compress::{AudioMode, Codec, CompressError, CompressRequest, Container};
use crate::ffmpeg::args::ENCODED;
use crate::ffmpeg::filters::{self, input_matrix, input_range, is_deep, is_rgb, tonemap_chain, turn};
use crate::units::{Rational, TimeBase, approximate_seconds};
use crate::video::{Orientation, VideoInfo};

use super::encode::UNSEEN;
use super::ending::Ending;
use super::media::{AudioTrack, Light, Media};

/// Seconds that a source may begin after 0 and its output too. Broadcasts begin at hours that mean nothing
/// to a player, which would wait for them.
const LATEST_START: f64 = 60.0;
/// Bits a second that one more sound track takes in the container's own codec: of one channel, of two, of
/// each of more.
const SOUND: [u64; 3] = [80_000, 128_000, 48_000];
/// Samples of silence at most that fill a pause: they are in memory at once, with up to 8 bytes each.
const SILENCE: u64 = 1 << 26;

/// What is said of a source that may be known when a video is passed on.
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

/// Everything an encoder is told, but for how much it may spend.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Number of the video among all streams of the source.
    pub(crate) stream: u32,
    pub(crate) codec: Codec,
    pub(crate) container: Container,
    /// What is done to frames before they are encoded.
    pub(crate) filters: String,
    /// Width and height as stored.
    pub(crate) size: (u32, u32),
    pub(crate) pixel_format: &'static str,
    /// The level of H.264 that holds it, where one does.
    pub(crate) level: Option<&'static str>,
    pub(crate) audio: Vec<Sound>,
    /// The light of an HDR video that stays one.
    pub(crate) light: Light,
    pub(crate) keep_metadata: bool,
    /// What is said of the source all the same.
    pub(crate) tags: Vec<(String, String)>,
    /// Seconds by which timestamps are moved towards 0; negative where the source starts before 0.
    pub(crate) shift_s: f64,
    /// Whether ffmpeg turns the pictures upright and not our filters: before version 6 it would say of the
    /// output that it is still turned, unless it did that itself.
    pub(crate) autorotate: bool,
    /// Whether frames pass a deinterlacer.
    pub(crate) steady: bool,
    pub(crate) time_base: TimeBase,
    /// What the encoder counts in, where that is coarser and loses nothing: see [`Settings::counting_in`].
    pub(crate) encoder_time_base: Option<TimeBase>,
    /// The last frame, where the source stores how long it is displayed.
    pub(crate) ending: Option<Ending>,
    /// Samples of silence at most that fill a pause in the sound.
    pub(crate) silence: u64,
    /// Whether a first pass notes how blocks of each frame depend on one another, which makes a better video
    /// of the same size and takes some kilobytes a frame.
    pub(crate) notes_trees: bool,
    /// Bytes at which the output ends, a little above what it may have: sound and copies tell of no frames on
    /// their way.
    pub(crate) most_bytes: u64,
    pub(crate) warnings: Vec<String>,
}

/// One sound track of the output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sound {
    /// Number of the track among all streams of the source.
    pub(crate) index: u32,
    /// Bits a second, or as it is.
    pub(crate) bit_rate: Option<u64>,
    /// Samples a second, of all channels.
    pub(crate) samples: u64,
    /// Whether only the first two channels are encoded, since nobody knows where so many are to be heard.
    pub(crate) first_two: bool,
    /// What it takes as it is, where the source says.
    pub(crate) copied: Option<u64>,
    /// Whether the container holds it as it is.
    pub(crate) held: bool,
    /// Whether older versions of ffmpeg take that for an experiment.
    pub(crate) experimental: bool,
    pub(crate) language: Option<String>,
}

impl Settings {
    /// `ffmpeg` is its major version, and `tonemaps` says whether it can bring HDR to SDR.
    ///
    /// # Errors
    /// [`CompressError::NotHeld`].
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
            let text = format!("{} does not hold {codec}", container.extension());
            return Err(CompressError::NotHeld(text));
        }
        let mut warnings: Vec<String> = media
            .left_out
            .iter()
            .map(|what| format!("left out: {what}"))
            .collect();
        let size = output_size(video, options.max_height);
        check_size(codec, size)?;
        let hdr = video.colour.is_hdr();
        let tonemap = hdr && !codec.keeps_hdr() && tonemaps;
        if hdr && !codec.keeps_hdr() && !tonemaps {
            warnings.push(
                "the video is HDR and this ffmpeg has no zscale and tonemap filters: it will look washed out"
                    .to_owned(),
            );
        }
        let sounds = match options.audio {
            AudioMode::None => Vec::new(),
            mode => media
                .audio
                .iter()
                .map(|track| sound(track, container, mode == AudioMode::Copy))
                .collect::<Result<_, _>>()?,
        };
        if sounds
            .iter()
            .any(|sound| sound.first_two && sound.bit_rate.is_some())
        {
            let text = "of a sound with more than 8 channels in no known layout only the first two are taken";
            warnings.push(text.to_owned());
        }
        let first_frame_s = request
            .timeline
            .as_ref()
            .map(|timeline| approximate_seconds(video.time_base.seconds(timeline.pts()[0].into())));
        let shift_s = shift(media.start_s, first_frame_s);
        if shift_s != 0.0 {
            warnings.push(format!(
                "the source starts at {shift_s:.3} s, and the result at 0, without chapters"
            ));
        }
        Ok(Self {
            stream: video.stream,
            codec,
            container,
            filters: filter_graph(video, codec, request.deinterlace, size, tonemap),
            size,
            pixel_format: pixel_format(codec, video),
            level: (codec == Codec::H264)
                .then(|| level(size, rate(request)))
                .flatten(),
            audio: sounds,
            light: if hdr && codec.keeps_hdr() {
                media.light
            } else {
                Light::default()
            },
            keep_metadata: options.keep_metadata,
            tags: HARMLESS_TAGS
                .iter()
                .filter(|_| !options.keep_metadata)
                .filter_map(|&name| Some((name.to_owned(), printable(media.tag(name)?)?)))
                .collect(),
            shift_s,
            autorotate,
            steady: request.deinterlace,
            time_base: video.time_base,
            encoder_time_base: None,
            ending: request
                .timeline
                .as_ref()
                .and_then(|timeline| Ending::of(timeline, ffmpeg)),
            silence: SILENCE,
            notes_trees: true,
            most_bytes: request.ceiling.saturating_add(1 << 20).min(i64::MAX as u64),
            warnings,
        })
    }

    /// Returns the unit in which the container counts.
    pub(crate) fn muxed_time_base(&self) -> TimeBase {
        let ticks = match self.container {
            Container::Mp4 => self.time_base.denominator().min(i32::MAX as u32),
            Container::WebM => 1000,
        };
        TimeBase::new(1, ticks).unwrap_or(self.time_base)
    }

    /// The encoder of sound that is needed.
    pub(crate) fn encodes_sound(&self) -> Option<&'static str> {
        let needed = self.audio.iter().any(|sound| sound.bit_rate.is_some());
        needed.then_some(match self.container {
            Container::Mp4 => "aac",
            Container::WebM => "libopus",
        })
    }

    /// Seconds of a pause in the sound that can be filled: 11 minutes of stereo.
    pub(crate) fn longest_pause_s(&self) -> u64 {
        let encoded = self.audio.iter().filter(|sound| sound.bit_rate.is_some());
        let samples = encoded.map(|sound| sound.samples).fold(0, u64::saturating_add);
        (self.silence / samples.max(1)).max(1)
    }

    /// The same, with sound as it is wherever the container holds it.
    pub(crate) fn keep_sound(&mut self) {
        for sound in self.audio.iter_mut().filter(|sound| sound.held) {
            sound.bit_rate = None;
        }
    }

    /// The same, whose encoder counts in the coarsest unit that all timestamps are whole numbers of. libvpx
    /// plans for a frame every tick, unless it is told of durations, which ffmpeg does from version 6 on.
    pub(crate) fn counting_in(mut self, ticks: u32) -> Self {
        self.encoder_time_base = self.time_base.times(ticks);
        self
    }

    /// The same as one of several outputs of a command.
    pub(crate) fn one_of(mut self, outputs: usize) -> Self {
        self.silence /= outputs.max(1) as u64;
        self
    }

    /// The same without frames that are never seen, by their places among those that are decoded.
    pub(crate) fn without(mut self, unseen: &[u64]) -> Self {
        let unseen = &unseen[..unseen.len().min(UNSEEN)];
        self.filters = self.filters.replacen(&seen(&[]), &seen(unseen), 1);
        self
    }

    /// The same, whose frames do not report themselves.
    pub(crate) fn silent(mut self) -> Self {
        self.filters = self.filters.replacen(&format!("{},", reports()), "", 1);
        self
    }

    /// Bits a second of all sound, where known.
    pub(crate) fn sound_rate(&self) -> u64 {
        let rate = |sound: &Sound| sound.bit_rate.or(sound.copied).unwrap_or(128_000);
        self.audio.iter().map(rate).fold(0, u64::saturating_add)
    }
}

/// A text that can be given on a command line.
fn printable(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control()).take(1000).collect();
    (!text.is_empty()).then_some(text)
}

/// Upright, with even sides, and no larger than the source.
fn output_size(video: &VideoInfo, max_height: Option<u32>) -> (u32, u32) {
    let (width, height) = upright(video);
    let most = max_height.map_or(height, |most| most.min(height));
    let most = if most < height { most / 2 * 2 } else { most };
    let shrink = |side: u32| {
        let exact = Rational::from_integer(side.into()) * Rational::new(most.into(), height.into());
        u32::try_from((exact / Rational::from_integer(2)).round().to_integer()).unwrap_or(u32::MAX)
    };
    let width = if most < height {
        shrink(width) * 2
    } else {
        width / 2 * 2
    };
    (width.max(2), (most / 2 * 2).max(2))
}

/// Fails for sizes that some version or build of an encoder does not take.
fn check_size(codec: Codec, (width, height): (u32, u32)) -> Result<(), CompressError> {
    let (least, most) = match codec {
        Codec::H264 => (2, (16_384, 16_384)),
        Codec::Hevc => (16, (u32::MAX, u32::MAX)),
        Codec::Av1 => (64, (16_384, 8_704)),
        Codec::Vp9 => (2, (16_384, 16_384)),
    };
    let takes = if width.min(height) < least {
        format!("no side below {least} pixels")
    } else if width > most.0 || height > most.1 {
        format!("nothing above {}×{} pixels", most.0, most.1)
    } else {
        return Ok(());
    };
    let text = format!("{codec} takes {takes}, and it would be {width}×{height}");
    Err(CompressError::NotHeld(text))
}

/// Stored width and height once the picture is turned upright.
fn upright(video: &VideoInfo) -> (u32, u32) {
    match video.orientation.swaps_sides() {
        true => (video.height, video.width),
        false => (video.width, video.height),
    }
}

/// What is done to frames before they are encoded. They report themselves on the way.
fn filter_graph(
    video: &VideoInfo,
    codec: Codec,
    deinterlace: bool,
    size: (u32, u32),
    tonemap: bool,
) -> String {
    let mut chain: Vec<String> = Vec::new();
    chain.extend(filters::from_first_keyframe(video));
    if deinterlace {
        chain.extend(filters::deinterlace(video, false));
    }
    chain.push(reports());
    chain.push(seen(&[]));
    // Turned below; a player must not do it once more.
    chain.push("sidedata=mode=delete:type=DISPLAYMATRIX".to_owned());
    chain.extend(turn(video.orientation).map(str::to_owned));
    let aspect = match video.orientation.swaps_sides() {
        true => video.sample_aspect.recip(),
        false => video.sample_aspect,
    };
    let mut stored = upright(video);
    let whole = (stored.0.max(2) / 2 * 2, stored.1.max(2) / 2 * 2);
    if size == whole && whole != stored && stored.0 > 1 && stored.1 > 1 {
        // Halved colours take even sides: less than a line is lost, and nothing is blurred for it.
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
    // They are given back below, by `tags`.
    let forget = filters::forget_matrix(video).filter(|_| !tonemap);
    chain.extend(forget.map(str::to_owned));
    let shape = format!("{}/{}", aspect.numer(), aspect.denom());
    let format = pixel_format(codec, video);
    chain.push(format!(
        "{scale}:flags=bicubic+accurate_rnd{colours},setsar={shape},format={format}"
    ));
    chain.extend(pad);
    chain.push(tags(video, codec, tonemap, size));
    chain.join(",")
}

/// Takes the frames that are seen. One that goes back in time is never shown, and no encoder takes it; of
/// those that are `unseen` by their places, another has the time.
fn seen(unseen: &[u64]) -> String {
    let onwards = "(isnan(prev_selected_pts)+gt(pts,prev_selected_pts))";
    match unseen.is_empty() {
        true => format!("select='{onwards}'"),
        false => format!("select='not({})*{onwards}'", is_among(unseen)),
    }
}

/// An expression for whether a frame's place is among these, which are in order. A tree: ffmpeg takes no more
/// than a hundred terms in a row.
fn is_among(places: &[u64]) -> String {
    match places {
        [] => "0".to_owned(),
        [place] => format!("eq(n,{place})"),
        _ => {
            let (low, high) = places.split_at(places.len() / 2);
            format!("if(lt(n,{}),{},{})", high[0], is_among(low), is_among(high))
        }
    }
}

/// The filter by which frames report themselves.
fn reports() -> String {
    format!("showinfo@{}=checksum=0", *ENCODED)
}

/// Colour tags of the output: the source's, as far as they still hold.
fn tags(video: &VideoInfo, codec: Codec, tonemap: bool, size: (u32, u32)) -> String {
    if tonemap {
        return "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv".to_owned();
    }
    let colour = &video.colour;
    // Players take the matrix of an untagged video by its size, which must not change what it means.
    let guessed = || match (input_matrix(video), size.1 >= 720 || size.0 >= 1280) {
        ("bt709", false) => Some("bt709".to_owned()),
        _ => None,
    };
    let matrix = match is_rgb(video) {
        true => Some("bt709".to_owned()),
        // Samples that are not RGB have no such matrix, whatever a container says.
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
    // What is not said here, frames would say themselves, and encoders end over what they do not know.
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

/// Seconds by which the timestamps of an output are moved towards 0: those of a source that starts late, and
/// those of a source whose video starts before 0, since containers drop or hide frames of negative time.
fn shift(start_s: f64, first_frame_s: Option<f64>) -> f64 {
    match first_frame_s {
        _ if start_s > LATEST_START => start_s,
        Some(first) if first < 0.0 => first.min(start_s),
        _ => 0.0,
    }
}

/// 10 bit where the source has as many and players of the codec take them.
fn pixel_format(codec: Codec, video: &VideoInfo) -> &'static str {
    let ten = match codec {
        Codec::H264 => false,
        Codec::Hevc | Codec::Av1 => is_deep(&video.pixel_format),
        Codec::Vp9 => video.colour.is_hdr(),
    };
    if ten { "yuv420p10le" } else { "yuv420p" }
}

fn sound(track: &AudioTrack, container: Container, copy: bool) -> Result<Sound, CompressError> {
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
            "the sound is {codec}, which {} does not hold: it can be encoded as {own}, or left out",
            container.extension()
        )));
    }
    let first_two = track.channels > 8 && !track.has_layout;
    let bit_rate = match track.channels {
        _ if first_two => SOUND[1],
        1 => SOUND[0],
        2 => SOUND[1],
        more => SOUND[2] * u64::from(more.min(8)),
    };
    // Encoding it again would cost quality and spare next to nothing.
    let small = codec == own && track.bit_rate.is_some_and(|rate| rate <= bit_rate * 5 / 4);
    Ok(Sound {
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

/// Frames a second, as far as the container tells.
fn rate(request: &CompressRequest) -> f64 {
    let video = &request.video;
    let counted = video.duration.map(approximate_seconds).filter(|&s| s > 0.0);
    let counted = counted.map_or(0.0, |seconds| request.frames() as f64 / seconds);
    let claimed = video.frame_rate.map_or(0.0, approximate_seconds);
    // A claim that the frames do not bear out is none.
    match counted > 0.0 {
        true => claimed.min(counted * 2.0).max(counted),
        false => claimed,
    }
}

/// The lowest level of H.264 that holds frames of that size at that rate (ITU-T H.264, table A-1). By
/// itself the encoder would go by the time base where the frame rate varies, and say what few
/// decoders can do.
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
    // Without a rate the encoder knows no better than we do.
    (rate > 0.0)
        .then(|| LEVELS.iter().find(fits).map(|level| level.0))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_of_sources_that_start_late_or_before_zero_start_at_zero() {
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
