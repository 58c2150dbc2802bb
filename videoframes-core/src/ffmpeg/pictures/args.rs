//! The command lines: pure functions from a request to arguments.

use std::ffi::OsString;
use std::fmt::Write;

use crate::extract::{ExtractRequest, PictureFormat, PictureOptions, Tonemap};
use crate::ffmpeg::args::{DECODED, Opened, PICKED, STEADY, bounds, decode, head};
use crate::ffmpeg::filters::{self, input_matrix, input_range, tonemap_chain, turn};
use crate::limits::{HEAD_BYTES, HEAD_PACKETS};
use crate::units::Rational;
use crate::video::{Timeline, VideoInfo};

/// Decodes everything and reports every frame, writing nothing.
pub(super) fn scan(opened: Opened<'_>) -> Vec<OsString> {
    let mut args = decode(opened.input(), &opened.video());
    let filter = format!("showinfo@{}=checksum=0", *DECODED);
    args.extend(["-vf", &filter, "-fps_mode", "passthrough"].map(OsString::from));
    // The metadata of the source would be printed once more.
    args.extend(["-map_metadata", "-1", "-f", "null", "-"].map(OsString::from));
    args
}

/// Copies the first packets of a file, from its first keyframe on, to stdout.
pub(super) fn copy_head(opened: Opened<'_>) -> Vec<OsString> {
    let mut args = head();
    args.extend(opened.input());
    let (packets, bytes) = (HEAD_PACKETS.to_string(), HEAD_BYTES.to_string());
    let video = opened.video();
    let output = [
        "-map",
        &video,
        "-c",
        "copy",
        "-frames:v",
        &packets,
        "-fs",
        &bytes,
        "-map_metadata",
        "-1",
        "-f",
        "nut",
        "pipe:1",
    ];
    args.extend(output.map(OsString::from));
    args
}

/// Decodes what [`copy_head`] wrote, by stdin.
pub(super) fn scan_copied(pixels: u64) -> Vec<OsString> {
    let format = [
        "-protocol_whitelist",
        "pipe",
        "-format_whitelist",
        "nut",
        "-f",
        "nut",
    ]
    .map(OsString::from);
    let mut source: Vec<OsString> = format.into();
    source.extend(bounds(pixels));
    source.extend(["-i", "pipe:0"].map(OsString::from));
    let mut args = decode(source, "0:V:0");
    args.extend(["-f", "null", "-"].map(OsString::from));
    args
}

/// Longest filter graph that is given on the command line; Linux allows twice as much.
pub(super) const LONGEST_ARGUMENT: usize = 64 << 10;

/// How a filter graph gets to ffmpeg.
pub(super) enum Graph<'a> {
    /// On the command line.
    Inline(&'a str),
    /// By stdin, since a command line cannot hold a long list of picks.
    OnStdin {
        /// Major version of the ffmpeg.
        major: u32,
    },
}

/// Decodes a file and writes the picked frames to stdout.
pub(super) fn extract(opened: Opened<'_>, request: &ExtractRequest, graph: Graph<'_>) -> Vec<OsString> {
    let mut source = steady(request, Vec::new());
    if let Some(decoder) = alpha_decoder(&request.video) {
        source.extend([format!("-c:{}", opened.stream).into(), decoder.into()]);
    }
    source.extend(opened.input());
    let mut args = decode(source, &opened.video());
    let graph = match graph {
        Graph::Inline(graph) => ["-filter:v", graph],
        // `-filter_script` gave way to `-/filter` in ffmpeg 7.
        Graph::OnStdin { major: 7.. } => ["-/filter:v", "pipe:0"],
        Graph::OnStdin { .. } => ["-filter_script:v", "pipe:0"],
    };
    args.extend(graph.map(OsString::from));
    args.extend(output(&request.picture));
    args
}

/// The decoder that returns the alpha channel, where the usual one leaves it out.
pub(super) fn alpha_decoder(video: &VideoInfo) -> Option<&'static str> {
    match video.codec.as_str() {
        "vp8" if video.alpha => Some("libvpx"),
        "vp9" if video.alpha => Some("libvpx-vp9"),
        _ => None,
    }
}

/// Keeps the graph as it is where frames are deinterlaced.
fn steady(request: &ExtractRequest, input: Vec<OsString>) -> Vec<OsString> {
    let options = STEADY.iter().filter(|_| request.deinterlace);
    options.map(OsString::from).chain(input).collect()
}

/// Decodes the samples that come by stdin and writes those with odd timestamps to stdout.
pub(super) fn extract_planned(request: &ExtractRequest, threads: usize, pixels: u64) -> Vec<OsString> {
    let mut source: Vec<OsString> = bounds(pixels).into();
    if threads > 0 {
        source.extend(["-threads".into(), threads.to_string().into()]);
    }
    // All that has to be known stands in the head of what is fed: nothing is decoded to find it out.
    // `-strict 1` keeps frames back as long as the stream allows, whatever is left out of it. A run
    // may start at a recovery point; ffmpeg 5.1 would hold back frames that are already right.
    let head = [
        "-probesize",
        "32",
        "-analyzeduration",
        "1",
        "-fpsprobesize",
        "0",
        "-strict",
        "1",
        "-flags",
        "+output_corrupt",
        "-protocol_whitelist",
        "pipe",
        "-format_whitelist",
        "mov",
        "-f",
        "mov",
        "-i",
        "pipe:0",
    ];
    source.extend(head.map(OsString::from));
    let mut args = decode(source, "0:V:0");
    let mut filters = vec!["select='mod(pts,2)'".to_owned()];
    filters.extend(picture_filters(request));
    args.extend(["-filter:v".into(), filters.join(",").into()]);
    args.extend(output(&request.picture));
    args
}

/// Encodes frames as pictures, one after the other on stdout.
fn output(picture: &PictureOptions) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    args.extend(["-fps_mode", "passthrough", "-enc_time_base", "1/1000000000"].map(OsString::from));
    let quality = picture.quality.get();
    let encoder: Vec<String> = match picture.format {
        PictureFormat::Jpg => {
            let q = jpeg_quantiser(quality).to_string();
            let scale = ["-c:v", "mjpeg", "-q:v", &q, "-qmin", "1", "-qmax", "31"];
            // The standard's own Huffman tables, as other encoders write them: tables fitted to each
            // picture would save a seventh of its size for a quarter more of its encoding.
            let tables = ["-huffman", "default"];
            scale.iter().chain(&tables).map(|&arg| arg.to_owned()).collect()
        }
        PictureFormat::Png => ["-c:v", "png"].map(str::to_owned).into(),
        PictureFormat::Webp => [
            "-c:v",
            "libwebp",
            "-lossless",
            "0",
            "-quality",
            &quality.to_string(),
        ]
        .map(str::to_owned)
        .into(),
    };
    args.extend(encoder.into_iter().map(OsString::from));
    let output = [
        "-flags:v",
        "+bitexact",
        "-fflags",
        "+bitexact",
        "-map_metadata",
        "-1",
        "-f",
        "image2pipe",
        "pipe:1",
    ];
    args.extend(output.map(OsString::from));
    args
}

/// ffmpeg's inverted 1–31 scale: 98 and up is its best, 90 its 2 (visually lossless), 1 its worst.
fn jpeg_quantiser(quality: u8) -> u32 {
    match u32::from(quality) {
        98.. => 1,
        90.. => 2,
        q => 2 + ((90 - q) * 29).div_ceil(89),
    }
}

/// The filter graph of an extraction, to the end of the `whole` file where something else needs that.
pub(super) fn filter_graph(request: &ExtractRequest, whole: bool) -> String {
    let ExtractRequest {
        video,
        timeline,
        frames,
        picture,
        ..
    } = request;
    let mut filters: Vec<String> = filters::from_first_keyframe(video).into_iter().collect();
    filters.push(format!("showinfo@{}=checksum=0", *DECODED));
    if request.deinterlace {
        let all = picture.deinterlace == crate::extract::Deinterlace::On;
        filters.extend(filters::deinterlace(video, all));
    }
    if let (Some(&last), false) = (frames.last(), whole) {
        // The first frame behind the last pick ends the stream: an encoder with threads would keep its
        // last pictures to itself until then.
        filters.push(format!("trim=end_pts={}", timeline.pts()[last].saturating_add(1)));
    }
    filters.push(format!("select='{}'", pick_expression(timeline, frames)));
    filters.extend(picture_filters(request));
    filters.join(",")
}

/// What makes a picture of a picked frame, the same however frames come to be decoded.
fn picture_filters(request: &ExtractRequest) -> Vec<String> {
    let ExtractRequest { video, picture, .. } = request;
    let mut filters = vec![format!("showinfo@{}=checksum=0", *PICKED)];
    // Applied below; a later encoder must not store it a second time.
    filters.push("sidedata=mode=delete:type=DISPLAYMATRIX".to_owned());
    // Pictures are known by their order from here on. The encoder gets a tick for each, since on a
    // clock of its own choice two frames of a variable frame rate may fall on the same tick. The graph
    // is built anew where a video changes its size, and counts from 0 again: hence the time of day.
    filters.push("settb=1/1000000000,setpts=RTCSTART+N".to_owned());
    if let Some(turn) = turn(video.orientation).filter(|_| picture.rotate) {
        filters.push(turn.to_owned());
    }
    let tonemap = picture.tonemap == Tonemap::Auto && video.colour.is_hdr();
    if tonemap {
        filters.push(tonemap_chain(video));
    }
    let stored = match picture.rotate && video.orientation.swaps_sides() {
        true => (video.height, video.width),
        false => (video.width, video.height),
    };
    let display = video.display_size(picture.rotate);
    let size = picture.fit(display.0, display.1);
    let (scale, pad) = filters::fit(stored, size, Rational::from_integer(1));
    let (matrix, range) = if tonemap {
        ("bt709", "tv")
    } else {
        (input_matrix(video), input_range(video))
    };
    let alpha = video.alpha && !tonemap;
    let (output, format) = match (picture.format, alpha) {
        (PictureFormat::Jpg, false) => (":out_color_matrix=bt601:out_range=pc", "yuvj420p"),
        (PictureFormat::Webp, false) => (":out_color_matrix=bt601:out_range=tv", "yuv420p"),
        (PictureFormat::Webp, true) => (":out_color_matrix=bt601:out_range=tv", "yuva420p"),
        (PictureFormat::Png, false) => ("", "rgb24"),
        (PictureFormat::Png, true) => ("", "rgba"),
        // Flattened below.
        (PictureFormat::Jpg, true) => ("", "gbrap"),
    };
    let direct =
        direct_colours(video, picture, matrix, range).filter(|_| !tonemap && !alpha && pad.is_some());
    let forget = filters::forget_matrix(video).filter(|_| !tonemap);
    filters.extend(forget.map(str::to_owned));
    if picture.format == PictureFormat::Png && !tonemap {
        // It would be noted in the picture, and some curves end the encoder.
        let logarithmic = |curve: &str| curve.starts_with("log");
        let refused = video.colour.transfer.as_deref().is_some_and(logarithmic);
        filters.extend(refused.then(|| "setparams=color_trc=unknown".to_owned()));
    }
    filters.push(match direct {
        Some(colours) => format!("{scale}:flags=bicubic+accurate_rnd,{colours},setsar=1"),
        None => format!(
            "{scale}:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp\
             :in_color_matrix={matrix}:in_range={range}{output},setsar=1,format={format}"
        ),
    });
    filters.extend(pad);
    if alpha && picture.format == PictureFormat::Jpg {
        filters.push(ON_WHITE.to_owned());
    }
    filters
}

/// Puts pictures with an alpha channel on a white background, and converts them to what JPEG is. On the
/// negative the background is black, which is what multiplying colours by alpha gives.
const ON_WHITE: &str = "negate,premultiply=inplace=1,negate,format=gbrp,\
                        scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp:out_color_matrix=bt601\
                        :out_range=pc,format=yuvj420p";

/// The conversion of limited 4:2:0 video to what JPEG or WebP is, straight from YUV to YUV: about a
/// fifth of what `scale` takes for it, which goes through RGB, and the colours keep their sharpness.
/// `None` where that filter cannot do it.
fn direct_colours(video: &VideoInfo, picture: &PictureOptions, matrix: &str, range: &str) -> Option<String> {
    let space = match matrix {
        "bt709" => "bt709",
        "bt601" => "smpte170m",
        "fcc" => "fcc",
        "smpte240m" => "smpte240m",
        "bt2020" => "bt2020nc",
        _ => return None,
    };
    let output = match picture.format {
        PictureFormat::Jpg => "pc",
        PictureFormat::Webp => "tv",
        PictureFormat::Png => return None,
    };
    let planar = ["yuv420p", "yuv420p10le", "yuv420p12le"].contains(&video.pixel_format.as_str());
    let even = video.width.is_multiple_of(2) && video.height.is_multiple_of(2);
    // Primaries and transfer are named the same on both sides: they are left as they are.
    (planar && even && range == "tv").then(|| {
        format!(
            "colorspace=ispace={space}:irange=tv:iprimaries=bt709:itrc=bt709\
             :space=smpte170m:range={output}:primaries=bt709:trc=bt709:fast=1:format=yuv420p"
        )
    })
}

/// An expression that is true for the picked timestamps: a range where they are all there, else a
/// tree of comparisons, so that evaluation takes logarithmic time whatever their number.
fn pick_expression(timeline: &Timeline, frames: &[usize]) -> String {
    let pts = timeline.pts();
    match frames {
        [] => "0".to_owned(),
        [first, .., last] if last - first + 1 == frames.len() => {
            format!("between(pts,{},{})", pts[*first], pts[*last])
        }
        _ => {
            let mut expression = String::with_capacity(frames.len() * 32);
            write_tree(&mut expression, pts, frames);
            expression
        }
    }
}

fn write_tree(out: &mut String, pts: &[i64], frames: &[usize]) {
    // Writing to a string cannot fail.
    if let [frame] = frames {
        let _ = write!(out, "eq(pts,{})", pts[*frame]);
        return;
    }
    let (low, high) = frames.split_at(frames.len() / 2);
    let _ = write!(out, "if(lt(pts,{}),", pts[high[0]]);
    write_tree(out, pts, low);
    out.push(',');
    write_tree(out, pts, high);
    out.push(')');
}

/// Whether all timestamps survive the double arithmetic of ffmpeg's expressions.
pub(super) fn exact_in_double(timeline: &Timeline) -> bool {
    timeline
        .pts()
        .first()
        .into_iter()
        .chain(timeline.pts().last())
        .all(|pts| pts.unsigned_abs() <= 1 << 53)
}
