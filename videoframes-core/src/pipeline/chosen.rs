//! Choice of an examination: the picks and their reasons.

use std::sync::Arc;

use super::target::Selected;
use crate::archive::manifest::PickedInfo;
use crate::measure::{self, Chosen};
use crate::select::{Filters, Pick};
use crate::video::Timeline;

/// Choice of an examination.
pub(super) struct Choice {
    /// The timeline of the picks.
    timeline: Arc<Timeline>,
    picks: Arc<[Pick]>,
    reasons: Arc<[PickedInfo]>,
    /// Notes for a person.
    pub(super) notes: Vec<String>,
}

impl Choice {
    pub(super) fn new(timeline: Arc<Timeline>, chosen: Chosen, filters: &Filters) -> Self {
        Self {
            timeline,
            picks: chosen.choices.iter().map(|choice| choice.pick).collect(),
            reasons: chosen
                .choices
                .iter()
                .map(|choice| described(choice, filters))
                .collect(),
            notes: chosen.notes,
        }
    }

    /// Returns whether the choice applies to `timeline`.
    pub(super) fn applies_to(&self, timeline: &Arc<Timeline>) -> bool {
        Arc::ptr_eq(&self.timeline, timeline)
    }

    /// Returns the frames to extract.
    pub(super) fn selected(&self, has_frame_numbers: bool) -> Selected {
        Selected {
            timeline: Arc::clone(&self.timeline),
            picks: Arc::clone(&self.picks),
            has_frame_numbers,
            reasons: Some(Arc::clone(&self.reasons)),
        }
    }
}

/// Returns the entry of a manifest: the measures of the requested filters.
fn described(choice: &measure::Choice, filters: &Filters) -> PickedInfo {
    let measured = &choice.measured;
    PickedInfo {
        reason: choice.reason.name().to_owned(),
        score: choice.score,
        sharpness: filters.skip_blurred.map(|_| measured.sharpness.into()),
        black: filters.skip_black.then(|| measured.black.into()),
        hash: filters.dedupe.map(|_| format!("{:016x}", measured.hash)),
        distance: choice.distance,
    }
}
