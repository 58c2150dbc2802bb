//! Windows of Matroska and WebM files, found by the cues.

use std::sync::Arc;

use super::file::{ExcerptFile, NoExcerpt, budget};
use super::reading::{in_order, read_range};
use super::times::targets;
use crate::pipeline::Request;
use crate::pipeline::error::Error;
use crate::pipeline::input::Counted;
use crate::pipeline::session::Session;
use crate::source::Source;
use crate::video::excerpt::{Outline, OutlineReader, Window, WindowReader};
use crate::video::{NoIndex, Timeline};

/// Bytes per read after the first read of a window.
const READ: u64 = 256 << 10;
/// Maximum number of bytes of the first read of a window.
const FIRST_READ: u64 = 4 << 20;
/// Seconds of video that are read after a wanted time.
const MARGIN: i128 = 1;

/// Reads the windows around the requested times. `head` is the beginning of the source.
pub(super) async fn read(
    session: &Session<'_>,
    request: &Request,
    head: &[u8],
) -> Result<ExcerptFile, NoExcerpt> {
    let source = &session.source;
    let length = source.len();
    let mut reader = OutlineReader::new(length);
    reader.supply(head);
    while let Some(range) = reader.wanted() {
        reader.supply(&read_range(source, range).await?);
    }
    let outline = reader.finish()?;
    // The first frame and the end of the video, on which the requested times depend.
    let last_start = outline.cues.last().map_or(length, |cue| cue.position);
    let budget = budget(source);
    if length - last_start > budget {
        return Err(NoIndex::new("the end of the video is too far from its last cue").into());
    }
    let first = Window {
        start: outline.first_cluster,
        until: Some(i64::MIN),
        stop: last_start,
    };
    let last = Window {
        start: last_start,
        until: None,
        stop: length,
    };
    let (first, last) = (filled(source, &outline, first), filled(source, &outline, last));
    let (mut first, last) = tokio::try_join!(first, last)?;
    let times = first.times().iter().chain(last.times()).copied();
    let timeline = Timeline::new(outline.time_base, times.collect(), None)
        .filter(|_| !first.times().is_empty())
        .ok_or_else(|| NoIndex::new("the file has no frames"))?;
    let targets = targets(&timeline, request, session.limits())?;
    let plan = windows(&outline, first.position(), &targets);
    first.stop_at(plan.between.first().map_or(last_start, |window| window.start));
    if plan.bytes(&outline) + (length - last_start) > budget {
        return Err(NoIndex::new("most of the source is needed").into());
    }
    if let Some(until) = plan.first {
        first.extend(until);
        first = fill(Arc::clone(source), first, READ).await?;
    }
    let mut file = ExcerptFile::new(session, outline.head.clone()).await?;
    add(&mut file, first).await?;
    let mut filling = in_order(
        plan.between
            .into_iter()
            .map(|window| filled(source, &outline, window)),
    );
    while let Some(reader) = filling.next().await {
        add(&mut file, reader.map_err(Error::Source)??).await?;
    }
    add(&mut file, last).await?;
    Ok(file)
}

async fn add(file: &mut ExcerptFile, reader: WindowReader) -> Result<(), NoExcerpt> {
    let frames = reader.times().len();
    let (parts, joined) = reader.finish()?;
    file.add(parts, joined, frames).await
}

/// The windows between the first and the last one.
struct WindowPlan {
    /// Time up to which the first window is read, if it contains a requested time.
    first: Option<i64>,
    between: Vec<Window>,
}

impl WindowPlan {
    /// Returns the estimated number of bytes.
    fn bytes(&self, outline: &Outline) -> u64 {
        let windows = self.between.iter().map(|window| (window.start, window.until));
        let all = windows.chain(self.first.map(|until| (outline.first_cluster, Some(until))));
        all.map(|(start, until)| first_read(outline, start, until)).sum()
    }
}

/// Plans the windows for `targets`, in order of time. The first window is read up to `first_end`.
fn windows(outline: &Outline, first_end: u64, targets: &[i64]) -> WindowPlan {
    let last_start = outline.cues.last().map_or(0, |cue| cue.position);
    let mut plan = WindowPlan {
        first: None,
        between: Vec::new(),
    };
    for &target in targets {
        let start = outline
            .cue_before(target)
            .map_or(outline.first_cluster, |cue| cue.position);
        if start <= first_end || start <= outline.first_cluster {
            plan.first = Some(target);
        } else if start < last_start {
            match plan.between.last_mut() {
                Some(window) if window.start == start => window.until = Some(target),
                _ => plan.between.push(Window {
                    start,
                    until: Some(target),
                    stop: last_start,
                }),
            }
        }
    }
    for at in 1..plan.between.len() {
        plan.between[at - 1].stop = plan.between[at].start;
    }
    plan
}

/// Returns the estimated size of a window in bytes.
fn first_read(outline: &Outline, start: u64, until: Option<i64>) -> u64 {
    let second = outline.time_base.whole_ticks(MARGIN.into()).unwrap_or_default();
    let second = i64::try_from(second).unwrap_or(i64::MAX);
    let Some(until) = until else {
        return FIRST_READ;
    };
    let earliest = outline.cues.first().map_or(until, |cue| cue.time);
    let end = until.max(earliest).saturating_add(second);
    let (Some(cue), after) = (outline.cue_before(end), outline.position_after(end)) else {
        return READ;
    };
    // The share of the group of pictures with the end of the window.
    let next = outline.cues.iter().find(|next| next.time > cue.time);
    let whole = next.map_or(1, |next| next.time - cue.time).max(1);
    let share = (end - cue.time).clamp(0, whole) as u128;
    let group = u128::from(after.saturating_sub(cue.position)) * share / whole as u128;
    let before = cue.position.saturating_sub(start);
    before.saturating_add(u64::try_from(group).unwrap_or(u64::MAX))
}

/// Reads a window.
fn filled(
    source: &Arc<Counted>,
    outline: &Outline,
    window: Window,
) -> impl Future<Output = Result<WindowReader, Error>> + use<> {
    let reader = WindowReader::new(outline, window, source.len());
    let estimate = first_read(outline, window.start, window.until);
    fill(Arc::clone(source), reader, estimate.min(FIRST_READ))
}

/// Reads the rest of a window.
async fn fill(source: Arc<Counted>, mut reader: WindowReader, first: u64) -> Result<WindowReader, Error> {
    let mut bytes = first;
    while let Some(range) = reader.wanted(bytes) {
        reader.supply(&read_range(&source, range).await?);
        bytes = READ;
    }
    Ok(reader)
}
