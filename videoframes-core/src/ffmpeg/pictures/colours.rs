//! Colours of the pictures: pixel formats and options of the scaler. Pure.

use crate::extract::{PictureFormat, PictureOptions, PixelFormat};
use crate::ffmpeg::filters;
use crate::video::VideoInfo;

/// Colours of a picture: options of the scaler, and pixel format.
pub(super) struct Colours {
    pub(super) options: String,
    pub(super) format: &'static str,
}

/// Returns whether a format has no alpha channel, so that pictures get a white background.
pub(super) fn is_flattened(format: PictureFormat) -> bool {
    matches!(
        format,
        PictureFormat::Jpg | PictureFormat::Avif | PictureFormat::Raw | PictureFormat::Npy
    )
}

/// Returns whether pictures have luma only. Their frames are converted with BT.601 on both sides: newer scalers take
/// gray for BT.601, and would convert the luma of another matrix.
pub(super) fn is_gray(picture: &PictureOptions) -> bool {
    picture.format.is_uncompressed() && matches!(picture.pixels, PixelFormat::Gray8 | PixelFormat::Gray16)
}

/// Returns the colours to which frames of this matrix and range are converted.
pub(super) fn colours(
    video: &VideoInfo,
    picture: &PictureOptions,
    (matrix, range): (&str, &str),
    alpha: bool,
) -> Colours {
    // Scalers take RGB with the matrix and range `auto`; YUV needs known ones.
    let matrix = if matrix == "auto" { "bt601" } else { matrix };
    let range = match range {
        "auto" if filters::is_rgb(video) => "tv",
        "auto" => "pc",
        range => range,
    };
    let is_deep = picture.format.is_uncompressed() && picture.pixels.sample_bytes() == 2;
    let (options, format) = match (picture.format, alpha) {
        // Flattened by `on_white`.
        (format, true) if is_flattened(format) => {
            (String::new(), if is_deep { "gbrap16le" } else { "gbrap" })
        }
        (PictureFormat::Jpg | PictureFormat::Avif, _) | (PictureFormat::Webp | PictureFormat::Png, false) => {
            return opaque(picture.format);
        }
        (PictureFormat::Webp, true) => (in_yuv("bt601", "tv"), "yuva420p"),
        (PictureFormat::Png, true) => (String::new(), "rgba"),
        (PictureFormat::Raw | PictureFormat::Npy, _) => match picture.pixels {
            PixelFormat::Rgb24 => (String::new(), "rgb24"),
            PixelFormat::Rgb48 => (String::new(), "rgb48le"),
            PixelFormat::Gray8 => (in_yuv("bt601", "pc"), "gray"),
            PixelFormat::Gray16 => (in_yuv("bt601", "pc"), "gray16le"),
            PixelFormat::Yuv420p => (in_yuv(matrix, range), "yuv420p"),
        },
    };
    Colours { options, format }
}

/// Returns the colours of an encoded picture without an alpha channel, by the standard of its format.
pub(super) fn opaque(format: PictureFormat) -> Colours {
    let (options, format) = match format {
        PictureFormat::Jpg => (in_yuv("bt601", "pc"), "yuvj420p"),
        PictureFormat::Avif => (in_yuv("bt601", "pc"), "yuv420p"),
        PictureFormat::Webp => (in_yuv("bt601", "tv"), "yuv420p"),
        PictureFormat::Png | PictureFormat::Raw | PictureFormat::Npy => (String::new(), "rgb24"),
    };
    Colours { options, format }
}

fn in_yuv(matrix: &str, range: &str) -> String {
    format!(":out_color_matrix={matrix}:out_range={range}")
}

/// Returns filters that put planar RGB pictures with an alpha channel on a white background and convert them to
/// `target`. In the negative the background is black, which is the result of multiplying colours by alpha.
pub(super) fn on_white(with_alpha: &str, target: &Colours) -> String {
    let opaque = with_alpha.replace("gbrap", "gbrp");
    let converted = from_rgb(target);
    format!("negate,premultiply=inplace=1,negate,format={opaque},{converted}")
}

/// Returns filters that convert RGB pictures to `target`.
pub(super) fn from_rgb(target: &Colours) -> String {
    let Colours { options, format } = target;
    format!("scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp{options},format={format}")
}

/// Returns a filter that converts limited-range 4:2:0 video to the colour format of JPEG, AVIF or WebP, directly from
/// YUV to YUV. The filter preserves chroma sharpness and takes about a fifth of the time of `scale`, which converts
/// via RGB. Returns `None` where the filter does not support the conversion.
pub(super) fn direct_colours(
    video: &VideoInfo,
    picture: &PictureOptions,
    matrix: &str,
    range: &str,
) -> Option<String> {
    let space = match matrix {
        "bt709" => "bt709",
        "bt601" => "smpte170m",
        "fcc" => "fcc",
        "smpte240m" => "smpte240m",
        "bt2020" => "bt2020nc",
        _ => return None,
    };
    let output = match picture.format {
        PictureFormat::Jpg | PictureFormat::Avif => "pc",
        PictureFormat::Webp => "tv",
        PictureFormat::Png | PictureFormat::Raw | PictureFormat::Npy => return None,
    };
    let planar = ["yuv420p", "yuv420p10le", "yuv420p12le"].contains(&video.pixel_format.as_str());
    let even = video.width.is_multiple_of(2) && video.height.is_multiple_of(2);
    // Primaries and transfer have the same names on both sides, so that they stay unchanged.
    (planar && even && range == "tv").then(|| {
        format!(
            "colorspace=ispace={space}:irange=tv:iprimaries=bt709:itrc=bt709\
             :space=smpte170m:range={output}:primaries=bt709:trc=bt709:fast=1:format=yuv420p"
        )
    })
}
