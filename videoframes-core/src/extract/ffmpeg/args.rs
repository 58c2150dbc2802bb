//! The command lines: pure functions from a request to arguments.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;

use crate::extract::{ExtractRequest, PictureFormat, PictureOptions, Tonemap};
use crate::video::{Orientation, Timeline, VideoInfo};

/// Demuxers that may open an input: containers that hold their media themselves. Playlists, concat
/// scripts, subtitle formats and image sequences can name other files and are not on the list.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,mpegvideo,avi,flv,asf,ogg,mxf,nut,ivf,\
                       obu,h264,hevc,vvc,m4v,mjpeg,gif,dv,rm,wtv,yuv4mpegpipe,mp3,wav,flac,aac,aiff,w64,caf";

/// Names under which the two `showinfo` filters report.
pub(super) const DECODED: &str = "decoded";
pub(super) const PICKED: &str = "picked";

/// Options before every input: nothing but this file, by a listed demuxer.
pub(super) fn input(path: &Path) -> Vec<OsString> {
    let mut url = OsString::from("file:");
    url.push(path);
    let mut args: Vec<OsString> = ["-protocol_whitelist", "file", "-format_whitelist", FORMATS]
        .map(OsString::from)
        .into();
    args.extend([OsString::from("-i"), url]);
    args
}

/// What every decode has in common. The banner is not hidden: it tells the version.
fn decode(source: Vec<OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "-nostdin",
        "-nostats",
        "-loglevel",
        "repeat+level+info",
        "-max_error_rate",
        "1",
        "-copyts",
        "-noautorotate",
    ]
    .map(OsString::from)
    .into();
    args.extend(source);
    args.extend(["-map", "0:V:0", "-an", "-sn", "-dn"].map(OsString::from));
    args
}

/// Decodes everything and reports every frame, writing nothing.
pub(super) fn scan(path: &Path) -> Vec<OsString> {
    let mut args = decode(input(path));
    let filter = format!("showinfo@{DECODED}=checksum=0");
    args.extend(["-vf", &filter, "-fps_mode", "passthrough", "-f", "null", "-"].map(OsString::from));
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
pub(super) fn extract(path: &Path, request: &ExtractRequest, graph: Graph<'_>) -> Vec<OsString> {
    let mut args = decode(steady(request, input(path)));
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

/// Keeps the graph as it is where frames are deinterlaced, whatever becomes of their size.
fn steady(request: &ExtractRequest, input: Vec<OsString>) -> Vec<OsString> {
    let options = ["-reinit_filter", "0"].iter().filter(|_| request.deinterlace);
    options.map(OsString::from).chain(input).collect()
}

/// Decodes the samples that come by stdin and writes those with odd timestamps to stdout.
pub(super) fn extract_planned(request: &ExtractRequest, threads: usize) -> Vec<OsString> {
    let mut source: Vec<OsString> = Vec::new();
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
    let mut args = decode(source);
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

/// The filter graph of an extraction.
pub(super) fn filter_graph(request: &ExtractRequest) -> String {
    let ExtractRequest {
        video,
        timeline,
        frames,
        picture,
        ..
    } = request;
    let mut filters = vec![format!("showinfo@{DECODED}=checksum=0")];
    if request.deinterlace {
        let which = if picture.deinterlace == crate::extract::Deinterlace::On {
            "all"
        } else {
            "interlaced"
        };
        // The deinterlacer holds a frame back, which it would lose if the graph were built anew where a
        // video changes its size: see `steady`. It halves the time base; picks are made in the stream's own.
        filters.push(format!("scale=w={}:h={}:interl=1", video.width, video.height));
        filters.push(format!(
            "bwdif=mode=send_frame:deint={which},settb={}",
            video.time_base
        ));
    }
    if let Some(&last) = frames.last() {
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
    let mut filters = vec![format!("showinfo@{PICKED}=checksum=0")];
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
    let (scale, pad) = scale(video, picture);
    let (matrix, range) = if tonemap {
        ("bt709", "tv")
    } else {
        (input_matrix(video), input_range(video))
    };
    let (output, format) = match picture.format {
        PictureFormat::Jpg => (":out_color_matrix=bt601:out_range=pc", "yuvj420p"),
        PictureFormat::Webp => (":out_color_matrix=bt601:out_range=tv", "yuv420p"),
        PictureFormat::Png => ("", "rgb24"),
    };
    let direct = direct_colours(video, picture, matrix, range).filter(|_| !tonemap && pad.is_some());
    filters.push(match direct {
        Some(colours) => format!("{scale}:flags=bicubic+accurate_rnd,{colours},setsar=1"),
        None => format!(
            "{scale}:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp\
             :in_color_matrix={matrix}:in_range={range}{output},setsar=1,format={format}"
        ),
    });
    filters.extend(pad);
    filters
}

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

/// Brings frames to the size of the pictures. A frame of another size than the first is fitted into it
/// with its own shape: the graph is built anew where a video changes its size, the encoder is not.
fn scale(video: &VideoInfo, picture: &PictureOptions) -> (String, Option<String>) {
    let (width, height) = match picture.rotate && video.orientation.swaps_sides() {
        true => (video.height, video.width),
        false => (video.width, video.height),
    };
    let display = video.display_size(picture.rotate);
    let (w, h) = picture.fit(display.0, display.1);
    if w % 2 == 1 || h % 2 == 1 {
        // No border can be put around halved colours of an odd size.
        return (format!("scale=w={w}:h={h}"), None);
    }
    let side = |known: u32, side: &str| {
        format!(
            "if(eq(iw,{width})*eq(ih,{height}),{known},max(2,2*round({side}*min({w}/(iw*sar),{h}/ih)/2)))"
        )
    };
    let scale = format!("scale=w='{}':h='{}'", side(w, "iw*sar"), side(h, "ih"));
    (scale, Some(format!("pad=w={w}:h={h}:x=(ow-iw)/2:y=(oh-ih)/2")))
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

fn turn(orientation: Orientation) -> Option<&'static str> {
    Some(match orientation {
        Orientation::Upright => return None,
        Orientation::Clockwise => "transpose=clock",
        Orientation::HalfTurn => "hflip,vflip",
        Orientation::CounterClockwise => "transpose=cclock",
        Orientation::MirroredHorizontally => "hflip",
        Orientation::MirroredVertically => "vflip",
        Orientation::MirroredClockwise => "transpose=clock_flip",
        Orientation::MirroredCounterClockwise => "transpose=cclock_flip",
    })
}

/// The matrix to decode with: the tagged one, else BT.709 for HD and BT.601 below.
fn input_matrix(video: &VideoInfo) -> &'static str {
    match video.colour.matrix.as_deref() {
        Some("bt709") => "bt709",
        Some("fcc") => "fcc",
        Some("bt470bg" | "smpte170m") => "bt601",
        Some("smpte240m") => "smpte240m",
        Some("bt2020nc" | "bt2020c") => "bt2020",
        _ if is_rgb(video) => "auto",
        _ if video.height >= 720 || video.width >= 1280 => "bt709",
        _ => "bt601",
    }
}

fn input_range(video: &VideoInfo) -> &'static str {
    match video.colour.full_range {
        _ if is_rgb(video) => "auto",
        Some(true) => "pc",
        Some(false) => "tv",
        None if video.pixel_format.starts_with("yuvj") => "pc",
        None if video.pixel_format.starts_with("gray") => "auto",
        None => "tv",
    }
}

fn is_rgb(video: &VideoInfo) -> bool {
    let format = video.pixel_format.as_str();
    [
        "rgb", "bgr", "gbr", "argb", "abgr", "pal8", "0rgb", "0bgr", "x2rgb", "x2bgr",
    ]
    .iter()
    .any(|p| format.starts_with(p))
}

/// PQ or HLG to BT.709 SDR: linear light, BT.709 primaries, the Hable curve.
fn tonemap_chain(video: &VideoInfo) -> String {
    let tag = |value: &Option<String>, fallback: &str| value.clone().unwrap_or_else(|| fallback.to_owned());
    let range = if video.colour.full_range == Some(true) {
        "full"
    } else {
        "limited"
    };
    format!(
        "zscale=tin={}:min={}:pin={}:rin={range}:t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,\
         tonemap=tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=limited,format=yuv444p10le",
        tag(&video.colour.transfer, "smpte2084"),
        zscale_matrix(video.colour.matrix.as_deref()),
        zscale_primaries(video.colour.primaries.as_deref()),
    )
}

/// Rare primaries that zscale has no name for are taken as the usual ones of HDR.
fn zscale_primaries(primaries: Option<&str>) -> &str {
    match primaries {
        Some(known @ ("bt709" | "smpte170m" | "smpte240m" | "bt2020" | "smpte432")) => known,
        _ => "bt2020",
    }
}

fn zscale_matrix(matrix: Option<&str>) -> &'static str {
    match matrix {
        Some("bt709") => "709",
        Some("bt2020c") => "2020_cl",
        Some("smpte170m" | "bt470bg") => "170m",
        _ => "2020_ncl",
    }
}

/// Reads the container's streams, as JSON.
pub(super) fn probe_streams(path: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["-v", "error", "-show_streams", "-show_format", "-of", "json"]
        .map(OsString::from)
        .into();
    args.extend(input(path));
    args
}

/// Reads the video stream's packets, a line each: `pts,duration,flags`.
pub(super) fn probe_packets(path: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "-v",
        "error",
        "-select_streams",
        "V:0",
        "-show_entries",
        "packet=pts,duration,flags",
        "-of",
        "csv=p=0",
    ]
    .map(OsString::from)
    .into();
    args.extend(input(path));
    args
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
