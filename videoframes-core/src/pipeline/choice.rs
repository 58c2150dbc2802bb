//! The frames to extract: those of the selection, or those that an examination chooses.

use std::sync::Arc;

use super::chosen::Choice;
use super::error::Error;
use super::examine::{Examination, at_own_time, measured_pictures};
use super::extract::{Extraction, Task};
use super::passed::{Passed, Ready, Selection};
use super::target::{PictureTarget, Selected};
use super::thumbnail::{Best, ThumbnailTarget, candidate_pictures};
use crate::measure::{self, Chosen, Reason, thumbnail_candidates};
use crate::select::{self, Filters, Pick};
use crate::video::Timeline;

impl<'a, T: PictureTarget> Extraction<'a, T> {
    /// Returns the frames to extract. Examines the frames of the selection where the choice depends on their content. Returns
    /// `None` if the knowledge about the video has changed.
    pub(super) async fn select(
        &mut self,
        timeline: Arc<Timeline>,
        picks: Vec<Pick>,
    ) -> Result<Option<Selection<'a>>, Error> {
        if let Some(choice) = &self.choice
            && choice.applies_to(&timeline)
        {
            return Ok(Some(Selection::Made(self.chosen(choice))));
        }
        if self.request.selection == select::Selection::Thumbnail {
            return self.select_thumbnail(timeline, &picks).await;
        }
        let Some(examination) = Examination::new(&timeline, self.request, &picks)? else {
            return Ok(Some(Selection::Made(self.selected(timeline, picks))));
        };
        let picks: Arc<[Pick]> = picks.into();
        let task = Task {
            picture: measured_pictures(&self.request.picture),
            prefers_plan: false,
            renditions: &[],
        };
        let selected = self.selected(Arc::clone(&timeline), at_own_time(&timeline, &examination.frames));
        let target = examination.target(self.session);
        let Some(passed) = self.pass(&target, &task, selected).await? else {
            return Ok(None);
        };
        self.learn_damage(&passed);
        let chosen = passed.writer.choose(self.request, picks).await?;
        let choice = self
            .choice
            .insert(Choice::new(timeline, chosen, &self.request.filters));
        let has_frame_numbers = self.excerpt.is_none();
        Ok(Some(Selection::Made(choice.selected(has_frame_numbers))))
    }

    /// Chooses among the candidates for a thumbnail. The first one is decoded alone, since it is mostly suitable.
    async fn select_thumbnail(
        &mut self,
        timeline: Arc<Timeline>,
        picks: &[Pick],
    ) -> Result<Option<Selection<'a>>, Error> {
        let candidates = thumbnail_candidates(&timeline, picks);
        let task = Task {
            picture: candidate_pictures(&self.request.picture),
            prefers_plan: true,
            renditions: &[],
        };
        let (first, others) = candidates.split_at(candidates.len().min(1));
        let mut best: Option<(Best, Passed<'a, ()>)> = None;
        for candidates in [first, others] {
            if candidates.is_empty() || best.as_ref().is_some_and(|(best, _)| best.is_suitable()) {
                continue;
            }
            let selected = self.selected(Arc::clone(&timeline), candidates.to_vec());
            let Some(mut passed) = self.pass(&ThumbnailTarget, &task, selected).await? else {
                return Ok(None);
            };
            self.learn_damage(&passed);
            let found = passed.writer.best.take();
            let passed = passed.with_writer(());
            best = match (best, found) {
                (Some((before, _)), Some(found)) => Some((before.better(found), passed)),
                (None, Some(found)) => Some((found, passed)),
                (before, None) => before,
            };
        }
        let pick = |frame: usize| candidates.iter().find(|pick| pick.frame == frame).copied();
        let chosen = best.and_then(|(best, passed)| Some((pick(best.picture.frame)?, best, passed)));
        let Some((pick, best, passed)) = chosen else {
            return Ok(Some(Selection::Made(self.selected(timeline, Vec::new()))));
        };
        let chosen = Chosen {
            choices: vec![measure::Choice {
                pick,
                reason: Reason::Thumbnail,
                score: Some(best.measured.sharpness.into()),
                measured: best.measured,
                distance: None,
            }],
            notes: Vec::new(),
        };
        let has_frame_numbers = self.excerpt.is_none();
        let choice = self
            .choice
            .insert(Choice::new(timeline, chosen, &Filters::default()));
        let selected = choice.selected(has_frame_numbers);
        let is_ready = task.picture == self.request.picture && self.renditions.is_empty();
        Ok(Some(match is_ready {
            true => Selection::Ready(Box::new(Ready {
                selected,
                picture: best.picture,
                passed,
            })),
            false => Selection::Made(selected),
        }))
    }

    /// Damage that the choice may depend on is damage of the result.
    fn learn_damage<W>(&mut self, passed: &Passed<'_, W>) {
        let damage = passed.performed.pictures.damage.clone();
        self.facts.damage = self.facts.damage.take().or(damage);
    }

    fn selected(&self, timeline: Arc<Timeline>, picks: Vec<Pick>) -> Selected {
        Selected {
            timeline,
            picks: picks.into(),
            has_frame_numbers: self.excerpt.is_none(),
            reasons: None,
        }
    }

    fn chosen(&self, choice: &Choice) -> Selected {
        choice.selected(self.excerpt.is_none())
    }
}
