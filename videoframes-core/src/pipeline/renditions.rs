//! Compressed videos beside the pictures of an extraction, out of the same decode where that can be.

use tokio::sync::mpsc;

use super::Error;
use super::compress::{Notes, Subject};
use crate::compress::{
    CompressOptions, CompressProgress, CompressReport, CompressRequest, Compressed, Compressor, Draft,
    Origin, VideoTarget,
};
use crate::error::kept_chain;
use crate::extract::{ExtractError, ExtractReport, ExtractRequest, Picture};

/// A compressed video that is made beside the pictures of an extraction.
#[derive(Clone)]
pub struct Rendition {
    /// What it is to be.
    pub options: CompressOptions,
    /// Whether the extraction is a success without it.
    pub optional: bool,
    /// Where it goes.
    pub target: VideoTarget,
}

/// What became of a [`Rendition`].
#[derive(Debug, Clone, PartialEq)]
pub enum RenditionOutcome {
    /// It is in its place.
    Made(Compressed),
    /// It could not be made, and was optional. Why, in words for a person.
    Failed(String),
}

/// The renditions that are wanted, and who makes them.
#[derive(Clone, Copy)]
pub struct Renditions<'a> {
    /// Who makes them.
    pub compressor: &'a dyn Compressor,
    /// In the order of their outcomes.
    pub wanted: &'a [Rendition],
    /// Hears how far one is that is made once the pictures are.
    pub progress: &'a (dyn Fn(CompressProgress) + Send + Sync),
}

/// Renditions that come out of the decode of the pictures.
pub(super) struct Shared {
    /// Places among those that are wanted.
    places: Vec<usize>,
    requests: Vec<CompressRequest>,
    drafts: Vec<Draft>,
    _notes: Vec<Notes>,
}

impl<'a> Renditions<'a> {
    /// Those that the decode of the pictures can make too: a size takes more than one pass.
    pub(super) fn share(&self, subject: &Subject<'_>) -> Result<Option<Shared>, Error> {
        let mut shared = Shared {
            places: Vec::new(),
            requests: Vec::new(),
            drafts: Vec::new(),
            _notes: Vec::new(),
        };
        for (place, rendition) in self.wanted.iter().enumerate() {
            if rendition.options.max_bytes.is_some() {
                continue;
            }
            let (request, draft, notes) =
                subject.request(&rendition.options, &rendition.target, subject.deinterlace)?;
            shared.places.push(place);
            shared.requests.push(request);
            shared.drafts.push(draft);
            shared._notes.push(notes);
        }
        Ok((!shared.places.is_empty()).then_some(shared))
    }

    /// Whether the extraction is a success without any of them.
    pub(super) fn are_optional(&self) -> bool {
        self.wanted.iter().all(|rendition| rendition.optional)
    }

    /// Sends the pictures and makes those that are shared.
    pub(super) async fn decode(
        &self,
        subject: &Subject<'_>,
        shared: &Shared,
        extract: ExtractRequest,
        pictures: mpsc::Sender<Picture>,
    ) -> Result<(ExtractReport, Vec<CompressReport>), Error> {
        let decoding = self.compressor.extract_and_compress(
            &subject.path,
            extract,
            pictures,
            &shared.requests,
            subject.limits,
            subject.cancel,
        );
        Ok(decoding.await?)
    }

    /// Puts all of them in their places, those that were not shared after they were made.
    ///
    /// # Errors
    /// Of the first that fails and is not optional.
    pub(super) async fn finish(
        &self,
        subject: &Subject<'_>,
        shared: Option<(Shared, Vec<CompressReport>)>,
    ) -> Result<Vec<RenditionOutcome>, Error> {
        let mut made: Vec<Option<(CompressRequest, Draft, CompressReport)>> = Vec::new();
        made.resize_with(self.wanted.len(), || None);
        if let Some((shared, reports)) = shared {
            let parts = shared.requests.into_iter().zip(shared.drafts).zip(reports);
            for (place, ((request, draft), report)) in shared.places.into_iter().zip(parts) {
                made[place] = Some((request, draft, report));
            }
        }
        let mut outcomes = Vec::with_capacity(self.wanted.len());
        for (rendition, made) in self.wanted.iter().zip(made) {
            outcomes.push(match finish_one(subject, rendition, made, self.progress).await {
                Ok(compressed) => RenditionOutcome::Made(compressed),
                Err(error) if rendition.optional && !is_of_all(&error) => {
                    let why = kept_chain(&error);
                    tracing::warn!(why, "an optional rendition cannot be made");
                    RenditionOutcome::Failed(why)
                }
                Err(error) => return Err(error),
            });
        }
        Ok(outcomes)
    }
}

async fn finish_one(
    subject: &Subject<'_>,
    rendition: &Rendition,
    made: Option<(CompressRequest, Draft, CompressReport)>,
    progress: &(dyn Fn(CompressProgress) + Send + Sync),
) -> Result<Compressed, Error> {
    let Rendition { options, target, .. } = rendition;
    let made = match made {
        None => subject.make(options, target, progress).await?,
        Some((request, draft, report)) => {
            let made = subject.made(draft, &request, report, Origin::Encoded)?;
            subject.settle(Some(made), options, target, progress).await?
        }
    };
    subject.deliver(made, target).await
}

/// Whether an error concerns more than a rendition, or will pass.
fn is_of_all(error: &Error) -> bool {
    match error {
        Error::Extract(ExtractError::Cancelled) | Error::Source(_) | Error::Copy { .. } | Error::Video(_) => {
            true
        }
        // The source has just been decoded: what failed is the encoder of this rendition.
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
    fn what_an_encoder_fails_over_is_its_renditions_own() {
        let of_all = |error: ExtractError| is_of_all(&error.into());
        assert!(!of_all(ExtractError::DecoderFailed(String::new())));
        assert!(!of_all(ExtractError::Unsupported(String::new())));
        assert!(of_all(ExtractError::Cancelled) && of_all(ExtractError::Stalled(1)));
    }
}
