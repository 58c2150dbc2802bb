//! Compressed videos in addition to the pictures of an extraction.

use super::compress::{Prepared, Subject};
use super::error::Error;
use crate::compress::{CompressOptions, CompressReport, CompressRequest, Compressed, Origin, VideoTarget};
use crate::error::kept_chain;
use crate::extract::ExtractError;

/// A compressed video in addition to the pictures of an extraction.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rendition {
    /// Codec, quality or size, and appearance of the video.
    pub options: CompressOptions,
    /// Whether the extraction succeeds without the video.
    pub optional: bool,
    /// Where the video is stored.
    pub target: VideoTarget,
}

impl Rendition {
    /// Returns a rendition whose failure ends the extraction.
    #[must_use]
    pub fn new(options: CompressOptions, target: VideoTarget) -> Self {
        Self {
            options,
            optional: false,
            target,
        }
    }

    /// Lets the extraction continue if the rendition fails.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// Outcome of a [`Rendition`].
#[derive(Debug, Clone, PartialEq)]
pub enum RenditionOutcome {
    /// The video is stored.
    Made(Compressed),
    /// The video could not be made and was optional; the reason in words for a person.
    Failed(String),
}

/// Renditions that share the decode of the pictures.
pub(super) struct SharedDecode {
    /// Indices among all renditions.
    indices: Vec<usize>,
    prepared: Vec<Prepared>,
}

impl SharedDecode {
    /// Returns the requests of the renditions.
    pub(super) fn requests(&self) -> Vec<CompressRequest> {
        let requests = self.prepared.iter().map(|prepared| &prepared.request);
        requests.cloned().collect()
    }
}

/// Returns whether a rendition can share the decode of the pictures. A maximum size requires more than one pass.
fn is_shareable(rendition: &Rendition) -> bool {
    rendition.options.max_bytes.is_none()
}

/// Returns whether any rendition can share the decode of the pictures.
pub(super) fn can_share(renditions: &[Rendition]) -> bool {
    renditions.iter().any(is_shareable)
}

/// Prepares the renditions that can share the decode of the pictures.
pub(super) fn share(renditions: &[Rendition], subject: &Subject<'_>) -> Result<Option<SharedDecode>, Error> {
    let mut shared = SharedDecode {
        indices: Vec::new(),
        prepared: Vec::new(),
    };
    for (index, rendition) in renditions.iter().enumerate() {
        if !is_shareable(rendition) {
            continue;
        }
        let prepared = subject.prepare(&rendition.options, &rendition.target, subject.deinterlace)?;
        shared.indices.push(index);
        shared.prepared.push(prepared);
    }
    Ok((!shared.indices.is_empty()).then_some(shared))
}

/// Stores all renditions. Makes the renditions that shared no decode first.
///
/// # Errors
/// Returns the error of the first rendition that fails and is not optional.
pub(super) async fn finish(
    renditions: &[Rendition],
    subject: &Subject<'_>,
    shared: Option<(SharedDecode, Vec<CompressReport>)>,
) -> Result<Vec<RenditionOutcome>, Error> {
    let mut made: Vec<Option<(Prepared, CompressReport)>> = Vec::new();
    made.resize_with(renditions.len(), || None);
    if let Some((shared, reports)) = shared {
        let parts = shared.prepared.into_iter().zip(reports);
        for (index, part) in shared.indices.into_iter().zip(parts) {
            made[index] = Some(part);
        }
    }
    let mut outcomes = Vec::with_capacity(renditions.len());
    for (rendition, made) in renditions.iter().zip(made) {
        outcomes.push(match finish_one(subject, rendition, made).await {
            Ok(compressed) => RenditionOutcome::Made(compressed),
            Err(error) if rendition.optional && !concerns_all(&error) => {
                let reason = kept_chain(&error);
                tracing::warn!(error = reason, "failed to make an optional rendition");
                RenditionOutcome::Failed(reason)
            }
            Err(error) => return Err(error),
        });
    }
    Ok(outcomes)
}

async fn finish_one(
    subject: &Subject<'_>,
    rendition: &Rendition,
    made: Option<(Prepared, CompressReport)>,
) -> Result<Compressed, Error> {
    let Rendition { options, target, .. } = rendition;
    let made = match made {
        None => subject.make(options, target).await?,
        Some((prepared, report)) => {
            let made = subject.made(prepared, report, Origin::Encoded)?;
            subject.settle(Some(made), options, target).await?
        }
    };
    subject.deliver(made, target).await
}

/// Returns whether an error concerns more than one rendition, or may be temporary.
fn concerns_all(error: &Error) -> bool {
    match error {
        Error::Extract(ExtractError::Cancelled) | Error::Source(_) | Error::Copy { .. } | Error::Video(_) => {
            true
        }
        // The source has just been decoded, so the encoder of this rendition failed.
        Error::Extract(ExtractError::DecoderFailed(_)) => false,
        Error::Extract(error) => error.is_retryable(),
        Error::Compress(error) => error.is_retryable(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_an_encoder_concerns_only_its_rendition() {
        let concerns_all = |error: ExtractError| concerns_all(&error.into());
        assert!(!concerns_all(ExtractError::DecoderFailed(String::new())));
        assert!(!concerns_all(ExtractError::Unsupported(String::new())));
        assert!(concerns_all(ExtractError::Cancelled) && concerns_all(ExtractError::Stalled(1)));
    }
}
