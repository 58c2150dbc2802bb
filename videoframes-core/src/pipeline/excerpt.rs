//! Index and frames of the parts of a remote video around the requested times, without a copy of the whole source.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tempfile::TempPath;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::Request;
use super::checks::check_pixels;
use super::error::Error;
use super::input::Counted;
use super::probe::{Probe, by_index, described_by_packets};
use super::scratch::Reserved;
use super::session::Session;
use crate::error::ErrorKind;
use crate::extract::{Deinterlace, ExtractError};
use crate::limits::{EXCERPT_BYTES, EXCERPT_PICTURES, EXCERPT_READS, EXCERPT_SHARE, Limits};
use crate::plan::Strategy;
use crate::select::{Pick, Selection, select};
use crate::source::{FileSource, Source, Verifier};
use crate::video::excerpt::{Layout, Outline, OutlineReader, Part, Piece, Window, WindowReader};
use crate::video::packets::{described_range, index_of_packets};
use crate::video::{Described, NoIndex, Timeline, VideoIndex};

/// Bytes per read after the first read of a window.
const READ: u64 = 256 << 10;
/// Maximum number of bytes of the first read of a window.
const FIRST_READ: u64 = 4 << 20;
/// Seconds of video that are read after a wanted time.
const MARGIN: i128 = 1;

/// Parts of a remote source around the requested times.
pub(super) struct Excerpt {
    /// The source. Reads of the parts are reads of their local copy.
    pub(super) source: Arc<dyn Source>,
    /// Number of the window of every frame.
    windows: Vec<usize>,
}

impl Excerpt {
    /// Returns whether the frames are certainly those displayed at the requested times: no unknown frame is between a picked
    /// frame and the next frame.
    pub(super) fn covers(&self, picks: &[Pick]) -> bool {
        picks.iter().all(|pick| match self.windows.get(pick.frame + 1) {
            Some(next) => *next == self.windows[pick.frame],
            None => true,
        })
    }
}

/// Reads as much of the container as `request` needs: a remote source without an index is read in parts where possible. Fails
/// if the video exceeds the limits.
pub(super) async fn inspect_for(
    session: &Session<'_>,
    request: &Request,
) -> Result<(Probe, Option<Excerpt>), Error> {
    let why = match by_index(session, request.stream).await? {
        Ok(probe) => return Ok((probe, None)),
        Err(why) => why,
    };
    if let Some((probe, excerpt)) = read(session, request).await? {
        return Ok((probe, Some(excerpt)));
    }
    Ok((described_by_packets(session, request.stream, why).await?, None))
}

/// Reads an excerpt for `request`. Returns `None` if the whole source is needed, or if its structure is unusual.
///
/// # Errors
/// Fails if the source cannot be read, and if the video exceeds the limits.
async fn read(session: &Session<'_>, request: &Request) -> Result<Option<(Probe, Excerpt)>, Error> {
    if session.file.is_local() || !needs_single_times(request) {
        return Ok(None);
    }
    let why = match read_windows(session, request).await {
        Ok(Ok(windows)) => match list(session, request, windows).await? {
            Ok(found) => return Ok(Some(found)),
            Err(why) => why,
        },
        Ok(Err(why)) => why,
        Err(error) => return Err(error),
    };
    tracing::debug!(%why, "no excerpt");
    Ok(None)
}

/// Returns whether a request names single times, and needs neither frame numbers nor adjacent frames.
fn needs_single_times(request: &Request) -> bool {
    matches!(
        request.selection,
        Selection::At(_) | Selection::Count(_) | Selection::Fps(_)
    ) && request.strategy != Strategy::Plain
        && request.picture.deinterlace != Deinterlace::On
        && !request.names.has_frame_numbers()
}

/// The windows of an excerpt, in order.
struct Windows {
    head: Vec<u8>,
    readers: Vec<WindowReader>,
}

/// Reads the windows around the requested times.
async fn read_windows(session: &Session<'_>, request: &Request) -> Result<Result<Windows, NoIndex>, Error> {
    let source = &session.source;
    let length = source.len();
    let mut reader = OutlineReader::new(length);
    while let Some(range) = reader.wanted() {
        reader.supply(&read_range(source, range).await?);
    }
    let outline = match reader.finish() {
        Ok(outline) => Arc::new(outline),
        Err(why) => return Ok(Err(why)),
    };
    // The first frame and the end of the video, on which the requested times depend.
    let last_start = outline.cues.last().map_or(length, |cue| cue.position);
    let budget = (length / EXCERPT_SHARE).min(EXCERPT_BYTES);
    if length - last_start > budget {
        return Ok(Err(NoIndex::new(
            "the end of the video is too far from its last cue",
        )));
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
    let mut ends = fill_all(source, &outline, [first, last]).await?.into_iter();
    let (Some(mut first), Some(last)) = (ends.next(), ends.next()) else {
        return Ok(Err(NoIndex::new("the file has no clusters")));
    };
    let targets = match targets(&outline, &first, &last, request, session.limits()) {
        Ok(targets) => targets,
        Err(why) => return Ok(Err(why)),
    };
    let plan = windows(&outline, first.position(), &targets);
    first.stop_at(plan.between.first().map_or(last_start, |window| window.start));
    if plan.bytes(&outline) + (length - last_start) > budget {
        return Ok(Err(NoIndex::new("most of the source is needed")));
    }
    if let Some(until) = plan.first {
        first.extend(until);
        first = fill(Arc::clone(source), first, READ).await?;
    }
    let mut readers = vec![first];
    readers.extend(fill_all(source, &outline, plan.between).await?);
    readers.push(last);
    let head = outline.head.clone();
    Ok(Ok(Windows { head, readers }))
}

/// Returns the requested times in ticks, in order, by the frames of the first and the last window. Without a time in the video,
/// the complete list of packets leads to the error.
fn targets(
    outline: &Outline,
    first: &WindowReader,
    last: &WindowReader,
    request: &Request,
    limits: &Limits,
) -> Result<Vec<i64>, NoIndex> {
    let times = first.times().iter().chain(last.times()).copied();
    let timeline = Timeline::new(outline.time_base, times.collect(), None)
        .filter(|_| !first.times().is_empty())
        .ok_or_else(|| NoIndex::new("the file has no frames"))?;
    let most = EXCERPT_PICTURES as u64;
    let picks = match select(
        &timeline,
        &request.selection,
        &request.range,
        limits.frames.min(most),
    ) {
        Ok(picks) => picks,
        Err(error) if error.kind() == ErrorKind::SelectionOutOfRange => Vec::new(),
        Err(error) => return Err(NoIndex::new(error.to_string())),
    };
    let ticks = |pick: &Pick| {
        let ticks = outline.time_base.whole_ticks(pick.target)?;
        i64::try_from(ticks).ok()?.checked_add(timeline.pts()[0])
    };
    Ok(picks.iter().filter_map(ticks).collect())
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

/// Reads windows, several at a time.
async fn fill_all(
    source: &Arc<Counted>,
    outline: &Arc<Outline>,
    windows: impl IntoIterator<Item = Window>,
) -> Result<Vec<WindowReader>, Error> {
    let mut waiting = windows.into_iter();
    let mut reading = VecDeque::new();
    let mut filled = Vec::new();
    loop {
        while reading.len() < EXCERPT_READS
            && let Some(window) = waiting.next()
        {
            let reader = WindowReader::new(outline, window, source.len());
            let estimate = first_read(outline, window.start, window.until);
            let read = fill(Arc::clone(source), reader, estimate.min(FIRST_READ));
            reading.push_back(AbortOnDropHandle::new(tokio::spawn(read.in_current_span())));
        }
        let Some(next) = reading.pop_front() else {
            return Ok(filled);
        };
        filled.push(next.await.map_err(|e| Error::Source(io::Error::other(e)))??);
    }
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

async fn read_range(source: &Counted, range: Range<u64>) -> Result<Bytes, Error> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    source.read_at(range.start, length).await.map_err(Error::Source)
}

/// Lists the packets in the windows.
async fn list(
    session: &Session<'_>,
    request: &Request,
    windows: Windows,
) -> Result<Result<(Probe, Excerpt), NoIndex>, Error> {
    let frames: usize = windows.readers.iter().map(|reader| reader.times().len()).sum();
    let copied = match copy(session, windows).await? {
        Ok(copied) => copied,
        Err(why) => return Ok(Err(why)),
    };
    let packets =
        session
            .extractor()
            .packets(&copied.path, request.stream, session.limits(), session.cancel());
    let list = match packets.await {
        Ok(list) => list,
        Err(
            ExtractError::NotAVideo(_)
            | ExtractError::Damaged(_)
            | ExtractError::NoVideoStream
            | ExtractError::NoSuchStream(_),
        ) => return Ok(Err(NoIndex::new("the excerpt cannot be read"))),
        Err(error) => return Err(error.into()),
    };
    check_pixels(&list.described.video, session.limits())?;
    let begins_with_keyframe = list.packets.first().is_some_and(|packet| packet.keyframe);
    if list.packets.len() != frames || !begins_with_keyframe {
        return Ok(Err(NoIndex::new("the packets of the excerpt are unusual")));
    }
    let excerpt = copied.file.clone();
    let index = match described_range(&list, excerpt.len()) {
        Ok(range) => {
            let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let head = excerpt.read_at(range.start, length).await;
            let head = head.map_err(|e| session.context.scratch.failed(e))?;
            index_of_packets(&list, excerpt.len(), &head)
        }
        Err(why) => Err(why),
    };
    let index = index.and_then(|index| copied.layout.place(index, &list.packets));
    let (index, windows) =
        match index.and_then(|index| windows_of_frames(&index).map(|windows| (index, windows))) {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
    let Described { video, streams } = list.described;
    let probe = Probe {
        video,
        timeline: list.timeline,
        streams,
        index: Ok(Arc::new(index)),
    };
    let excerpt = Excerpt {
        source: Arc::new(copied),
        windows,
    };
    Ok(Ok((probe, excerpt)))
}

/// Returns the number of the window of every frame.
fn windows_of_frames(index: &VideoIndex) -> Result<Vec<usize>, NoIndex> {
    let mut windows = vec![0; index.samples.len()];
    for (position, sample) in index.samples.iter().enumerate() {
        windows[sample.order as usize] = index.gaps.partition_point(|&gap| gap <= position);
    }
    match windows.is_sorted() {
        true => Ok(windows),
        false => Err(NoIndex::new("the timestamps of the file are out of order")),
    }
}

/// A source with a local copy of some of its parts.
struct Copied {
    inner: Arc<Counted>,
    /// The excerpt with the parts.
    file: Arc<FileSource>,
    layout: Layout,
    path: TempPath,
    /// Open while the excerpt is in use; the lock of the file protects it from a sweep.
    _lock: File,
    // The field is last, so that the file is removed before its space is released.
    _space: Reserved,
}

#[async_trait]
impl Source for Copied {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn local_path(&self) -> Option<&Path> {
        None
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        self.inner.verifier()
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let Some(pieces) = self.layout.pieces(offset..offset.saturating_add(length as u64)) else {
            return self.inner.read_at(offset, length).await;
        };
        let mut bytes = BytesMut::new();
        for piece in pieces {
            match piece {
                Piece::Excerpt { position, length } => {
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    bytes.extend_from_slice(&self.file.read_at(position, length).await?);
                }
                Piece::Skipped(skipped) => bytes.extend_from_slice(skipped),
            }
        }
        Ok(bytes.freeze())
    }
}

/// Writes the excerpt to a temporary file.
async fn copy(session: &Session<'_>, windows: Windows) -> Result<Result<Copied, NoIndex>, Error> {
    let scratch = &session.context.scratch;
    let mut layout = Layout::default();
    let mut content = vec![windows.head];
    let (mut position, mut number) = (content[0].len() as u64, 0);
    for reader in windows.readers {
        let (parts, joined) = match reader.finish() {
            Ok(finished) => finished,
            Err(why) => return Ok(Err(why)),
        };
        for part in parts {
            let header = Part::header();
            position += header.len() as u64;
            content.push(header.to_vec());
            let bytes = layout.push(position, part, number);
            position += bytes.len() as u64;
            content.push(bytes);
        }
        number += usize::from(!joined);
    }
    let space = scratch.reserve(position, session.cancel()).await?;
    let failed = |error| scratch.failed(error);
    let (mut file, path) = scratch.file().map_err(failed)?.into_parts();
    let write = move || {
        for part in content {
            file.write_all(&part)?;
        }
        Ok(file)
    };
    let file = tokio::task::spawn_blocking(write)
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(failed)?;
    let source = FileSource::open(path.to_path_buf()).map_err(failed)?;
    Ok(Ok(Copied {
        inner: Arc::clone(&session.source),
        file: Arc::new(source),
        layout,
        path,
        _lock: file,
        _space: space,
    }))
}
