//! Description of the samples that an extraction would decode, without decoding them.

use super::Request;
use super::checks::{choose, distinct};
use super::error::Error;
use super::facts::Facts;
use super::pass::{Conditions, Pass};
use super::probe::{Probe, inspect};
use super::session::Session;
use crate::plan::{Strategy, WholeFileReason};
use crate::select::notes;
use crate::video::streams::note;

/// The samples that an extraction would decode.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outline {
    /// [`Strategy::Plain`] or [`Strategy::Planned`].
    pub strategy: Strategy,
    /// Reason for decoding the whole file, with [`Strategy::Plain`].
    pub reason: Option<WholeFileReason>,
    /// Number of pictures that would be written.
    pub pictures: usize,
    /// Number of distinct frames among the pictures.
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
    let Probe {
        video,
        timeline,
        streams,
        index,
    } = inspect(session, request.stream).await?;
    let warnings = note(&streams, &video, request.stream);
    let timeline = match timeline {
        Some(timeline) => timeline,
        None => session.scan(&video).await?.timeline,
    };
    let picks = choose(&timeline, request, session.limits())?;
    let frames = distinct(&picks);
    let pass = Pass::choose(
        &Facts::new(video, None),
        &Conditions {
            index: &index,
            frames: &frames,
            strategy: request.strategy,
            deinterlace: request.picture.deinterlace,
            is_local: session.file.is_local(),
            is_worth_copying: &|bytes| session.file.is_worth_copying(bytes),
            decoders: request.decoders(),
            can_combine: false,
        },
    )?;
    let known = index.as_ref().ok();
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
        pictures: picks.len(),
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
