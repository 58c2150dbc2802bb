//! Space that compressed videos take in the scratch folder. Pure.

use crate::compress::VideoTarget;

/// Maximum size in bytes of a draft that is kept together with another draft.
pub(super) const SMALL: u64 = 16 << 20;

/// Returns the maximum size of a draft for a source of this size. The container of the output may add some bytes
/// to the same streams.
pub(super) fn draft_bytes(source: u64) -> u64 {
    source.saturating_add(source / 16).max(SMALL)
}

/// Returns the maximum size of two-pass statistics for a source of this size. Complete statistics fit for sources
/// above about 4 Mbit/s in 1080p.
pub(super) fn statistics_bytes(source: u64) -> u64 {
    source / 2 + SMALL
}

/// Returns the size of drafts and statistics of a source in the scratch folder, in bytes.
pub(super) fn additional_bytes<'t>(source: u64, targets: impl IntoIterator<Item = &'t VideoTarget>) -> u64 {
    let bytes = |target: &VideoTarget| {
        let statistics = statistics_bytes(source);
        match target {
            VideoTarget::File { .. } => statistics,
            // A small draft may be kept together with the next draft.
            VideoTarget::Object { .. } => draft_bytes(source)
                .saturating_add(SMALL)
                .saturating_add(statistics),
        }
    };
    targets.into_iter().map(bytes).fold(0, u64::saturating_add)
}
