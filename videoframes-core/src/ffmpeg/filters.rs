//! Filters for both pictures and compressed videos, and the properties of a video that determine the filters.

use num_traits::One;

use crate::units::Rational;
use crate::video::{Orientation, VideoInfo};

/// Returns filters that scale frames to `size` with the sample aspect ratio `aspect`. A frame of a size other
/// than `stored` is fitted with its own aspect ratio: when the size changes, ffmpeg builds the graph anew but
/// keeps the encoder.
pub(crate) fn fit(stored: (u32, u32), size: (u32, u32), aspect: Rational) -> (String, Option<String>) {
    let ((width, height), (w, h)) = (stored, size);
    if w % 2 == 1 || h % 2 == 1 {
        // No border can be put around subsampled chroma of an odd size.
        return (format!("scale=w={w}:h={h}"), None);
    }
    // Width of the frames with square samples, or with samples of the given aspect ratio.
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

/// Returns a filter that drops the frames before the first keyframe, for a stream that begins in the middle of a
/// GOP.
pub(crate) fn from_first_keyframe(video: &VideoInfo) -> Option<String> {
    let start = video.first_keyframe?;
    Some(format!("trim=start_pts={start}"))
}

/// Returns filters that deinterlace frames, one output frame per input frame. With `all`, every frame is treated
/// as interlaced. The deinterlacer buffers one frame, which would be lost if ffmpeg built the graph anew after a
/// change of the frame size: see [`crate::ffmpeg::args::STEADY`]. The deinterlacer halves the time base; `settb`
/// restores the time base of the stream.
pub(crate) fn deinterlace(video: &VideoInfo, all: bool) -> [String; 2] {
    let which = if all { "all" } else { "interlaced" };
    [
        format!("scale=w={}:h={}:interl=1", video.width, video.height),
        format!("bwdif=mode=send_frame:deint={which},settb={}", video.time_base),
    ]
}

pub(crate) fn rotation(orientation: Orientation) -> Option<&'static str> {
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

/// Returns the matrix to decode with: the tagged matrix, otherwise BT.709 for HD and BT.601 for smaller frames.
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

/// Returns the tagged matrix if colours cannot be decoded with it, so that [`input_matrix`] replaces it.
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

/// Returns a filter that removes the matrix tag from frames where the scaler does not need the tag. Newer scalers
/// refuse frames with a matrix unknown to them, and newer decoders report matrices that the older ffprobe did not
/// know.
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

/// Returns filters that convert PQ or HLG to BT.709 SDR: linear light, BT.709 primaries, the Hable curve.
pub(crate) fn tonemap_chain(video: &VideoInfo) -> String {
    let tag = |value: &Option<String>, fallback: &str| value.clone().unwrap_or_else(|| fallback.to_owned());
    let range = if video.colour.full_range == Some(true) {
        "full"
    } else {
        "limited"
    };
    let primaries = zscale_primaries(video.colour.primaries.as_deref());
    // The second conversion relies on the tags of each frame, so no tag may be unknown there.
    format!(
        "setparams=color_primaries={primaries}:colorspace={},\
         zscale=tin={}:min={}:pin={primaries}:rin={range}:t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,\
         tonemap=tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=limited,format=yuv444p10le",
        // zscale knows the matrix of constant luminance only by name.
        tag(&video.colour.matrix, "bt2020nc").replace("bt2020c", "bt2020nc"),
        tag(&video.colour.transfer, "smpte2084"),
        zscale_matrix(video.colour.matrix.as_deref()),
    )
}

/// Returns the name of the primaries in zscale. Rare primaries without a name in zscale are treated as BT.2020,
/// the usual primaries of HDR.
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

/// Returns whether samples have more than 8 bits. The name then ends with the number of bits (`yuv420p10le`,
/// `p010le`).
pub(crate) fn is_deep(format: &str) -> bool {
    let name = format.strip_suffix("le").or_else(|| format.strip_suffix("be"));
    let packed = ["rgb444", "rgb555", "rgb565", "bgr444", "bgr555", "bgr565"];
    name.is_some_and(|name| {
        name.ends_with(|c: char| c.is_ascii_digit()) && !packed.iter().any(|p| name.starts_with(p))
    })
}
