//! Knowledge about a video before a pass, and its update after a surprise. Pure.

use std::sync::Arc;

use super::error::Error;
use super::{OnDamage, Request};
use crate::extract::{Deinterlace, ExtractError, Scan, Surprise};
use crate::plan::{NotPlannable, Strategy};
use crate::video::{Timeline, VideoInfo};

/// Knowledge about a video before a pass.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) video: VideoInfo,
    /// The presented frames; `None` if a scan has to find them.
    pub(super) timeline: Option<Arc<Timeline>>,
    /// Whether a scan found the frames.
    pub(super) scanned: bool,
    /// Whether interlaced frames are known.
    pub(super) interlaced: bool,
    /// Damage that a scan found.
    pub(super) damage: Option<String>,
    /// Reason why a plan failed.
    pub(super) failed_plan: Option<String>,
    /// Whether pictures and renditions need separate decodes.
    pub(super) separate: bool,
}

/// Reason why a pass ended without a result.
#[derive(Debug)]
pub(super) enum Finding {
    /// A surprise during the decode.
    Surprise(Surprise),
    /// The source is damaged.
    Damage(String),
    /// The pass failed.
    Failed(Error),
}

impl From<Error> for Finding {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Options and effects of a pass that restrict the next pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    pub(super) strategy: Strategy,
    /// Whether the destination can be started again.
    pub(super) can_restart: bool,
    /// Whether the pass decoded for renditions too.
    pub(super) combined: bool,
    /// Whether the extraction succeeds without its renditions.
    pub(super) renditions_optional: bool,
}

impl Facts {
    pub(super) fn new(video: VideoInfo, timeline: Option<Arc<Timeline>>) -> Self {
        Self {
            interlaced: video.interlaced,
            video,
            timeline,
            scanned: false,
            damage: None,
            failed_plan: None,
            separate: false,
        }
    }

    /// Returns whether frames pass a deinterlacer.
    pub(super) fn deinterlace(&self, option: Deinterlace) -> bool {
        match option {
            Deinterlace::Auto => self.interlaced,
            Deinterlace::On => true,
            Deinterlace::Off => false,
        }
    }

    /// Adds the findings of a scan.
    pub(super) fn scan(&mut self, scan: Scan) {
        self.scanned = true;
        self.video.first_keyframe = scan.first_keyframe;
        self.interlaced |= scan.interlaced;
        self.damage = self.damage.take().or(scan.damage);
        self.timeline = Some(Arc::new(scan.timeline));
    }

    /// Fails if the source is damaged and no partial result was requested.
    pub(super) fn check_damage(&self, request: &Request) -> Result<(), Error> {
        match (request.on_damage, &self.damage) {
            (OnDamage::Fail, Some(damage)) => Err(Error::Damaged(damage.clone())),
            _ => Ok(()),
        }
    }

    /// Adds the finding of a pass without a result. Fails if another pass is not possible or would not help.
    pub(super) fn learn(&mut self, finding: Finding, policy: Policy) -> Result<(), Error> {
        match finding {
            Finding::Surprise(surprise) => self.learn_surprise(surprise, policy),
            // Pictures may come from undamaged parts, while renditions need the whole video.
            Finding::Damage(damage)
                if policy.combined && policy.renditions_optional && policy.can_restart =>
            {
                tracing::info!(
                    damage,
                    "the source is damaged; decoding pictures and renditions separately"
                );
                self.separate = true;
                Ok(())
            }
            Finding::Damage(damage) => Err(Error::Damaged(damage)),
            Finding::Failed(error) if policy.combined && policy.can_restart && is_of_renditions(&error) => {
                tracing::info!(%error, "combined decode failed; decoding pictures and renditions separately");
                self.separate = true;
                Ok(())
            }
            Finding::Failed(error) => Err(error),
        }
    }

    fn learn_surprise(&mut self, surprise: Surprise, policy: Policy) -> Result<(), Error> {
        match surprise {
            Surprise::TimelineMismatch(why) if policy.can_restart && !self.scanned => {
                tracing::info!(
                    why,
                    "the index does not match the decoded frames; scanning the video"
                );
                self.timeline = None;
            }
            Surprise::Interlaced if policy.can_restart && !self.interlaced => {
                tracing::info!("found interlaced frames; starting again");
                self.interlaced = true;
            }
            Surprise::SeparateDecodes(why) if policy.can_restart && policy.combined => {
                tracing::info!(why, "decoding pictures and renditions separately");
                self.separate = true;
            }
            Surprise::PlanFailed(why) if policy.strategy == Strategy::Planned => {
                return Err(Error::NotPlannable(NotPlannable::PlanFailed(why)));
            }
            Surprise::PlanFailed(why) if policy.can_restart && self.failed_plan.is_none() => {
                tracing::info!(why, "the plan failed; decoding the whole file");
                self.failed_plan = Some(why);
            }
            surprise => return Err(Error::Inconsistent(surprise)),
        }
        Ok(())
    }
}

/// Returns whether the error of a combined decode may be that of its renditions alone.
fn is_of_renditions(error: &Error) -> bool {
    matches!(
        error,
        Error::Compress(_) | Error::Extract(ExtractError::DecoderFailed(_) | ExtractError::Unsupported(_))
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::compress::CompressError;
    use crate::error::ErrorKind;
    use crate::units::{Rational, TimeBase};
    use crate::video::{Colour, Orientation};

    fn facts() -> Facts {
        let time_base = TimeBase::new(1, 30).unwrap();
        let video = VideoInfo {
            stream: 0,
            first_keyframe: None,
            recording: crate::video::Recording::default(),
            alpha: false,
            container: "matroska,webm".to_owned(),
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
            time_base,
        };
        Facts::new(
            video,
            Timeline::new(time_base, vec![0, 1, 2], Some(1)).map(Arc::new),
        )
    }

    fn policies() -> Vec<Policy> {
        let bools = [false, true];
        let mut policies = Vec::new();
        for strategy in [Strategy::Auto, Strategy::Plain, Strategy::Planned] {
            for can_restart in bools {
                for combined in bools {
                    for renditions_optional in bools {
                        policies.push(Policy {
                            strategy,
                            can_restart,
                            combined,
                            renditions_optional,
                        });
                    }
                }
            }
        }
        policies
    }

    fn mismatch() -> Finding {
        Finding::Surprise(Surprise::TimelineMismatch(String::new()))
    }

    #[test]
    fn a_timeline_mismatch_calls_for_one_scan() {
        for policy in policies() {
            let mut facts = facts();
            let outcome = facts.learn(mismatch(), policy);
            assert_eq!(outcome.is_ok(), policy.can_restart, "{policy:?}");
            if policy.can_restart {
                assert_eq!(facts.timeline, None);
                facts.scanned = true;
                let again = facts.learn(mismatch(), policy).unwrap_err();
                assert_eq!(again.kind(), ErrorKind::DecoderFailed, "{policy:?}");
            }
        }
    }

    #[test]
    fn an_interlaced_frame_calls_for_a_deinterlacer_once() {
        for policy in policies() {
            let mut facts = facts();
            let outcome = facts.learn(Finding::Surprise(Surprise::Interlaced), policy);
            assert_eq!(outcome.is_ok(), policy.can_restart, "{policy:?}");
            assert_eq!(facts.interlaced, policy.can_restart);
            assert!(facts.timeline.is_some(), "the frames are known");
            assert!(!facts.deinterlace(Deinterlace::Off) && facts.deinterlace(Deinterlace::On));
            assert_eq!(facts.deinterlace(Deinterlace::Auto), policy.can_restart);
            assert!(
                facts
                    .learn(Finding::Surprise(Surprise::Interlaced), policy)
                    .is_err()
            );
        }
    }

    #[test]
    fn a_failed_plan_falls_back_unless_a_plan_was_requested() {
        for policy in policies() {
            let mut facts = facts();
            let outcome = facts.learn(Finding::Surprise(Surprise::PlanFailed("why".to_owned())), policy);
            match (policy.strategy, policy.can_restart) {
                (Strategy::Planned, _) => {
                    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotPlannable, "{policy:?}");
                }
                (_, true) => {
                    assert_eq!(facts.failed_plan.as_deref(), Some("why"), "{policy:?}");
                    let again = Finding::Surprise(Surprise::PlanFailed("again".to_owned()));
                    assert!(facts.learn(again, policy).is_err(), "no plan is retried");
                }
                (_, false) => {
                    assert_eq!(
                        outcome.unwrap_err().kind(),
                        ErrorKind::DecoderFailed,
                        "{policy:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn failures_of_a_combined_decode_call_for_separate_decodes() {
        let findings: [fn() -> Finding; 4] = [
            || Finding::Surprise(Surprise::SeparateDecodes("why")),
            || Finding::Failed(CompressError::TooLarge(1).into()),
            || Finding::Failed(ExtractError::DecoderFailed(String::new()).into()),
            || Finding::Failed(ExtractError::Unsupported(String::new()).into()),
        ];
        for policy in policies() {
            for finding in findings {
                let mut facts = facts();
                let separated = facts.learn(finding(), policy).is_ok();
                assert_eq!(separated, policy.combined && policy.can_restart, "{policy:?}");
                assert_eq!(facts.separate, separated);
            }
            let cancelled = Finding::Failed(ExtractError::Cancelled.into());
            let error = facts().learn(cancelled, policy).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{policy:?}");
        }
    }

    #[test]
    fn damage_ends_an_extraction_unless_only_optional_renditions_need_the_damaged_part() {
        for policy in policies() {
            let mut facts = facts();
            let outcome = facts.learn(Finding::Damage("lost".to_owned()), policy);
            let separates = policy.combined && policy.renditions_optional && policy.can_restart;
            assert_eq!(
                (outcome.is_ok(), facts.separate),
                (separates, separates),
                "{policy:?}"
            );
        }
    }

    #[test]
    fn a_scan_adds_frames_and_damage() {
        let mut facts = facts();
        let timeline = Timeline::new(facts.video.time_base, vec![5, 6], None).unwrap();
        facts.scan(Scan {
            timeline: timeline.clone(),
            first_keyframe: Some(5),
            interlaced: true,
            damage: Some("lost".to_owned()),
        });
        assert_eq!(
            (facts.timeline.as_deref(), facts.scanned),
            (Some(&timeline), true)
        );
        assert_eq!((facts.video.first_keyframe, facts.interlaced), (Some(5), true));
        let mut request = Request::default();
        assert_eq!(
            facts.check_damage(&request).unwrap_err().kind(),
            ErrorKind::Damaged
        );
        request.on_damage = OnDamage::Partial;
        assert!(facts.check_damage(&request).is_ok());
    }
}
