//! Requests to a pipeline.

use std::num::NonZeroUsize;

use crate::archive::{Layout, ManifestFormat, NameTemplate};
use crate::compress::CompressOptions;
use crate::extract::PictureOptions;
use crate::plan::Strategy;
use crate::select::{Filters, Range, Selection};
use crate::units::FrameRate;
use crate::video::StreamChoice;

/// What to do with a damaged source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDamage {
    /// Fails without a result.
    #[default]
    Fail,
    /// Keeps the frames that decode, and marks the manifest as partial.
    Partial,
}

/// Number of cores that one decoder uses efficiently. Additional threads mostly wait for each other.
const CORES_PER_DECODER: usize = 4;

/// Request for the pictures of one video.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// The video stream; the stream that a player shows if `None`.
    pub stream: Option<StreamChoice>,
    /// The selected times.
    pub selection: Selection,
    /// The part of the video that the selection applies to.
    pub range: Range,
    /// Filters that leave out selected frames by their content.
    pub filters: Filters,
    /// Format, size and appearance of the pictures.
    pub picture: PictureOptions,
    /// Names of the pictures.
    pub names: NameTemplate,
    /// Arrangement of pictures and metadata as entries.
    pub layout: Layout,
    /// Formats of the manifest. The default of the layout if `None`: `manifest.json`, but nothing for
    /// [`Layout::WebDataset`], since a manifest in a tar would be a sample without a picture.
    ///
    /// A folder without `manifest.json` is not recognized as a result, and not replaced later.
    pub manifests: Option<Vec<ManifestFormat>>,
    /// What to do with a damaged source.
    pub on_damage: OnDamage,
    /// How the samples to decode are chosen. The result does not depend on the strategy.
    pub strategy: Strategy,
    /// Number of concurrent decoders; chosen by work and machine if `None`. The result does not depend on the
    /// number.
    pub jobs: Option<NonZeroUsize>,
}

impl Default for Request {
    /// Returns a request for one frame a second, as JPEG.
    fn default() -> Self {
        let rate = FrameRate::new(1.into());
        // `unwrap` cannot panic, since 1 is positive.
        #[allow(clippy::unwrap_used)]
        Self::new(Selection::Fps(rate.unwrap()))
    }
}

impl Request {
    /// Creates a request for `selection` of the whole video, as JPEG.
    #[must_use]
    pub fn new(selection: Selection) -> Self {
        Self {
            stream: None,
            selection,
            range: Range::default(),
            filters: Filters::default(),
            picture: PictureOptions::default(),
            names: NameTemplate::default(),
            layout: Layout::default(),
            manifests: None,
            on_damage: OnDamage::default(),
            strategy: Strategy::default(),
            jobs: None,
        }
    }

    /// Selects the video stream.
    #[must_use]
    pub fn stream(mut self, stream: StreamChoice) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Sets the part of the video that the selection applies to.
    #[must_use]
    pub fn range(mut self, range: Range) -> Self {
        self.range = range;
        self
    }

    /// Sets the filters that leave out selected frames by their content.
    #[must_use]
    pub fn filters(mut self, filters: Filters) -> Self {
        self.filters = filters;
        self
    }

    /// Sets format, size and appearance of the pictures.
    #[must_use]
    pub fn picture(mut self, picture: PictureOptions) -> Self {
        self.picture = picture;
        self
    }

    /// Sets the names of the pictures.
    #[must_use]
    pub fn names(mut self, names: NameTemplate) -> Self {
        self.names = names;
        self
    }

    /// Sets the arrangement of pictures and metadata as entries.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Sets the formats of the manifest. Without a format, no manifest is written.
    #[must_use]
    pub fn manifests(mut self, formats: impl IntoIterator<Item = ManifestFormat>) -> Self {
        self.manifests = Some(formats.into_iter().collect());
        self
    }

    /// Returns the formats of the manifest in the order of their entries, `manifest.json` last.
    pub(super) fn manifest_formats(&self) -> Vec<ManifestFormat> {
        let mut formats = match (&self.manifests, self.layout) {
            (Some(formats), _) => formats.clone(),
            (None, Layout::WebDataset) => Vec::new(),
            (None, _) => vec![ManifestFormat::Json],
        };
        formats.sort_unstable();
        formats.dedup();
        formats
    }

    /// Sets what to do with a damaged source.
    #[must_use]
    pub fn on_damage(mut self, on_damage: OnDamage) -> Self {
        self.on_damage = on_damage;
        self
    }

    /// Sets how the samples to decode are chosen.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Returns the maximum number of concurrent decoders.
    #[must_use]
    pub fn decoders(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.jobs
            .map_or_else(|| cores().div_ceil(CORES_PER_DECODER), NonZeroUsize::get)
    }

    /// Sets the number of concurrent decoders.
    #[must_use]
    pub fn jobs(mut self, jobs: NonZeroUsize) -> Self {
        self.jobs = Some(jobs);
        self
    }
}

/// Request for one compressed video.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CompressJob {
    /// The video stream; the stream that a player shows if `None`.
    pub stream: Option<StreamChoice>,
    /// Codec, quality or size, and appearance of the result.
    pub options: CompressOptions,
    /// What to do with a damaged source.
    pub on_damage: OnDamage,
    /// Whether to compare the result with its source.
    pub measure: bool,
}

impl CompressJob {
    /// Creates a request for a compressed video.
    #[must_use]
    pub fn new(options: CompressOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Compares the result with its source, and reports the similarity.
    #[must_use]
    pub fn measured(mut self) -> Self {
        self.measure = true;
        self
    }
}
