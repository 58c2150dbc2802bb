//! Resolution of a request to the settings for the installed ffmpeg and a source.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::media::{self, Media};
use super::settings::Settings;
use crate::compress::{CompressError, CompressRequest};
use crate::extract::ExtractError;
use crate::ffmpeg::process::capabilities::Component;
use crate::ffmpeg::process::invocation::{BlockingInvocation, Invocation};
use crate::ffmpeg::process::programs::Programs;

/// Resolves a request to the settings for this ffmpeg and this source.
///
/// # Errors
/// Fails with [`ExtractError::Unsupported`] if ffmpeg lacks an encoder.
pub(super) async fn resolve(
    programs: &Arc<Programs>,
    input: &Path,
    request: &CompressRequest,
    cancel: &CancellationToken,
) -> Result<(Settings, Media), CompressError> {
    let codec = request.options.codec;
    let hdr = codec.keeps_hdr();
    let media = {
        let video = request.video.clone();
        let describe = move |invocation: Invocation<'_>| media::describe(invocation, &video, hdr);
        let invocation = BlockingInvocation::new(programs, input, &request.limits);
        invocation.run::<_, ExtractError>(cancel, describe).await?
    };
    let capabilities = &programs.capabilities;
    let missing =
        async |component, names: &[&'static str]| capabilities.missing(component, names, cancel).await;
    let tonemaps = !request.video.colour.is_hdr()
        || hdr
        || missing(Component::Filter, &["zscale", "tonemap"])
            .await?
            .is_empty();
    let major = capabilities.version(cancel).await?.number.0;
    let settings = Settings::resolve(request, &media, major, tonemaps)?;
    let mut encoders = vec![codec.encoder()];
    encoders.extend(settings.audio_encoder());
    if let Some(missing) = missing(Component::Encoder, &encoders).await?.first() {
        return Err(
            ExtractError::Unsupported(format!("missing encoder {missing}, required for {codec}")).into(),
        );
    }
    Ok((settings, media))
}
