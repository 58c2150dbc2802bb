//! The next pass over a video. Pure.

use std::sync::Arc;

use super::error::Error;
use super::facts::Facts;
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

/// Conditions of a choice in addition to the facts.
pub(super) struct Conditions<'a> {
    pub(super) index: &'a Result<Arc<VideoIndex>, NoIndex>,
    /// The frames to decode: indices into the timeline, strictly increasing.
    pub(super) frames: &'a [usize],
    pub(super) strategy: Strategy,
    pub(super) deinterlace: Deinterlace,
    /// Whether the source is a local file or has been copied to one.
    pub(super) is_local: bool,
    /// Returns whether a remote source should be copied if this number of its bytes is needed.
    pub(super) is_worth_copying: &'a dyn Fn(u64) -> bool,
    /// Number of concurrent decoders of a plan.
    pub(super) decoders: usize,
    /// Whether any rendition can share a decode with the pictures.
    pub(super) can_combine: bool,
}

impl Pass {
    /// Chooses the next pass.
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
        if auto && (copied || conditions.is_local) && !plan.is_worthwhile(index, conditions.decoders) {
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
    let plan = DecodePlan::for_decoders(conditions.decoders, index, conditions.frames)?;
    Ok((plan, index))
}

/// Returns whether the packets of a container are the frames that a decoder returns.
pub(super) fn packets_are_frames(video: &VideoInfo) -> bool {
    let container = video.container.as_str();
    (container.starts_with("mov,") || container.starts_with("matroska")) && video.codec != "vp8"
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::error::ErrorKind;
    use crate::units::{Rational, TimeBase};
    use crate::video::{Coding, Colour, Orientation, Packaging, Sample, Timeline, Track};

    const FRAMES: usize = 100;

    fn timeline() -> Timeline {
        Timeline::new(
            TimeBase::new(1, 30).unwrap(),
            (0..FRAMES as i64).collect(),
            Some(1),
        )
        .unwrap()
    }

    fn facts() -> Facts {
        let video = VideoInfo {
            stream: 0,
            first_keyframe: None,
            recording: crate::video::Recording::default(),
            alpha: false,
            container: "mov,mp4".to_owned(),
            codec: "h264".to_owned(),
            width: 16,
            height: 16,
            sample_aspect: Rational::from_integer(1),
            orientation: Orientation::Upright,
            pixel_format: "yuv420p".to_owned(),
            colour: Colour::default(),
            interlaced: false,
            frame_rate: None,
            duration: None,
            time_base: timeline().time_base(),
        };
        Facts::new(video, Some(Arc::new(timeline())))
    }

    /// Returns an index with a sync sample at every tenth frame.
    fn index() -> Result<Arc<VideoIndex>, NoIndex> {
        let samples = (0..FRAMES as u32).map(|order| Sample {
            offset: u64::from(order) * 10,
            size: 10,
            order,
            sync: order % 10 == 0,
        });
        Ok(Arc::new(VideoIndex {
            video: None,
            stream: 0,
            streams: Vec::new(),
            timeline: timeline(),
            edited: None,
            samples: samples.collect(),
            first_presented: 0,
            gaps: Vec::new(),
            track: Track {
                coding: Coding::Opaque,
                sample_description: Bytes::new(),
                size: (16, 16),
                packaging: Packaging::Bare,
            },
            not_plannable: None,
        }))
    }

    struct Case {
        facts: Facts,
        index: Result<Arc<VideoIndex>, NoIndex>,
        frames: Vec<usize>,
        strategy: Strategy,
        deinterlace: Deinterlace,
        is_local: bool,
        worth_copying: bool,
        can_combine: bool,
    }

    impl Default for Case {
        /// Returns a local video of which one frame of a hundred is selected.
        fn default() -> Self {
            Self {
                facts: facts(),
                index: index(),
                frames: vec![50],
                strategy: Strategy::Auto,
                deinterlace: Deinterlace::Auto,
                is_local: true,
                worth_copying: false,
                can_combine: false,
            }
        }
    }

    impl Case {
        fn choose(&self) -> Result<Pass, Error> {
            let conditions = Conditions {
                index: &self.index,
                frames: &self.frames,
                strategy: self.strategy,
                deinterlace: self.deinterlace,
                is_local: self.is_local,
                is_worth_copying: &|_| self.worth_copying,
                decoders: 1,
                can_combine: self.can_combine,
            };
            Pass::choose(&self.facts, &conditions)
        }

        fn name(&self) -> String {
            match self.choose().unwrap() {
                Pass::Planned { copied: true, .. } => "planned, copied".to_owned(),
                Pass::Planned { copied: false, .. } => "planned".to_owned(),
                Pass::Whole(reason) => reason.to_string(),
                Pass::Combined => "combined".to_owned(),
            }
        }
    }

    #[test]
    fn a_plan_is_chosen_where_it_saves_work() {
        let all = || (0..FRAMES).collect::<Vec<_>>();
        let case = Case::default;
        assert_eq!(case().name(), "planned");
        let whole = "nearly all samples are needed";
        assert_eq!(
            Case {
                frames: all(),
                ..case()
            }
            .name(),
            whole
        );
        let remote = |worth_copying| Case {
            frames: all(),
            is_local: false,
            worth_copying,
            ..case()
        };
        assert_eq!(remote(false).name(), "planned", "only needed ranges are read");
        assert_eq!(remote(true).name(), whole, "the copy is decoded");
        let part = Case {
            is_local: false,
            worth_copying: true,
            ..case()
        };
        assert_eq!(part.name(), "planned, copied");
        let planned = Case {
            frames: all(),
            strategy: Strategy::Planned,
            ..case()
        };
        assert_eq!(planned.name(), "planned");
    }

    #[test]
    fn a_reason_against_a_plan_means_the_whole_file_or_an_error() {
        let no_index = || Err(NoIndex::new("the file has no index"));
        type Change = fn(&mut Case);
        let cases: [(&str, Change); 5] = [
            ("the decoded frames differ from the index", |case| {
                case.facts.scanned = true
            }),
            ("a sample is missing", |case| {
                case.facts.failed_plan = Some("a sample is missing".to_owned())
            }),
            ("deinterlacing needs the neighbours of every frame", |case| {
                case.facts.interlaced = true
            }),
            ("deinterlacing needs the neighbours of every frame", |case| {
                case.deinterlace = Deinterlace::On
            }),
            ("the parts overlap", |case| {
                let mut index = index().unwrap().as_ref().clone();
                index.not_plannable = Some("the parts overlap");
                case.index = Ok(Arc::new(index));
            }),
        ];
        for (reason, change) in cases {
            let mut case = Case::default();
            change(&mut case);
            assert_eq!(case.name(), reason);
            case.strategy = Strategy::Planned;
            let error = case.choose().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotPlannable);
            assert_eq!(
                error.to_string(),
                format!("the video cannot be planned: {reason}")
            );
            case.strategy = Strategy::Plain;
            assert_eq!(case.name(), "the request demands the whole file");
        }
        let case = Case {
            index: no_index(),
            ..Case::default()
        };
        assert_eq!(case.choose().unwrap().strategy(), Strategy::Plain);
        let interlaced = Case {
            deinterlace: Deinterlace::Off,
            ..Case::default()
        };
        assert_eq!(interlaced.name(), "planned");
    }

    #[test]
    fn renditions_share_the_decode_unless_something_forbids_it() {
        let case = || Case {
            can_combine: true,
            ..Case::default()
        };
        assert_eq!(case().name(), "combined");
        let plain = Case {
            strategy: Strategy::Plain,
            ..case()
        };
        assert_eq!(plain.name(), "combined");
        let planned = Case {
            strategy: Strategy::Planned,
            ..case()
        };
        assert_eq!(planned.name(), "planned");
        let mut separate = case();
        separate.facts.separate = true;
        assert_eq!(separate.name(), "planned");
        let nothing = Case {
            frames: Vec::new(),
            ..case()
        };
        assert_ne!(nothing.name(), "combined");
    }
}
