//! Description of the samples that an extraction would decode, without decoding them.

use super::Request;
use super::checks::{choose, distinct};
use super::error::Error;
use super::examine::{Examination, at_own_time};
use super::excerpt::inspect_for;
use super::facts::Facts;
use super::pass::{Conditions, Pass};
use super::probe::{Probe, inspect};
use super::session::Session;
use crate::measure::thumbnail_candidates;
use crate::plan::{Strategy, WholeFileReason};
use crate::select::{Pick, Selection, notes};
use crate::video::Timeline;
use crate::video::streams::note;

/// The samples that an extraction would decode.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outline {
    /// [`Strategy::Plain`] or [`Strategy::Planned`].
    pub strategy: Strategy,
    /// Reason for decoding the whole file, with [`Strategy::Plain`].
    pub reason: Option<WholeFileReason>,
    /// Number of pictures that would be written; the maximum number if frames are examined first.
    pub pictures: usize,
    /// Number of frames that would be examined to choose the pictures, if the choice depends on their content. The rest of the
    /// outline then describes the decode of these frames; the chosen ones are decoded afterwards.
    pub examined: Option<usize>,
    /// Number of distinct frames that would be decoded to pictures in the first decode.
    pub frames: usize,
    /// Number of runs of samples that are decoded separately.
    pub runs: usize,
    /// Maximum number of samples that would be decoded. Which of them the frames need is known
    /// only when they are read.
    pub samples: Option<usize>,
    /// Size of these samples in bytes.
    pub bytes: Option<u64>,
    /// Number of samples of the whole video; `None` without an index.
    pub all_samples: Option<usize>,
    /// Size of all samples in bytes; `None` without an index.
    pub all_bytes: Option<u64>,
    /// Number of bytes read to create the outline.
    pub bytes_read: u64,
    /// Unexpected effects of the selection, and the choice among several streams, in words for a person.
    pub warnings: Vec<String>,
}

/// Returns the samples that an extraction of `request` would decode.
pub(super) async fn outline(session: &Session<'_>, request: &Request) -> Result<Outline, Error> {
    let (probe, excerpt) = inspect_for(session, request).await?;
    let chosen = Choice::new(session, request, probe).await;
    let (choice, is_whole) = match excerpt {
        None => (chosen?, true),
        Some(excerpt) => match chosen {
            Ok(choice) if choice.is_planned() && excerpt.covers(&choice.picks) => (choice, false),
            _ => {
                let probe = inspect(session, request.stream).await?;
                (Choice::new(session, request, probe).await?, true)
            }
        },
    };
    let Choice {
        probe,
        timeline,
        picks,
        pictures,
        examined,
        pass,
    } = choice;
    let Probe {
        video,
        streams,
        index,
        ..
    } = probe;
    let warnings = note(&streams, &video, request.stream);
    let frames = distinct(&picks);
    let known = index.as_ref().ok().filter(|_| is_whole);
    let from_start = |frames: &[usize]| {
        let index = known?;
        let last = index
            .first_presented
            .checked_add(u32::try_from(*frames.last()?).ok()?)?;
        let end = index.samples.iter().position(|sample| sample.order == last)?;
        let samples = &index.samples[..=end];
        Some((samples.len(), samples.iter().map(|s| u64::from(s.size)).sum()))
    };
    let (runs, work, reason) = match &pass {
        Pass::Planned { plan, .. } => (plan.runs.len(), Some((plan.samples, plan.bytes)), None),
        Pass::Whole(reason) => (
            usize::from(!frames.is_empty()),
            from_start(&frames),
            Some(reason.clone()),
        ),
        Pass::Combined => (usize::from(!frames.is_empty()), from_start(&frames), None),
    };
    Ok(Outline {
        strategy: pass.strategy(),
        reason,
        pictures,
        examined: examined.then_some(frames.len()),
        frames: frames.len(),
        runs,
        samples: work.map(|(samples, _)| samples),
        bytes: work.map(|(_, bytes)| bytes),
        all_samples: known.map(|index| index.samples.len()),
        all_bytes: known.map(|index| index.bytes()),
        bytes_read: session.source.bytes_read(),
        warnings: warnings
            .into_iter()
            .chain(notes(&timeline, &request.selection, &request.range, &picks))
            .collect(),
    })
}

/// The pictures of a request, and the pass that decodes them.
struct Choice {
    probe: Probe,
    timeline: Timeline,
    /// The frames of the first decode.
    picks: Vec<Pick>,
    /// Maximum number of pictures.
    pictures: usize,
    /// Whether the frames are examined.
    examined: bool,
    pass: Pass,
}

impl Choice {
    async fn new(session: &Session<'_>, request: &Request, probe: Probe) -> Result<Self, Error> {
        let timeline = match &probe.timeline {
            Some(timeline) => timeline.clone(),
            None => session.scan(&probe.video).await?.timeline,
        };
        let picks = choose(&timeline, request, session.limits())?;
        let (picks, pictures, examined) = match Examination::new(&timeline, request, &picks)? {
            Some(examination) => {
                let pictures = examination.max_pictures(request, &picks);
                (at_own_time(&timeline, &examination.frames), pictures, true)
            }
            None if request.selection == Selection::Thumbnail => {
                (thumbnail_candidates(&timeline, &picks), 1, true)
            }
            None => {
                let pictures = picks.len();
                (picks, pictures, false)
            }
        };
        let pass = Pass::choose(
            &Facts::new(probe.video.clone(), None),
            &Conditions {
                index: &probe.index,
                frames: &distinct(&picks),
                strategy: request.strategy,
                deinterlace: request.picture.deinterlace,
                is_local: session.file.is_local(),
                is_worth_copying: &|bytes| session.file.is_worth_copying(bytes),
                decoders: request.decoders(),
                can_combine: false,
            },
        )?;
        Ok(Self {
            probe,
            timeline,
            picks,
            pictures,
            examined,
            pass,
        })
    }

    fn is_planned(&self) -> bool {
        matches!(self.pass, Pass::Planned { .. })
    }
}
