//! Adjustment of a request to the capabilities of the installed ffmpeg.

use super::args;
use crate::extract::{ExtractError, ExtractRequest, PictureFormat, Tonemap};
use crate::ffmpeg::filters::{input_matrix, unknown_matrix};
use crate::ffmpeg::process::program::Programs;

/// Returns the request with the parts that this ffmpeg supports, and warnings about the parts that are left out.
///
/// # Errors
/// Fails with [`ExtractError::Unsupported`] if the result would differ from the request.
pub(super) fn capable_of(
    programs: &Programs,
    request: &ExtractRequest,
) -> Result<(ExtractRequest, Vec<String>), ExtractError> {
    let mut request = request.clone();
    let mut warnings = Vec::new();
    if request.picture.format == PictureFormat::Webp
        && !programs.missing("-encoders", &["libwebp"])?.is_empty()
    {
        return Err(ExtractError::Unsupported(
            "the WebP encoder (libwebp) is missing".to_owned(),
        ));
    }
    if request.picture.tonemap == Tonemap::Auto && request.video.colour.is_hdr() {
        let missing = programs.missing("-filters", &["zscale", "tonemap"])?;
        if !missing.is_empty() {
            request.picture.tonemap = Tonemap::Off;
            warnings.push(format!(
                "the video is HDR and this ffmpeg has no {} filter: the pictures will look washed out",
                missing.join(" and no ")
            ));
        }
    }
    if let Some(decoder) = args::alpha_decoder(&request.video)
        && !programs.missing("-decoders", &[decoder])?.is_empty()
    {
        request.video.alpha = false;
        warnings.push(format!(
            "the alpha channel is left out, since this ffmpeg has no decoder {decoder}"
        ));
    }
    let tonemaps = request.picture.tonemap == Tonemap::Auto && request.video.colour.is_hdr();
    if request.video.alpha && tonemaps {
        warnings.push("the alpha channel is left out, since HDR is converted to SDR".to_owned());
    }
    if let (Some(matrix), false) = (unknown_matrix(&request.video), tonemaps) {
        let instead = input_matrix(&request.video);
        warnings.push(format!(
            "the colour matrix {matrix} of the video is not supported: {instead} is used instead"
        ));
    }
    Ok((request, warnings))
}
