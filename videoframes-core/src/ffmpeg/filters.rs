//! Filters that pictures and compressed videos share, and what they have to know of a video.

use num_traits::One;

use crate::units::Rational;
use crate::video::{Orientation, VideoInfo};

/// Brings frames to `size`, whose samples have the shape `aspect`. A frame of another size than
/// `stored` is fitted into it with its own shape: the graph is built anew where a video changes its
/// size, the encoder is not.
pub(crate) fn fit(stored: (u32, u32), size: (u32, u32), aspect: Rational) -> (String, Option<String>) {
    let ((width, height), (w, h)) = (stored, size);
    if w % 2 == 1 || h % 2 == 1 {
        // No border can be put around halved colours of an odd size.
        return (format!("scale=w={w}:h={h}"), None);
    }
    // Frames as wide as they would be with samples of that shape.
    let wide = match aspect.is_one() {
        true => "iw*sar".to_owned(),
        false => format!("iw*sar*{}/{}", aspect.denom(), aspect.numer()),
    };
    let side = |known: u32, side: &str| {
        format!(
            "if(eq(iw,{width})*eq(ih,{height}),{known},max(2,2*round({side}*min({w}/({wide}),{h}/ih)/2)))"
        )
    };
    let scale = format!("scale=w='{}':h='{}'", side(w, &wide), side(h, "ih"));
    (scale, Some(format!("pad=w={w}:h={h}:x=(ow-iw)/2:y=(oh-ih)/2")))
}

/// Leaves out what comes in front of the first keyframe, where a stream begins in the middle of a group.
pub(crate) fn from_first_keyframe(video: &VideoInfo) -> Option<String> {
    let start = video.first_keyframe?;
    Some(format!("trim=start_pts={start}"))
}

/// Frames that are coded as interlaced become whole ones, one for each; `all` takes every frame for one.
/// The deinterlacer holds a frame back, which it would lose if the graph were built anew where a video
/// changes its size: see [`crate::ffmpeg::args::STEADY`]. It halves the time base; what follows counts in
/// the stream's own.
pub(crate) fn deinterlace(video: &VideoInfo, all: bool) -> [String; 2] {
    let which = if all { "all" } else { "interlaced" };
    [
        format!("scale=w={}:h={}:interl=1", video.width, video.height),
        format!("bwdif=mode=send_frame:deint={which},settb={}", video.time_base),
    ]
}

pub(crate) fn turn(orientation: Orientation) -> Option<&'static str> {
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
pub(crate) fn input_matrix(video: &VideoInfo) -> &'static str {
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

/// A matrix that colours are not decoded with, and [`input_matrix`] is instead.
pub(crate) fn unknown_matrix(video: &VideoInfo) -> Option<&str> {
    let known = [
        "bt709",
        "fcc",
        "bt470bg",
        "smpte170m",
        "smpte240m",
        "bt2020nc",
        "bt2020c",
    ];
    let matrix = video.colour.matrix.as_deref();
    matrix.filter(|matrix| !is_rgb(video) && !known.contains(matrix))
}

/// Makes a scaler forget the matrix of its frames, which it is told of or does not need. Newer ones refuse
/// every frame with one that they do not know, and know of more than the ffprobe that has looked.
pub(crate) fn forget_matrix(video: &VideoInfo) -> Option<&'static str> {
    let scaled = ["bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc"];
    let matrix = video.colour.matrix.as_deref();
    let known = matrix.is_some_and(|matrix| scaled.contains(&matrix));
    (!is_rgb(video) && !known).then_some("setparams=colorspace=unknown")
}

pub(crate) fn input_range(video: &VideoInfo) -> &'static str {
    match video.colour.full_range {
        _ if is_rgb(video) => "auto",
        Some(true) => "pc",
        Some(false) => "tv",
        None if video.pixel_format.starts_with("yuvj") => "pc",
        None if video.pixel_format.starts_with("gray") => "auto",
        None => "tv",
    }
}

pub(crate) fn is_rgb(video: &VideoInfo) -> bool {
    let format = video.pixel_format.as_str();
    [
        "rgb", "bgr", "gbr", "argb", "abgr", "pal8", "0rgb", "0bgr", "x2rgb", "x2bgr",
    ]
    .iter()
    .any(|p| format.starts_with(p))
}

/// PQ or HLG to BT.709 SDR: linear light, BT.709 primaries, the Hable curve.
pub(crate) fn tonemap_chain(video: &VideoInfo) -> String {
    let tag = |value: &Option<String>, fallback: &str| value.clone().unwrap_or_else(|| fallback.to_owned());
    let range = if video.colour.full_range == Some(true) {
        "full"
    } else {
        "limited"
    };
    let primaries = zscale_primaries(video.colour.primaries.as_deref());
    // What a frame itself says is what the second conversion goes by: nothing may be unknown there.
    format!(
        "setparams=color_primaries={primaries}:colorspace={},\
         zscale=tin={}:min={}:pin={primaries}:rin={range}:t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,\
         tonemap=tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=limited,format=yuv444p10le",
        // Of constant luminance it knows only by name.
        tag(&video.colour.matrix, "bt2020nc").replace("bt2020c", "bt2020nc"),
        tag(&video.colour.transfer, "smpte2084"),
        zscale_matrix(video.colour.matrix.as_deref()),
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
        Some("smpte170m" | "bt470bg") => "170m",
        _ => "2020_ncl",
    }
}

/// Whether samples have more than 8 bits: the name ends in their number (`yuv420p10le`, `p010le`).
pub(crate) fn is_deep(format: &str) -> bool {
    let name = format.strip_suffix("le").or_else(|| format.strip_suffix("be"));
    let packed = ["rgb444", "rgb555", "rgb565", "bgr444", "bgr555", "bgr565"];
    name.is_some_and(|name| {
        name.ends_with(|c: char| c.is_ascii_digit()) && !packed.iter().any(|p| name.starts_with(p))
    })
}
