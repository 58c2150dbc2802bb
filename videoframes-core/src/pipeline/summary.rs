//! Results of an extraction.

use super::renditions::RenditionOutcome;
use crate::archive::Manifest;
use crate::plan::Strategy;

/// Progress of an extraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Pictures in the archive so far.
    pub frames: u64,
    /// Pictures in the complete archive.
    pub total: u64,
    /// Size of the archive so far in bytes.
    pub bytes: u64,
    /// Whether frames are examined before the extraction: `frames` and `total` then count the examined frames.
    pub examining: bool,
}

/// Result of an extraction.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The manifest in the archive.
    pub manifest: Manifest,
    /// Size of the result in bytes.
    pub bytes: u64,
    /// Parts of the request that could not be fulfilled and were left out, in words for a person.
    pub warnings: Vec<String>,
    /// The damage of the source, with [`OnDamage::Partial`](super::OnDamage::Partial).
    pub damage: Option<String>,
    /// How the frames were obtained.
    pub work: Work,
    /// Outcomes of the renditions, in the order of the request.
    pub renditions: Vec<RenditionOutcome>,
    /// Results of the compositions, in the order of the request.
    pub compositions: Vec<Summary>,
}

/// How an extraction obtained its frames. Not part of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Work {
    /// [`Strategy::Plain`] or [`Strategy::Planned`].
    pub strategy: Strategy,
    /// Why a plan failed, if one did.
    pub fallback: Option<String>,
    /// Samples in the plan, if there was one.
    pub samples: Option<usize>,
    /// Bytes read through the [`Source`](crate::source::Source), each counted once. Reads of decoders that open
    /// a file do not count.
    pub bytes_read: u64,
}
