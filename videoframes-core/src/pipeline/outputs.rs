//! Outputs of an extraction in addition to its pictures.

use std::fmt;
use std::sync::Arc;

use super::error::Error;
use super::extract::{Known, extract};
use super::preview::{self, PreviewRequest};
use super::renditions::Rendition;
use super::request::Request;
use super::session::Session;
use super::sheets::{self, ContactSheetRequest, StoryboardRequest};
use super::summary::{Progress, Summary};
use crate::archive::Destination;
use crate::select::Selection;

/// Outputs of an extraction in addition to its pictures.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AdditionalOutputs {
    /// Compressed videos.
    pub renditions: Vec<Rendition>,
    /// Files that are composed of frames.
    pub compositions: Vec<Composition>,
}

impl AdditionalOutputs {
    /// Sets the compressed videos.
    #[must_use]
    pub fn renditions(mut self, renditions: impl IntoIterator<Item = Rendition>) -> Self {
        self.renditions = renditions.into_iter().collect();
        self
    }

    /// Sets the files that are composed of frames.
    #[must_use]
    pub fn compositions(mut self, compositions: impl IntoIterator<Item = Composition>) -> Self {
        self.compositions = compositions.into_iter().collect();
        self
    }
}

/// Request for files that are composed of frames.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CompositionRequest {
    /// A storyboard.
    Storyboard(StoryboardRequest),
    /// A contact sheet.
    ContactSheet(ContactSheetRequest),
    /// A preview.
    Preview(PreviewRequest),
}

impl From<StoryboardRequest> for CompositionRequest {
    fn from(request: StoryboardRequest) -> Self {
        Self::Storyboard(request)
    }
}

impl From<ContactSheetRequest> for CompositionRequest {
    fn from(request: ContactSheetRequest) -> Self {
        Self::ContactSheet(request)
    }
}

impl From<PreviewRequest> for CompositionRequest {
    fn from(request: PreviewRequest) -> Self {
        Self::Preview(request)
    }
}

/// Files that are composed of frames, and their destination.
#[derive(Clone)]
#[non_exhaustive]
pub struct Composition {
    /// The frames and the appearance.
    pub request: CompositionRequest,
    /// Where the files are stored.
    pub destination: Arc<dyn Destination>,
}

impl fmt::Debug for Composition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Composition")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl Composition {
    /// Returns a composition that is stored in `destination`.
    pub fn new(request: impl Into<CompositionRequest>, destination: impl Destination + 'static) -> Self {
        Self {
            request: request.into(),
            destination: Arc::new(destination),
        }
    }

    async fn make(
        &self,
        session: &Session<'_>,
        known: &mut Known,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Summary, Error> {
        let (destination, known) = (self.destination.as_ref(), Some(known));
        let sheets = match &self.request {
            CompositionRequest::Storyboard(request) => request.sheets(),
            CompositionRequest::ContactSheet(request) => request.sheets(),
            CompositionRequest::Preview(request) => {
                return preview::make(session, request, destination, known, progress).await;
            }
        };
        sheets::make(session, sheets, destination, known, progress).await
    }
}

/// Makes the compositions and the renditions, and extracts the pictures. The archive is completed last.
pub(super) async fn extract_with(
    session: &Session<'_>,
    request: &Request,
    outputs: &AdditionalOutputs,
    destination: &dyn Destination,
) -> Result<Summary, Error> {
    destination.check()?;
    if !outputs.renditions.is_empty() {
        session.compressor()?;
    }
    let mut known = match outputs.compositions.is_empty() {
        true => None,
        false => Some(Known::read(session, request).await?),
    };
    if let Some(known) = &known {
        known.check(session, request)?;
    }
    // Progress counts the pictures of the archive, if there are any.
    let is_empty = matches!(&request.selection, Selection::Frames(numbers) if numbers.is_empty());
    let progress: &(dyn Fn(Progress) + Send + Sync) = match is_empty {
        true => session.context.on_progress.as_ref(),
        false => &|_| {},
    };
    let mut compositions = Vec::with_capacity(outputs.compositions.len());
    for composition in &outputs.compositions {
        if let Some(known) = &mut known {
            compositions.push(composition.make(session, known, progress).await?);
        }
    }
    let summary = extract(session, request, &outputs.renditions, destination, known).await?;
    Ok(Summary {
        compositions,
        ..summary
    })
}
