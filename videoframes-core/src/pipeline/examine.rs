//! Examination of frames before the extraction: small pictures are measured, and the frames to extract are chosen.

use std::sync::Arc;

use super::error::Error;
use super::request::Request;
use super::session::Session;
use super::summary::Progress;
use super::target::{PictureTarget, PictureWriter, Selected};
use crate::extract::{ExtractError, Picture, PictureFormat, PictureOptions, PixelFormat};
use crate::measure::{Candidate, Chosen, Measures, Meter, Rgb, SIDE, candidates, choose, is_content};
use crate::select::{Pick, SelectError, Selection};
use crate::video::{Timeline, VideoInfo};

/// The frames that an examination of a request decodes.
pub(super) struct Examination {
    measures: Measures,
    candidates: Vec<Candidate>,
    /// Indices into the timeline, in order.
    pub(super) frames: Vec<usize>,
}

impl Examination {
    /// Returns the examination of `request`; `None` if its picks do not depend on the content of frames.
    pub(super) fn new(
        timeline: &Timeline,
        request: &Request,
        picks: &[Pick],
    ) -> Result<Option<Self>, SelectError> {
        let (selection, filters) = (&request.selection, &request.filters);
        if !is_content(selection, filters) || *selection == Selection::Thumbnail {
            return Ok(None);
        }
        let candidates = candidates(timeline, selection, &request.range, picks)?;
        let meter = Meter::new(Measures::new(selection, filters), candidates);
        let frames = meter.frames();
        Ok(Some(Self {
            measures: Measures::new(selection, filters),
            candidates: meter.finish().0,
            frames,
        }))
    }

    /// Returns the maximum number of pictures.
    pub(super) fn max_pictures(&self, request: &Request, picks: &[Pick]) -> usize {
        match request.selection {
            Selection::BestOf(_) => self.candidates.chunk_by(Candidate::same_interval).count(),
            _ => picks.len(),
        }
    }

    pub(super) fn target<'a>(self, session: &'a Session<'a>) -> ExaminationTarget<'a> {
        ExaminationTarget {
            session,
            measures: self.measures,
            candidates: self.candidates.into(),
            total: self.frames.len() as u64,
        }
    }
}

/// Returns the options of the pictures that are measured. They do not depend on size and format of the request, so that equal
/// selections choose equal frames.
pub(super) fn measured_pictures(requested: &PictureOptions) -> PictureOptions {
    PictureOptions {
        format: PictureFormat::Raw,
        pixels: PixelFormat::Rgb24,
        max_width: Some(SIDE),
        max_height: Some(SIDE),
        burn_in: None,
        ..*requested
    }
}

/// Returns a pick of each frame at its own time.
pub(super) fn at_own_time(timeline: &Timeline, frames: &[usize]) -> Vec<Pick> {
    let pick = |&frame: &usize| Pick {
        target: timeline.time(frame),
        frame,
    };
    frames.iter().map(pick).collect()
}

/// Receives pictures and measures them.
pub(super) struct ExaminationTarget<'a> {
    session: &'a Session<'a>,
    measures: Measures,
    candidates: Arc<[Candidate]>,
    total: u64,
}

impl<'a> PictureTarget for ExaminationTarget<'a> {
    type Writer = MeterWriter<'a>;

    fn can_restart(&self) -> bool {
        true
    }

    fn is_immediate(&self) -> bool {
        false
    }

    async fn start(&self, _: &VideoInfo, _: Selected) -> Result<MeterWriter<'a>, Error> {
        Ok(MeterWriter {
            session: self.session,
            meter: Some(Meter::new(self.measures, self.candidates.to_vec())),
            progress: Progress {
                total: self.total,
                examining: true,
                ..Progress::default()
            },
        })
    }
}

/// Measures the pictures of one pass.
pub(super) struct MeterWriter<'a> {
    session: &'a Session<'a>,
    /// The meter, unless it was lost by a panic.
    meter: Option<Meter>,
    progress: Progress,
}

impl PictureWriter for MeterWriter<'_> {
    fn is_untouched(&self) -> bool {
        true
    }

    async fn abort(self) {}

    async fn add(&mut self, picture: Picture) -> Result<(), Error> {
        let failed = || ExtractError::DecoderFailed("a picture cannot be measured".to_owned());
        let mut meter = self.meter.take().ok_or_else(failed)?;
        let measuring = tokio::task::spawn_blocking(move || {
            let image = Rgb::new(picture.width, picture.height, &picture.bytes)?;
            meter.add(picture.frame, &image);
            Some(meter)
        });
        self.meter = measuring.await.ok().flatten();
        if self.meter.is_none() {
            return Err(failed().into());
        }
        self.progress.frames += 1;
        (self.session.context.on_progress)(self.progress);
        Ok(())
    }
}

impl MeterWriter<'_> {
    /// Chooses the frames of `request` among the measured ones.
    pub(super) async fn choose(self, request: &Request, picks: Arc<[Pick]>) -> Result<Chosen, Error> {
        let cancel = self.session.cancel().clone();
        let (selection, filters) = (request.selection.clone(), request.filters);
        let choosing = tokio::task::spawn_blocking(move || {
            let (candidates, measured) = self.meter.map(Meter::finish).unwrap_or_default();
            choose((&selection, &filters), &picks, (&candidates, &measured), &|| {
                cancel.is_cancelled()
            })
        });
        let chosen = choosing.await.ok().flatten().ok_or(ExtractError::Cancelled)?;
        let limit = self.session.limits().frames;
        match chosen.choices.len() as u64 > limit {
            true => Err(SelectError::TooManyFrames { limit }.into()),
            false => Ok(chosen),
        }
    }
}
