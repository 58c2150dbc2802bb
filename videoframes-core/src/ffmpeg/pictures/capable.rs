//! Adjustment of a request to the capabilities of the installed ffmpeg.

use tokio_util::sync::CancellationToken;

use super::args;
use crate::extract::{ExtractError, ExtractRequest, PictureFormat, Tonemap};
use crate::ffmpeg::filters::{input_matrix, unknown_matrix};
use crate::ffmpeg::process::capabilities::Component;
use crate::ffmpeg::process::programs::Programs;

/// A request without the parts that the installed ffmpeg does not support.
#[derive(Debug, Clone)]
pub(crate) struct Capable {
    pub(crate) request: ExtractRequest,
    /// Warnings about the parts that are left out.
    pub(crate) warnings: Vec<String>,
}

/// Returns the request with the parts that this ffmpeg supports.
///
/// # Errors
/// Fails with [`ExtractError::Unsupported`] if the result would differ from the request.
pub(crate) async fn capable_of(
    programs: &Programs,
    mut request: ExtractRequest,
    cancel: &CancellationToken,
) -> Result<Capable, ExtractError> {
    let missing = async |component, names: &[&'static str]| {
        programs.capabilities.missing(component, names, cancel).await
    };
    let mut warnings = Vec::new();
    check_encoder(programs, request.picture.format, cancel).await?;
    if request.picture.tonemap == Tonemap::Auto && request.video.colour.is_hdr() {
        let missing = missing(Component::Filter, &["zscale", "tonemap"]).await?;
        if !missing.is_empty() {
            request.picture.tonemap = Tonemap::Off;
            warnings.push(format!(
                "the video is HDR and this ffmpeg has no {} filter: the pictures will look washed out",
                missing.join(" and no ")
            ));
        }
    }
    if let Some(decoder) = args::alpha_decoder(&request.video)
        && !missing(Component::Decoder, &[decoder]).await?.is_empty()
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
    Ok(Capable { request, warnings })
}

/// Fails if this ffmpeg has no encoder of a format.
pub(super) async fn check_encoder(
    programs: &Programs,
    format: PictureFormat,
    cancel: &CancellationToken,
) -> Result<(), ExtractError> {
    let (name, encoder) = match format {
        PictureFormat::Webp => ("WebP", "libwebp"),
        PictureFormat::Avif => ("AVIF", args::AVIF_ENCODER),
        _ => return Ok(()),
    };
    let capabilities = &programs.capabilities;
    let missing = capabilities
        .missing(Component::Encoder, &[encoder], cancel)
        .await?;
    match missing.is_empty() {
        true => Ok(()),
        false => Err(ExtractError::Unsupported(format!(
            "the {name} encoder ({encoder}) is missing"
        ))),
    }
}
