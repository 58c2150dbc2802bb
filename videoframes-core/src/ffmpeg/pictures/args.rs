//! Command lines for pictures: pure functions from a request to arguments.

use std::ffi::OsString;
use std::fmt::Write;

use super::colours::{colours, direct_colours, from_rgb, is_flattened, is_gray, on_white, opaque};
use super::cropping::Cropping;
use crate::extract::{EncodeStream, ExtractRequest, PictureFormat, PictureOptions, Tonemap};
use crate::ffmpeg::args::{DECODED, Opened, PICKED, STEADY, bounds, decode, head};
use crate::ffmpeg::filters::{self, input_matrix, input_range, rotation, tonemap_chain};
use crate::limits::{HEAD_BYTES, HEAD_PACKETS};
use crate::units::Rational;
use crate::video::{Timeline, VideoInfo};

/// Returns the arguments that decode the whole video and report every frame without output.
pub(super) fn scan(opened: Opened<'_>) -> Vec<OsString> {
    let mut args = decode(opened.input(), &opened.video());
    let filter = format!("showinfo@{}=checksum=0", *DECODED);
    args.extend(["-vf", &filter, "-fps_mode", "passthrough"].map(OsString::from));
    // Otherwise ffmpeg prints the metadata of the source once more.
    args.extend(["-map_metadata", "-1", "-f", "null", "-"].map(OsString::from));
    args
}

/// Returns the arguments that copy the first packets of a file, starting at the first keyframe, to stdout.
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

/// Returns the arguments that decode the output of [`copy_head`] from stdin.
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

/// Maximum length of a filter graph on the command line. Linux allows twice as much.
pub(super) const MAX_ARGUMENT_BYTES: usize = 64 << 10;

/// Encoder of AVIF pictures.
pub(super) const AVIF_ENCODER: &str = "libaom-av1";

/// How ffmpeg receives a filter graph.
pub(super) enum Graph<'a> {
    /// On the command line.
    Inline(&'a str),
    /// On stdin, since a command line cannot hold a long list of picks.
    OnStdin {
        /// Major version of ffmpeg.
        major: u32,
    },
}

/// Returns the arguments that decode a file and write the picked frames to stdout.
pub(super) fn extract(
    opened: Opened<'_>,
    request: &ExtractRequest,
    threads: usize,
    graph: Graph<'_>,
) -> Vec<OsString> {
    let mut source = steady(request, decoder_threads(threads));
    if let Some(decoder) = alpha_decoder(&request.video) {
        source.extend([format!("-c:{}", opened.stream).into(), decoder.into()]);
    }
    source.extend(opened.input());
    let mut args = decode(source, &opened.video());
    let graph = match graph {
        Graph::Inline(graph) => ["-filter:v", graph],
        // ffmpeg 7 replaced `-filter_script` by `-/filter`.
        Graph::OnStdin { major: 7.. } => ["-/filter:v", "pipe:0"],
        Graph::OnStdin { .. } => ["-filter_script:v", "pipe:0"],
    };
    args.extend(graph.map(OsString::from));
    args.extend(output(&request.picture));
    args
}

/// Returns the input options that set the number of threads of a decoder, unless ffmpeg chooses.
fn decoder_threads(threads: usize) -> Vec<OsString> {
    match threads {
        0 => Vec::new(),
        threads => vec!["-threads".into(), threads.to_string().into()],
    }
}

/// Returns the decoder that outputs the alpha channel where the default decoder drops it.
pub(super) fn alpha_decoder(video: &VideoInfo) -> Option<&'static str> {
    match video.codec.as_str() {
        "vp8" if video.alpha => Some("libvpx"),
        "vp9" if video.alpha => Some("libvpx-vp9"),
        _ => None,
    }
}

/// Adds options that keep the filter graph when frames are deinterlaced.
fn steady(request: &ExtractRequest, input: Vec<OsString>) -> Vec<OsString> {
    let options = STEADY.iter().filter(|_| request.deinterlace);
    options.map(OsString::from).chain(input).collect()
}

/// Returns the arguments that decode samples from stdin and write the samples with odd timestamps to stdout.
pub(super) fn extract_planned(request: &ExtractRequest, threads: usize, pixels: u64) -> Vec<OsString> {
    let mut source: Vec<OsString> = bounds(pixels).into();
    source.extend(decoder_threads(threads));
    // The header of the fed stream describes the video completely, so nothing has to be decoded for probing.
    // `-strict 1` makes the decoder reorder frames with the maximum delay of the stream, whichever samples are
    // left out. A run may start at a recovery point; without `output_corrupt`, ffmpeg 5.1 would hold back frames
    // that are already correct.
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

/// Returns the arguments that encode RGB pictures from stdin to stdout.
pub(super) fn encode(request: &EncodeStream) -> Vec<OsString> {
    let pixels = u64::from(request.width) * u64::from(request.height);
    let size = format!("{}x{}", request.width, request.height);
    let mut source: Vec<OsString> = bounds(pixels).into();
    let input = [
        "-protocol_whitelist",
        "pipe",
        "-format_whitelist",
        "rawvideo",
        "-f",
        "rawvideo",
        "-pixel_format",
        "rgb24",
        "-video_size",
        &size,
        "-i",
        "pipe:0",
    ];
    source.extend(input.map(OsString::from));
    let mut args = decode(source, "0:V:0");
    args.extend(["-filter:v".into(), from_rgb(&opaque(request.format)).into()]);
    let picture = PictureOptions::default().format(request.format);
    args.extend(output(&picture.quality(request.quality)));
    args
}

/// Returns the arguments that encode frames as concatenated pictures on stdout.
fn output(picture: &PictureOptions) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    args.extend(["-fps_mode", "passthrough", "-enc_time_base", "1/1000000000"].map(OsString::from));
    let quality = picture.quality.get();
    let encoder: Vec<String> = match picture.format {
        PictureFormat::Jpg => {
            let q = jpeg_quantiser(quality).to_string();
            let scale = ["-c:v", "mjpeg", "-q:v", &q, "-qmin", "1", "-qmax", "31"];
            // The Huffman tables of the standard, as other encoders write them. Tables fitted to each picture
            // would make it a seventh smaller, but encoding would take a quarter longer.
            let tables = ["-huffman", "default"];
            // More threads take a tenth more CPU time for the same bytes.
            let threads = ["-threads:v", "1"];
            let args = scale.iter().chain(&tables).chain(&threads);
            args.map(|&arg| arg.to_owned()).collect()
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
        PictureFormat::Avif => avif(quality),
        PictureFormat::Raw | PictureFormat::Npy => ["-c:v", "rawvideo"].map(str::to_owned).into(),
    };
    args.extend(encoder.into_iter().map(OsString::from));
    let muxer = match picture.format {
        format if format.is_uncompressed() => "rawvideo",
        // The muxer of AVIF needs a seekable output, and writes one picture.
        PictureFormat::Avif => "ivf",
        _ => "image2pipe",
    };
    let output = [
        "-flags:v",
        "+bitexact",
        "-fflags",
        "+bitexact",
        "-map_metadata",
        "-1",
        "-f",
        muxer,
        "pipe:1",
    ];
    args.extend(output.map(OsString::from));
    args
}

/// Returns the options of the AV1 encoder. Every frame is a keyframe, whose bytes do not depend on other frames.
fn avif(quality: u8) -> Vec<String> {
    // The mapping of libavif.
    let quantiser = ((100 - u32::from(quality)) * 63 + 50) / 100;
    let quantiser = quantiser.to_string();
    // At higher speeds, a frame depends on the frames before, even among keyframes.
    let encoder = [
        "-c:v",
        AVIF_ENCODER,
        "-usage",
        "allintra",
        "-g",
        "0",
        "-cpu-used",
        "6",
    ];
    let rate = ["-crf", &quantiser, "-b:v", "0"];
    // Several threads divide large frames, which changes their bytes.
    let threads = ["-threads:v", "1", "-row-mt", "0"];
    // The tags in the stream, which the container repeats only if they differ from its defaults.
    let colours = [
        "-color_range:v",
        "pc",
        "-colorspace:v",
        "smpte170m",
        "-color_primaries:v",
        "bt709",
        "-color_trc:v",
        "iec61966-2-1",
    ];
    let args = encoder.iter().chain(&rate).chain(&threads).chain(&colours);
    args.map(|&arg| arg.to_owned()).collect()
}

/// Maps a quality to ffmpeg's inverted scale of 1–31: from 98 on 1 (best), from 90 on 2 (visually lossless), at 1
/// 31 (worst).
fn jpeg_quantiser(quality: u8) -> u32 {
    match u32::from(quality) {
        98.. => 1,
        90.. => 2,
        q => 2 + ((90 - q) * 29).div_ceil(89),
    }
}

/// Returns the filter graph of an extraction. With `whole`, the graph processes the file to its end for an
/// additional output.
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
        // The first frame after the last pick ends the stream. Otherwise a multi-threaded encoder would hold back
        // its last pictures until the end of the file.
        filters.push(format!("trim=end_pts={}", timeline.pts()[last].saturating_add(1)));
    }
    filters.push(format!("select='{}'", pick_expression(timeline, frames)));
    filters.extend(picture_filters(request));
    filters.join(",")
}

/// Returns the filters that convert a picked frame to a picture. All kinds of decodes use the same filters.
fn picture_filters(request: &ExtractRequest) -> Vec<String> {
    let ExtractRequest { video, picture, .. } = request;
    let mut filters = vec![format!("showinfo@{}=checksum=0", *PICKED)];
    // The rotation is applied below; a later encoder must not store it a second time.
    filters.push("sidedata=mode=delete:type=DISPLAYMATRIX".to_owned());
    // From here on pictures are identified by their order. Every frame gets its own tick, since with a time base
    // chosen by the encoder two frames of a variable frame rate may share a tick. A change of the frame size
    // rebuilds the graph and resets N to 0, so the time of day is added.
    filters.push("settb=1/1000000000,setpts=RTCSTART+N".to_owned());
    if let Some(rotation) = rotation(video.orientation).filter(|_| picture.rotate) {
        filters.push(rotation.to_owned());
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
    let cropping = Cropping::new(video, picture, stored);
    let (before, stored) = cropping.before(stored);
    let (scale, pad) = filters::fit(stored, cropping.converted, Rational::from_integer(1));
    let (matrix, range) = if tonemap {
        ("bt709", "tv")
    } else {
        (input_matrix(video), input_range(video))
    };
    let alpha = video.alpha && !tonemap;
    let matrix = if is_gray(picture) && matrix != "auto" {
        "bt601"
    } else {
        matrix
    };
    let target = colours(video, picture, (matrix, range), alpha);
    let direct =
        direct_colours(video, picture, matrix, range).filter(|_| !tonemap && !alpha && pad.is_some());
    let forget = filters::forget_matrix(video).filter(|_| !tonemap);
    filters.extend(forget.map(str::to_owned));
    if picture.format == PictureFormat::Png && !tonemap {
        // The PNG encoder writes the transfer characteristic to the picture and fails for logarithmic curves.
        let logarithmic = |curve: &str| curve.starts_with("log");
        let refused = video.colour.transfer.as_deref().is_some_and(logarithmic);
        filters.extend(refused.then(|| "setparams=color_trc=unknown".to_owned()));
    }
    filters.extend(before);
    let is_direct = direct.is_some();
    filters.push(match direct {
        Some(colours) => format!("{scale}:flags=bicubic+accurate_rnd,{colours},setsar=1"),
        None => {
            // Older padding filters do not support packed RGB with 16 bits.
            let format = cropping.format(target.format).replace("rgb48le", "gbrp16le");
            let options = &target.options;
            format!(
                "{scale}:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp\
                 :in_color_matrix={matrix}:in_range={range}{options},setsar=1,format={format}"
            )
        }
    });
    filters.extend(pad);
    filters.extend(cropping.after(size, &target, is_direct));
    if alpha && is_flattened(picture.format) {
        let flattened = colours(video, picture, (matrix, range), false);
        filters.push(on_white(target.format, &flattened));
    } else if picture.format.is_uncompressed() {
        // Nothing else fixes the format of the output.
        filters.push(format!(
            "scale=flags=bicubic+accurate_rnd,format={}",
            target.format
        ));
    }
    filters
}

/// Returns an expression that is true for the picked timestamps: a range if all frames of the range are picked,
/// otherwise a tree of comparisons, so that evaluation takes logarithmic time.
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

/// Returns whether the double-precision arithmetic of ffmpeg's expressions represents all timestamps exactly.
pub(super) fn exact_in_double(timeline: &Timeline) -> bool {
    timeline
        .pts()
        .first()
        .into_iter()
        .chain(timeline.pts().last())
        .all(|pts| pts.unsigned_abs() <= 1 << 53)
}
