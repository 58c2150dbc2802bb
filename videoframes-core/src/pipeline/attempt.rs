//! What is known and decided before a decode: which frames there are, and how they are come by.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::input::{Counted, LocalFile};
use super::{Error, Request};
use crate::extract::{Deinterlace, PlannedInput};
use crate::plan::{DecodePlan, Strategy};
use crate::source::Source;
use crate::video::{NoIndex, Timeline, VideoIndex, VideoInfo};

/// What is known and decided before a decode.
pub(super) struct Attempt {
    pub(super) timeline: Option<Timeline>,
    pub(super) deinterlace: bool,
    pub(super) damage: Option<String>,
    pub(super) scanned: bool,
    /// Why a plan was given up.
    pub(super) fallback: Option<String>,
    /// Whether renditions have to be made by decodes of their own.
    pub(super) apart: bool,
    /// Whether interlaced frames are known to come, whatever is done to pictures of them.
    pub(super) interlaced: bool,
}

/// How the frames will be come by.
pub(super) struct Decision {
    pub(super) planned: Option<PlannedInput>,
    /// Whether the samples are read from a copy.
    pub(super) copied: bool,
    /// Why samples are not left out.
    pub(super) reason: Option<String>,
}

impl Decision {
    /// Every frame is decoded for something else too.
    pub(super) fn whole_file() -> Self {
        Self {
            planned: None,
            copied: false,
            reason: Some("every frame is needed for a rendition".to_owned()),
        }
    }

    pub(super) fn strategy(&self) -> Strategy {
        match self.planned {
            Some(_) => Strategy::Planned,
            None => Strategy::Plain,
        }
    }
}

impl Attempt {
    pub(super) fn first(video: &VideoInfo, request: &Request, timeline: Option<Timeline>) -> Self {
        Self {
            timeline,
            deinterlace: match request.picture.deinterlace {
                Deinterlace::Auto => video.interlaced,
                Deinterlace::On => true,
                Deinterlace::Off => false,
            },
            damage: None,
            scanned: false,
            fallback: None,
            apart: false,
            interlaced: video.interlaced,
        }
    }

    /// Chooses between a plan and a decode of the file.
    pub(super) fn plan(
        &self,
        source: &Arc<Counted>,
        file: &LocalFile<'_>,
        index: &Result<Arc<VideoIndex>, NoIndex>,
        frames: &[usize],
        request: &Request,
    ) -> Result<Decision, Error> {
        let plain = |reason: String| {
            tracing::debug!(reason, "no plan");
            Decision {
                planned: None,
                copied: false,
                reason: Some(reason),
            }
        };
        if request.strategy == Strategy::Plain {
            return Ok(plain("it was asked for".to_owned()));
        }
        let plan = self.hindrance(index).and_then(|index| {
            let plan = DecodePlan::new(index, frames).map_err(str::to_owned)?;
            Ok((index, plan))
        });
        match plan {
            Err(hindrance) if request.strategy == Strategy::Planned => Err(Error::NotPlannable(hindrance)),
            Err(hindrance) => Ok(plain(hindrance)),
            Ok((index, plan)) => {
                // A file is there to be read; what is not has to be copied before it can be decoded.
                let auto = request.strategy == Strategy::Auto;
                let copied = auto && file.is_worth_copying(plan.bytes);
                let near = copied || source.local_path().is_some();
                if auto && near && !plan.is_worthwhile(index) {
                    return Ok(plain("nearly all samples are needed".to_owned()));
                }
                Ok(Decision {
                    planned: Some(PlannedInput {
                        source: source.clone(),
                        index: Arc::clone(index),
                        plan: Arc::new(plan),
                        jobs: request.jobs.map_or(0, NonZeroUsize::get),
                    }),
                    copied,
                    reason: None,
                })
            }
        }
    }

    pub(super) fn hindrance<'a>(
        &self,
        index: &'a Result<Arc<VideoIndex>, NoIndex>,
    ) -> Result<&'a Arc<VideoIndex>, String> {
        if self.scanned {
            return Err("its index is not what decodes".to_owned());
        }
        if let Some(why) = &self.fallback {
            return Err(why.clone());
        }
        if self.deinterlace {
            return Err("frames that are deinterlaced need their neighbours".to_owned());
        }
        index.as_ref().map_err(NoIndex::to_string)
    }
}

pub(super) fn packets_are_frames(video: &VideoInfo) -> bool {
    let container = video.container.as_str();
    (container.starts_with("mov,") || container.starts_with("matroska")) && video.codec != "vp8"
}
