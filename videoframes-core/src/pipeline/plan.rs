//! What an extraction would decode, without decoding it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::input::{Counted, LocalFile};
use super::probe::{Probe, inspect};
use super::{Attempt, Error, Request, bounded, choose, distinct};
use crate::extract::FrameExtractor;
use crate::plan::Strategy;
use crate::select::notes;
use crate::source::Source;
use crate::video::streams::note;

/// What an extraction would decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// [`Strategy::Plain`] or [`Strategy::Planned`].
    pub strategy: Strategy,
    /// Why samples are not or cannot be left out, with [`Strategy::Plain`].
    pub reason: Option<String>,
    /// Pictures that would be written.
    pub pictures: usize,
    /// Different frames among them.
    pub frames: usize,
    /// Stretches of samples that are decoded on their own.
    pub runs: usize,
    /// Samples that would be decoded, at most: what nothing refers to is left out as it is read.
    pub samples: Option<usize>,
    /// Bytes of these samples.
    pub bytes: Option<u64>,
    /// Samples of the whole video; `None` without an index.
    pub all_samples: Option<usize>,
    /// Bytes of all its samples.
    pub all_bytes: Option<u64>,
    /// Bytes that were read to find this out.
    pub bytes_read: u64,
    /// What a person may not expect of the selection, and which of several streams is meant.
    pub warnings: Vec<String>,
}

/// Says what [`super::run`] would decode for the same request.
///
/// # Errors
/// As [`super::run`] up to its first decode. A video whose packets lack timestamps is decoded once.
pub async fn outline(
    source: Arc<dyn Source>,
    request: &Request,
    extractor: &dyn FrameExtractor,
    cancel: &CancellationToken,
) -> Result<Outline, Error> {
    let work = outline_unbounded(source, request, extractor, cancel);
    bounded(work, &request.limits, cancel).await
}

async fn outline_unbounded(
    source: Arc<dyn Source>,
    request: &Request,
    extractor: &dyn FrameExtractor,
    cancel: &CancellationToken,
) -> Result<Outline, Error> {
    let source = Counted::new(source, cancel);
    let file = LocalFile::of(source.as_ref(), &request.scratch, cancel);
    let limits = &request.limits;
    let Probe {
        video,
        timeline,
        streams,
        index,
    } = inspect(source.as_ref(), &file, extractor, request.wanted(), cancel).await?;
    let timeline = match timeline {
        Some(timeline) => timeline,
        None => {
            let path = file.path().await?;
            extractor.scan(&path, &video, limits, cancel).await?.timeline
        }
    };
    let picks = choose(&timeline, request)?;
    let frames = distinct(&picks);
    let attempt = Attempt::first(&video, request, None);
    let decision = attempt.plan(&source, &file, &index, &frames, request)?;
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
    let (runs, work) = match &decision.planned {
        Some(planned) => (
            planned.plan.runs.len(),
            Some((planned.plan.samples, planned.plan.bytes)),
        ),
        None => (usize::from(!frames.is_empty()), from_start(&frames)),
    };
    Ok(Outline {
        strategy: decision.strategy(),
        reason: decision.reason,
        pictures: picks.len(),
        frames: frames.len(),
        runs,
        samples: work.map(|(samples, _)| samples),
        bytes: work.map(|(_, bytes)| bytes),
        all_samples: known.map(|index| index.samples.len()),
        all_bytes: known.map(|index| index.bytes()),
        bytes_read: source.bytes_read(),
        warnings: note(&streams, &video, request.stream)
            .into_iter()
            .chain(notes(&timeline, &request.selection, &request.range, &picks))
            .collect(),
    })
}
