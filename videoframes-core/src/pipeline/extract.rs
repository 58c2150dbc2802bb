//! An extraction: passes over a video until a pass succeeds.

use std::sync::Arc;

use super::burn_in::{Burner, decoded};
use super::checks::{begins_late, check_picture_size, choose, distinct};
use super::chosen::Choice;
use super::compress::Subject;
use super::error::Error;
use super::excerpt::{Excerpt, inspect_for};
use super::facts::{Facts, Finding, Policy};
use super::pass::{Conditions, Pass, packets_are_frames};
use super::passed::{Passed, Selection};
use super::perform::{Performed, perform};
use super::probe::{Probe, inspect};
use super::renditions::{Rendition, SharedDecode, can_share, finish, share};
use super::session::Session;
use super::target::{PictureTarget, PictureWriter, Selected};
use super::writer::{ArchiveTarget, Writer};
use super::{OnDamage, Request, Summary, Work};
use crate::archive::Destination;
use crate::compress::CompressReport;
use crate::extract::{ExtractReport, ExtractRequest, Input, PictureOptions, PlannedInput, Surprise};
use crate::plan::Strategy;
use crate::select::Pick;
use crate::video::streams::note;
use crate::video::{NoIndex, VideoIndex, VideoInfo};

/// One extraction.
pub(super) struct Extraction<'a, T> {
    pub(super) session: &'a Session<'a>,
    pub(super) request: &'a Request,
    pub(super) renditions: &'a [Rendition],
    target: &'a T,
    index: Result<Arc<VideoIndex>, NoIndex>,
    /// Parts of the source, if the index describes only these.
    pub(super) excerpt: Option<Excerpt>,
    /// Choice of an examination, and the timeline to which it applies.
    pub(super) choice: Option<Choice>,
    /// Warning about several video streams.
    stream_note: Option<String>,
    pub(super) facts: Facts,
}

/// The pictures and the additional outputs of a pass.
pub(super) struct Task<'a> {
    pub(super) picture: PictureOptions,
    /// Whether a plan is preferred although it hardly saves samples: a decoder of a whole file reads ahead.
    pub(super) prefers_plan: bool,
    pub(super) renditions: &'a [Rendition],
}

/// A pass that delivered all pictures, and the knowledge about the video.
pub(super) struct Completed<'a, W> {
    pub(super) writer: W,
    pub(super) report: ExtractReport,
    pub(super) work: Work,
    /// Source of the renditions, if there are any.
    subject: Option<Subject<'a>>,
    /// Renditions of the same decode.
    shared: Option<(SharedDecode, Vec<CompressReport>)>,
}

/// Knowledge about a video for several extractions of one session.
#[derive(Debug, Clone)]
pub(super) struct Known {
    probe: Probe,
    /// Findings of earlier extractions.
    facts: Option<Facts>,
}

impl Known {
    /// Reads the container.
    pub(super) async fn read(session: &Session<'_>, request: &Request) -> Result<Self, Error> {
        let probe = inspect(session, request.stream).await?;
        Ok(Self { probe, facts: None })
    }

    /// Fails if the selection of `request` is invalid for the video, as far as the container tells.
    pub(super) fn check(&self, session: &Session<'_>, request: &Request) -> Result<(), Error> {
        match &self.probe.timeline {
            Some(timeline) => choose(timeline, request, session.limits()).map(drop),
            None => Ok(()),
        }
    }
}

/// Extracts the pictures of `request`, and makes `renditions`. Reads the container unless it is `known`.
pub(super) async fn extract(
    session: &Session<'_>,
    request: &Request,
    renditions: &[Rendition],
    destination: &dyn Destination,
    known: Option<Known>,
) -> Result<Summary, Error> {
    let target = ArchiveTarget {
        session,
        request,
        destination,
    };
    let mut extraction = match known {
        Some(known) => Extraction::of_known(session, request, renditions, &target, known)?,
        None => Extraction::open(session, request, renditions, &target).await?,
    };
    let completed = extraction.run().await?;
    extraction.finish(completed).await
}

/// Delivers the pictures of `request` to `target`. Reads the container unless the video is `known`, and adds the findings to
/// `known`.
pub(super) async fn deliver<'a, T: PictureTarget>(
    session: &'a Session<'a>,
    request: &'a Request,
    target: &'a T,
    known: Option<&mut Known>,
) -> Result<Completed<'a, T::Writer>, Error> {
    let mut extraction = match &known {
        Some(known) => Extraction::of_known(session, request, &[], target, Known::clone(known))?,
        None => Extraction::open(session, request, &[], target).await?,
    };
    let completed = extraction.run().await?;
    if let Some(known) = known {
        known.facts = Some(extraction.facts);
    }
    Ok(completed)
}

impl<'a, T: PictureTarget> Extraction<'a, T> {
    /// Probes the source.
    pub(super) async fn open(
        session: &'a Session<'a>,
        request: &'a Request,
        renditions: &'a [Rendition],
        target: &'a T,
    ) -> Result<Self, Error> {
        // Renditions need the whole source, and frames of a stream have numbers.
        let (probe, excerpt) = match renditions.is_empty() && !target.is_immediate() {
            true => inspect_for(session, request).await?,
            false => (inspect(session, request.stream).await?, None),
        };
        let mut extraction = Self::unread(session, request, renditions, target, &probe.video);
        extraction.excerpt = excerpt;
        extraction.learn_probe(probe)?;
        Ok(extraction)
    }

    /// Returns an extraction from a known video.
    fn of_known(
        session: &'a Session<'a>,
        request: &'a Request,
        renditions: &'a [Rendition],
        target: &'a T,
        known: Known,
    ) -> Result<Self, Error> {
        let mut extraction = Self::unread(session, request, renditions, target, &known.probe.video);
        extraction.learn_probe(known.probe)?;
        if let Some(facts) = known.facts {
            extraction.facts = facts;
        }
        Ok(extraction)
    }

    /// Returns an extraction before the container is read.
    fn unread(
        session: &'a Session<'a>,
        request: &'a Request,
        renditions: &'a [Rendition],
        target: &'a T,
        video: &VideoInfo,
    ) -> Self {
        Self {
            session,
            request,
            renditions,
            target,
            index: Err(NoIndex::new("the source was not read")),
            excerpt: None,
            choice: None,
            stream_note: None,
            facts: Facts::new(video.clone(), None),
        }
    }

    /// Adds what the container says about the video.
    fn learn_probe(&mut self, probe: Probe) -> Result<(), Error> {
        let Probe {
            video,
            timeline,
            streams,
            index,
        } = probe;
        check_picture_size(&video, &self.request.picture, self.session.limits())?;
        check_picture_size(&video, &decoded(&self.request.picture), self.session.limits())?;
        self.stream_note = note(&streams, &video, self.request.stream);
        // Extraction checks every frame of a packet timeline. A target that cannot be started again takes only
        // timelines of containers whose packets are their frames.
        let reliable = self.target.can_restart() || packets_are_frames(&video);
        self.index = index;
        self.facts = Facts::new(video, timeline.filter(|_| reliable).map(Arc::new));
        Ok(())
    }

    /// Replaces the knowledge about parts of the source by that about the whole source.
    async fn read_whole(&mut self) -> Result<(), Error> {
        self.excerpt = None;
        let probe = inspect(self.session, self.request.stream).await?;
        self.learn_probe(probe)
    }

    /// Performs passes until one delivers all pictures.
    pub(super) async fn run(&mut self) -> Result<Completed<'a, T::Writer>, Error> {
        loop {
            let Some(timeline) = self.facts.timeline.clone() else {
                let scan = self.session.scan(&self.facts.video).await?;
                self.facts.scan(scan);
                continue;
            };
            let picks = choose(&timeline, self.request, self.session.limits())?;
            self.facts.check_damage(self.request)?;
            let Some(selection) = self.select(timeline, picks).await? else {
                continue;
            };
            let task = Task {
                picture: self.request.picture,
                prefers_plan: false,
                renditions: self.renditions,
            };
            let passed = match selection {
                Selection::Made(selected) => self.pass(self.target, &task, selected).await?,
                Selection::Ready(ready) => Some(ready.deliver(self.target, &self.facts.video).await?),
            };
            if let Some(passed) = passed {
                return Ok(self.complete(passed));
            }
        }
    }

    /// Performs one pass. Returns `None` if the pass found that another one is needed.
    pub(super) async fn pass<P: PictureTarget>(
        &mut self,
        target: &P,
        task: &Task<'a>,
        selected: Selected,
    ) -> Result<Option<Passed<'a, P::Writer>>, Error> {
        let picks = Arc::clone(&selected.picks);
        let subject = self.subject(task).await?;
        let pass = self.choose_pass(&picks, task, target.is_immediate());
        if let Some(excerpt) = &self.excerpt
            && !(excerpt.covers(&picks) && matches!(pass, Ok(Pass::Planned { .. })))
        {
            tracing::debug!("the parts of the source are not sufficient");
            self.read_whole().await?;
            return Ok(None);
        }
        let pass = pass?;
        let combined = match (&pass, &subject) {
            (Pass::Combined, Some(subject)) => share(task.renditions, subject)?,
            _ => None,
        };
        let mut policy = Policy {
            strategy: self.request.strategy,
            can_restart: target.can_restart(),
            combined: combined.is_some(),
            renditions_optional: task.renditions.iter().all(|rendition| rendition.optional),
        };
        // An archive is started once nothing but the decode is left to fail.
        let input = self.input(&pass).await?;
        let job = self.job(&selected, task, target.is_immediate());
        let burner = Burner::new(&task.picture, &selected.timeline);
        if burner.is_some() {
            let encoder = self.session.encoder()?;
            encoder.check(task.picture.format, self.session.cancel()).await?;
        }
        let writer = target.start(&self.facts.video, selected).await?;
        let performed = perform(self.session, &input, job, (writer, &combined, burner)).await;
        let (writer, outcome) = (performed.writer, performed.outcome);
        let finding = match outcome {
            Err(finding) => {
                policy.can_restart |= writer.is_untouched();
                writer.abort().await;
                finding
            }
            Ok(performed) => match self.damage(&performed) {
                Some(damage) => {
                    writer.abort().await;
                    Finding::Damage(damage)
                }
                None => {
                    return Ok(Some(Passed {
                        writer,
                        pass,
                        performed,
                        subject,
                        combined,
                    }));
                }
            },
        };
        if self.excerpt.is_some() && policy.can_restart && !matches!(finding, Finding::Failed(_)) {
            tracing::debug!(?finding, "the parts of the source do not decode as planned");
            self.read_whole().await?;
            return Ok(None);
        }
        let differs = matches!(finding, Finding::Surprise(Surprise::TimelineMismatch(_)));
        match self.facts.learn(finding, policy) {
            Err(error) if differs => Err(self.damage_or(error).await),
            learned => learned.map(|()| None),
        }
    }

    /// Returns the damage that a scan finds. Otherwise, and if only parts of the source are there, returns `error`.
    async fn damage_or(&self, error: Error) -> Error {
        if self.excerpt.is_some() || self.request.on_damage != OnDamage::Fail {
            return error;
        }
        match self.session.scan(&self.facts.video).await {
            Ok(scan) => scan.damage.map_or(error, Error::Damaged),
            Err(_) => error,
        }
    }

    /// Returns the source of the renditions, if there are any.
    async fn subject(&self, task: &Task<'_>) -> Result<Option<Subject<'a>>, Error> {
        if task.renditions.is_empty() {
            return Ok(None);
        }
        self.session.file.reserve_space().await?;
        Ok(Some(Subject {
            session: self.session,
            compressor: self.session.compressor()?,
            path: self.session.path().await?,
            video: self.facts.video.clone(),
            timeline: self.facts.timeline.clone(),
            deinterlace: self.facts.interlaced,
            on_damage: self.request.on_damage,
        }))
    }

    fn choose_pass(&self, picks: &[Pick], task: &Task<'_>, is_immediate: bool) -> Result<Pass, Error> {
        let file = &self.session.file;
        // A copy would delay the first frame of a stream until the whole source is read.
        let may_copy = !is_immediate;
        let choose = |strategy| {
            let conditions = Conditions {
                index: &self.index,
                frames: &distinct(picks),
                strategy,
                deinterlace: self.request.picture.deinterlace,
                is_local: file.is_local(),
                is_worth_copying: &|bytes| may_copy && file.is_worth_copying(bytes),
                decoders: self.request.decoders(),
                can_combine: can_share(task.renditions),
            };
            Pass::choose(&self.facts, &conditions)
        };
        let strategy = self.request.strategy;
        let preferred = task.prefers_plan && strategy == Strategy::Auto;
        let pass = match preferred.then(|| choose(Strategy::Planned)) {
            Some(Ok(planned)) => planned,
            _ => choose(strategy)?,
        };
        if let Pass::Whole(reason) = &pass {
            tracing::debug!(%reason, "decoding the whole file");
        }
        Ok(pass)
    }

    async fn input(&self, pass: &Pass) -> Result<Input, Error> {
        let Pass::Planned { plan, index, copied } = pass else {
            return Ok(Input::File(self.session.path().await?));
        };
        Ok(Input::Planned(PlannedInput {
            source: match &self.excerpt {
                Some(excerpt) => Arc::clone(&excerpt.source),
                None if *copied || self.session.file.is_local() => self.session.local_source().await?,
                None => self.session.source.clone(),
            },
            index: Arc::clone(index),
            plan: Arc::clone(plan),
            jobs: self.request.decoders(),
        }))
    }

    fn job(&self, selected: &Selected, task: &Task<'_>, is_immediate: bool) -> ExtractRequest {
        ExtractRequest {
            video: self.facts.video.clone(),
            frames: distinct(&selected.picks),
            timeline: selected.timeline.as_ref().clone(),
            picture: decoded(&task.picture),
            deinterlace: self.facts.deinterlace(self.request.picture.deinterlace),
            on_demand: is_immediate,
            stop_at_damage: is_immediate && self.request.on_damage == OnDamage::Fail,
            limits: *self.session.limits(),
        }
    }

    /// Returns the damage that prevents a result.
    fn damage(&self, done: &Performed) -> Option<String> {
        let damage = self.facts.damage.clone().or(done.pictures.damage.clone());
        damage.filter(|_| self.request.on_damage == OnDamage::Fail)
    }

    /// Adds the knowledge about the video to the report of the last pass.
    fn complete(&self, passed: Passed<'a, T::Writer>) -> Completed<'a, T::Writer> {
        let Passed {
            writer,
            pass,
            performed,
            subject,
            combined,
        } = passed;
        let Performed {
            pictures: mut report,
            videos,
        } = performed;
        report.damage = self.facts.damage.clone().or(report.damage);
        let choice = self.choice.iter().flat_map(|choice| choice.notes.clone());
        report.warnings.extend(choice);
        report.warnings.extend(self.stream_note.clone());
        report.warnings.extend(begins_late(&self.facts.video));
        Completed {
            writer,
            report,
            work: Work {
                strategy: pass.strategy(),
                fallback: self.facts.failed_plan.clone(),
                samples: match &pass {
                    Pass::Planned { plan, .. } => Some(plan.samples),
                    Pass::Whole(_) | Pass::Combined => None,
                },
                bytes_read: self.session.source.bytes_read(),
            },
            subject,
            shared: combined.map(|shared| (shared, videos)),
        }
    }
}

impl<'a> Extraction<'a, ArchiveTarget<'a>> {
    /// Makes the remaining renditions, and completes the archive.
    async fn finish(&self, completed: Completed<'a, Writer<'a>>) -> Result<Summary, Error> {
        let Completed {
            writer,
            report,
            mut work,
            subject,
            shared,
        } = completed;
        let renditions = match subject {
            Some(subject) => finish(self.renditions, &subject, shared).await,
            None => Ok(Vec::new()),
        };
        let renditions = match renditions {
            Ok(renditions) => renditions,
            Err(error) => {
                writer.abort().await;
                return Err(error);
            }
        };
        work.bytes_read = self.session.source.bytes_read();
        let summary = writer.finish(&self.facts.video, report, work).await?;
        Ok(Summary {
            renditions,
            ..summary
        })
    }
}
