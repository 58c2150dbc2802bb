//! The command lines: pure functions from settings to arguments.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::ending::Ending;
use super::media::{Light, Mastering};
use super::settings::{Settings, Sound};
use crate::compress::{Codec, Container};
use crate::extract::Quality;
use crate::ffmpeg::args::{COMPARED, NO_AUTOROTATE, Opened, PAUSED, STEADY, head, marker};

/// How much an encoder may spend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rate {
    /// As much as a quality takes.
    Constant(Quality),
    /// So many bits a second of pictures, in one pass.
    Average(u64),
    /// So many, by what an earlier pass has learnt.
    Planned(u64),
}

/// The label of the pictures in a command with one output.
const VIDEO: &str = "video";

/// Which pass it is, and the folder of the notes that one leaves for the other.
struct Pass<'a> {
    number: u8,
    notes: &'a Path,
}

/// Name of an encoder's notes in their folder.
const NOTES: &str = "pass";

/// A command that writes `settings` of `source` to `output`.
pub(crate) fn encode(
    source: Opened<'_>,
    settings: &Settings,
    rate: Rate,
    notes: &Path,
    output: &Path,
) -> Vec<OsString> {
    let mut args = open(source, settings);
    args.extend(marker());
    args.extend(encoded(settings, VIDEO, rate, notes, output));
    args
}

/// A command that learns how hard the pictures are to encode, and writes nothing but notes on it.
pub(crate) fn survey(source: Opened<'_>, settings: &Settings, bits: u64, notes: &Path) -> Vec<OsString> {
    let mut args = open(source, settings);
    args.extend(marker());
    args.extend(pictures(settings, VIDEO));
    args.extend(encoder(
        settings,
        Rate::Planned(bits),
        Some(Pass { number: 1, notes }),
    ));
    args.extend(["-an", "-map_metadata", "-1", "-f", "null", "-"].map(OsString::from));
    args
}

/// What another command has to be told in front of its inputs to write `settings` too.
pub(crate) fn before_input(settings: &Settings) -> Vec<OsString> {
    let steady = STEADY.iter().filter(|_| settings.steady);
    steady.map(OsString::from).collect()
}

fn open(source: Opened<'_>, settings: &Settings) -> Vec<OsString> {
    let mut args = head();
    args.extend(before_input(settings));
    if !settings.autorotate {
        args.push(NO_AUTOROTATE.into());
    }
    args.extend(source.input());
    args
}

/// One output of a command: pictures, sound and what is said of both. `label` is its own in the command.
pub(crate) fn encoded(
    settings: &Settings,
    label: &str,
    rate: Rate,
    notes: &Path,
    output: &Path,
) -> Vec<OsString> {
    let mut args = pictures(settings, label);
    let pass = matches!(rate, Rate::Planned(_)).then_some(Pass { number: 2, notes });
    args.extend(encoder(settings, rate, pass));
    args.extend(ending(settings));
    args.extend(sound(settings));
    args.extend(description(settings));
    args.extend(file(settings, output));
    args
}

/// A command that puts the pictures of `source`, which are coded as `codec`, into `output` as they are.
pub(crate) fn remux(source: Opened<'_>, codec: &str, settings: &Settings, output: &Path) -> Vec<OsString> {
    let mut args = head();
    args.extend(source.input());
    args.extend(marker());
    args.extend(["-map", &source.video(), "-c:v", "copy"].map(OsString::from));
    args.extend(mark(codec));
    args.extend(ending(settings));
    args.extend(sound(settings));
    args.extend(description(settings));
    args.extend(file(settings, output));
    args
}

/// A command that compares `output` with what was encoded of `source`.
pub(crate) fn compare(source: Opened<'_>, settings: &Settings, output: &Path) -> Vec<OsString> {
    let mut args = open(source, settings);
    let output = Opened {
        path: output,
        stream: 0,
        pixels: source.pixels,
    };
    args.extend(output.input());
    args.extend(marker());
    // Frame by frame: timestamps of the output may be rounded.
    let graph = format!(
        "[{}]{},settb=1/1000,setpts=N[a];[1:V:0]settb=1/1000,setpts=N,format={}[b];[b][a]ssim@{}",
        source.video(),
        settings.filters,
        settings.pixel_format,
        *COMPARED,
    );
    args.extend(["-filter_complex".into(), graph.into()]);
    let output = [
        "-fps_mode",
        "passthrough",
        "-map_metadata",
        "-1",
        "-f",
        "null",
        "-",
    ];
    args.extend(output.map(OsString::from));
    args
}

/// Which pictures, at which times.
fn pictures(settings: &Settings, label: &str) -> Vec<OsString> {
    let graph = format!("[0:{}]{}[{label}]", settings.stream, settings.filters);
    let time_base = settings
        .encoder_time_base
        .unwrap_or(settings.time_base)
        .to_string();
    let options = [
        "-sn",
        "-dn",
        "-fps_mode:v",
        "passthrough",
        "-enc_time_base:v",
        &time_base,
    ];
    let mut args: Vec<OsString> = vec!["-filter_complex".into(), graph.into()];
    args.extend(["-map".into(), format!("[{label}]").into()]);
    args.extend(options.map(OsString::from));
    args
}

fn encoder(settings: &Settings, rate: Rate, pass: Option<Pass<'_>>) -> Vec<OsString> {
    let codec = settings.codec;
    let mut args: Vec<String> = vec!["-c:v".to_owned(), codec.encoder().to_owned()];
    let mut give = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
    match rate {
        Rate::Constant(quality) => {
            give("-crf", &factor(codec, quality));
            if codec == Codec::Vp9 {
                give("-b:v", "0");
            }
        }
        Rate::Average(bits) | Rate::Planned(bits) => give("-b:v", &bits.to_string()),
    }
    match codec {
        Codec::H264 => {
            give("-preset", "medium");
            give("-profile:v", "high");
            if let Some(level) = settings.level {
                give("-level:v", level);
            }
            if !settings.notes_trees {
                give("-mbtree", "0");
            }
        }
        Codec::Hevc => {
            give("-preset", "fast");
        }
        Codec::Av1 => {
            give("-preset", "8");
            give("-g", "240");
            if let Some(params) = svt(&settings.light) {
                give("-svtav1-params", &params);
            }
        }
        Codec::Vp9 => {
            give("-deadline", "good");
            give("-cpu-used", "4");
            give("-row-mt", "1");
            give("-tile-columns", "2");
            give("-g", "240");
        }
    }
    let mut args: Vec<OsString> = args.into_iter().map(OsString::from).collect();
    args.extend(mark(codec.as_str()));
    if codec == Codec::Hevc {
        args.extend(["-x265-params".into(), x265(settings, pass.as_ref())]);
    } else if let Some(Pass { number, notes }) = pass {
        args.extend(["-pass:v".into(), number.to_string().into()]);
        args.extend(["-passlogfile:v".into(), notes.join(NOTES).into_os_string()]);
    }
    args
}

/// The mark that players of Apple's look for.
fn mark(codec: &str) -> Vec<OsString> {
    match codec {
        "hevc" => ["-tag:v", "hvc1"].map(OsString::from).into(),
        _ => Vec::new(),
    }
}

/// The encoder's own scale for a quality: lower is better. The same number looks much the same whatever
/// the codec: at 70, SSIM of three clips was 0.972 to 0.993 with all four.
fn factor(codec: Codec, quality: Quality) -> String {
    let from_best = f64::from(100 - quality.get());
    match codec {
        // 13.4 to 45; 23 at 70.
        Codec::H264 | Codec::Hevc => format!("{:.1}", 13.4 + from_best * 0.32),
        // 18 to 63; 32 at 70.
        Codec::Av1 => format!("{:.0}", 18.0 + from_best * 0.455),
        // 15 to 60; 29 at 70.
        Codec::Vp9 => format!("{:.0}", 15.0 + from_best * 0.455),
    }
}

fn x265(settings: &Settings, pass: Option<&Pass<'_>>) -> OsString {
    let mut params = OsString::from("log-level=error");
    if !settings.notes_trees {
        params.push(":cutree=0");
    }
    let Light { mastering, content } = settings.light;
    if let Some(Mastering {
        red,
        green,
        blue,
        white,
        most,
        least,
    }) = mastering
    {
        params.push(format!(
            ":master-display=G({},{})B({},{})R({},{})WP({},{})L({most},{least})",
            green.0, green.1, blue.0, blue.1, red.0, red.1, white.0, white.1,
        ));
    }
    if let Some((most, average)) = content {
        params.push(format!(":max-cll={most},{average}"));
    }
    if let Some(Pass { number, notes }) = pass {
        let notes = notes.join(NOTES);
        let escaped = notes.as_os_str().as_bytes().iter().flat_map(|&byte| {
            let escape = b":=\\'".contains(&byte).then_some(b'\\');
            escape.into_iter().chain([byte])
        });
        params.push(format!(":pass={number}:stats="));
        params.push(OsString::from_vec(escaped.collect()));
    }
    params
}

fn svt(light: &Light) -> Option<String> {
    let mut params = Vec::new();
    if let Some(m) = light.mastering {
        let point = |(x, y): (u32, u32)| format!("({:.4},{:.4})", f64::from(x) / 5e4, f64::from(y) / 5e4);
        params.push(format!(
            "mastering-display=G{}B{}R{}WP{}L({:.4},{:.4})",
            point(m.green),
            point(m.blue),
            point(m.red),
            point(m.white),
            f64::from(m.most) / 1e4,
            f64::from(m.least) / 1e4,
        ));
    }
    params.extend(
        light
            .content
            .map(|(most, average)| format!("content-light={most},{average}")),
    );
    (!params.is_empty()).then(|| params.join(":"))
}

fn sound(settings: &Settings) -> Vec<OsString> {
    let mut args: Vec<String> = Vec::new();
    for (place, sound) in settings.audio.iter().enumerate() {
        let Sound {
            index,
            bit_rate,
            first_two,
            language,
            ..
        } = sound;
        args.extend(["-map".to_owned(), format!("0:{index}")]);
        match bit_rate {
            None => args.extend([format!("-c:a:{place}"), "copy".to_owned()]),
            Some(bit_rate) => {
                let encoder = match settings.container {
                    Container::Mp4 => "aac",
                    Container::WebM => "libopus",
                };
                args.extend([format!("-c:a:{place}"), encoder.to_owned()]);
                args.extend([format!("-b:a:{place}"), bit_rate.to_string()]);
                let filled = filled(settings.longest_pause_s());
                let filters = match first_two {
                    true => format!("pan=stereo|c0=c0|c1=c1,{filled}"),
                    false => filled,
                };
                args.extend([format!("-filter:a:{place}"), filters]);
            }
        }
        match language {
            _ if settings.keep_metadata => {
                args.extend([format!("-map_metadata:s:a:{place}"), format!("0:s:{index}")]);
            }
            Some(language) => {
                args.extend([format!("-metadata:s:a:{place}"), format!("language={language}")]);
            }
            None => {}
        }
    }
    if settings.audio.is_empty() {
        args.push("-an".to_owned());
    }
    args.into_iter().map(OsString::from).collect()
}

/// Fills pauses of a sound with silence. An encoder would leave them as holes between its packets, for players
/// to keep, and move the sound by up to a packet's length at each. A longer one is told of, and what lies
/// behind it held back.
fn filled(longest_pause_s: u64) -> String {
    let longer = format!("gt(t-prev_t,{longest_pause_s})");
    let key = PAUSED.as_str();
    format!(
        "asplit[all],aselect='{longer}',ametadata=add:key={key}:value=1,ametadata=print:key={key},anullsink;\
         [all]aselect='not(st(0,max(ld(0),{longer})))',aresample=async=1:min_hard_comp=0.01,\
         aformat=channel_layouts=7.1|5.1|stereo|mono"
    )
}

/// How long the last frame is displayed.
fn ending(settings: &Settings) -> Vec<OsString> {
    let time_base = settings.time_base;
    let counted = settings.encoder_time_base.unwrap_or(time_base);
    let filter = |ending: Ending| ending.filter(time_base, counted, settings.muxed_time_base());
    let filter = settings.ending.map(filter);
    let args = filter
        .into_iter()
        .flat_map(|filter| ["-bsf:v".to_owned(), filter]);
    args.map(OsString::from).collect()
}

/// What the output says of itself.
fn description(settings: &Settings) -> Vec<OsString> {
    if settings.keep_metadata {
        // Said here, since by itself ffmpeg keeps neither dates nor what is said of a filtered stream.
        let stream = format!("0:s:{}", settings.stream);
        let all = ["-map_metadata:g", "0:g", "-map_metadata:s:v:0", &stream];
        let own = ["major_brand=", "minor_version=", "compatible_brands="];
        let own = own.into_iter().flat_map(|none| ["-metadata", none]);
        return all.into_iter().chain(own).map(OsString::from).collect();
    }
    let none = [
        "-map_metadata:g",
        "-1",
        "-map_metadata:s",
        "-1",
        "-fflags",
        "+bitexact",
    ];
    let mut args: Vec<OsString> = none.map(OsString::from).into();
    for (name, value) in &settings.tags {
        args.extend(["-metadata".into(), format!("{name}={value}").into()]);
    }
    args
}

fn file(settings: &Settings, output: &Path) -> Vec<OsString> {
    let mut args: Vec<String> = vec!["-max_muxing_queue_size".to_owned(), "4096".to_owned()];
    if settings
        .audio
        .iter()
        .any(|sound| sound.experimental && sound.bit_rate.is_none())
    {
        args.extend(["-strict", "-2"].map(str::to_owned));
    }
    args.extend(["-fs".to_owned(), settings.most_bytes.to_string()]);
    if settings.shift_s != 0.0 {
        args.extend([
            "-output_ts_offset".to_owned(),
            format!("{:.6}", -settings.shift_s),
        ]);
        // They would stay where they are.
        args.extend(["-map_chapters".to_owned(), "-1".to_owned()]);
    }
    match settings.container {
        Container::Mp4 => {
            let flags = match settings.keep_metadata {
                true => "+faststart+use_metadata_tags",
                false => "+faststart",
            };
            args.extend(["-movflags".to_owned(), flags.to_owned()]);
            // Edits are written in the movie's units: the first frame stays where it is, to the tick, and
            // sound nearly.
            let ticks = settings.muxed_time_base().denominator();
            let finer = ticks
                .saturating_mul(48_000_u32.div_ceil(ticks))
                .min(i32::MAX as u32);
            for (option, scale) in [("-video_track_timescale", ticks), ("-movie_timescale", finer)] {
                args.extend([option.to_owned(), scale.to_string()]);
            }
            args.extend(["-f", "mp4"].map(str::to_owned));
        }
        Container::WebM => args.extend(["-f", "webm"].map(str::to_owned)),
    }
    let mut args: Vec<OsString> = args.into_iter().map(OsString::from).collect();
    let mut url = OsString::from("file:");
    url.push(output);
    args.extend(["-y".into(), url]);
    args
}
