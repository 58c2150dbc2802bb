//! The next pass over a video. Pure.

use std::sync::Arc;

use super::facts::Facts;
use crate::error::Error;
use crate::extract::Deinterlace;
use crate::plan::{DecodePlan, NotPlannable, Strategy, WholeFileReason};
use crate::video::{NoIndex, VideoIndex, VideoInfo};

/// How the frames of a pass are obtained.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pass {
    /// From the samples of a plan.
    Planned {
        plan: Arc<DecodePlan>,
        index: Arc<VideoIndex>,
        /// Whether the samples are read from a local copy.
        copied: bool,
    },
    /// From the whole file.
    Whole(WholeFileReason),
    /// From the whole file, together with renditions.
    Combined,
}

/// What a choice depends on, beside the facts.
pub(super) struct Conditions<'a> {
    pub(super) index: &'a Result<Arc<VideoIndex>, NoIndex>,
    /// The frames to decode: indices into the timeline, strictly increasing.
    pub(super) frames: &'a [usize],
    pub(super) strategy: Strategy,
    pub(super) deinterlace: Deinterlace,
    /// Whether the source is a local file.
    pub(super) is_local: bool,
    /// Returns whether a remote source should be copied if so many bytes of it are needed.
    pub(super) is_worth_copying: &'a dyn Fn(u64) -> bool,
    /// Whether any rendition can share a decode with the pictures.
    pub(super) can_combine: bool,
}

impl Pass {
    /// Chooses the pass for what is known.
    ///
    /// # Errors
    /// [`Error::NotPlannable`] if a plan was requested and is not possible.
    pub(super) fn choose(facts: &Facts, conditions: &Conditions<'_>) -> Result<Self, Error> {
        let strategy = conditions.strategy;
        if conditions.can_combine
            && !facts.separate
            && !conditions.frames.is_empty()
            && strategy != Strategy::Planned
        {
            return Ok(Self::Combined);
        }
        if strategy == Strategy::Plain {
            return Ok(Self::Whole(WholeFileReason::Requested));
        }
        let (plan, index) = match plan(facts, conditions) {
            Ok(planned) => planned,
            Err(reason) if strategy == Strategy::Planned => return Err(Error::NotPlannable(reason)),
            Err(reason) => return Ok(Self::Whole(reason.into())),
        };
        // A local file can be decoded at once; a remote source has to be copied first.
        let auto = strategy == Strategy::Auto;
        let copied = auto && !conditions.is_local && (conditions.is_worth_copying)(plan.bytes);
        if auto && (copied || conditions.is_local) && !plan.is_worthwhile(index) {
            return Ok(Self::Whole(WholeFileReason::NotWorthwhile));
        }
        Ok(Self::Planned {
            plan: Arc::new(plan),
            index: Arc::clone(index),
            copied,
        })
    }

    /// Returns [`Strategy::Plain`] or [`Strategy::Planned`].
    pub(super) fn strategy(&self) -> Strategy {
        match self {
            Self::Planned { .. } => Strategy::Planned,
            Self::Whole(_) | Self::Combined => Strategy::Plain,
        }
    }
}

fn plan<'a>(
    facts: &Facts,
    conditions: &Conditions<'a>,
) -> Result<(DecodePlan, &'a Arc<VideoIndex>), NotPlannable> {
    if facts.scanned {
        return Err(NotPlannable::IndexMismatch);
    }
    if let Some(why) = &facts.failed_plan {
        return Err(NotPlannable::PlanFailed(why.clone()));
    }
    if facts.deinterlace(conditions.deinterlace) {
        return Err(NotPlannable::Deinterlaced);
    }
    let index = conditions.index.as_ref().map_err(Clone::clone)?;
    Ok((DecodePlan::new(index, conditions.frames)?, index))
}

/// Returns whether the packets of a container are the frames that a decoder returns.
pub(super) fn packets_are_frames(video: &VideoInfo) -> bool {
    let container = video.container.as_str();
    (container.starts_with("mov,") || container.starts_with("matroska")) && video.codec != "vp8"
}
