//! Index and frames of the parts of a remote video around the requested times, without a copy of the whole source.

mod file;
mod matroska;
mod reading;
mod times;
mod transport_stream;

use std::sync::Arc;

use self::file::{ExcerptFile, NoExcerpt};
use self::reading::read_range;
use super::Request;
use super::checks::check_pixels;
use super::error::Error;
use super::probe::{Probe, by_index, described_by_packets};
use super::session::Session;
use crate::extract::{Deinterlace, ExtractError};
use crate::plan::Strategy;
use crate::select::{Pick, Selection};
use crate::source::Source;
use crate::video::excerpt::is_transport_stream;
use crate::video::packets::{described_range, index_of_packets};
use crate::video::{Described, NoIndex, VideoIndex};

/// Bytes at the beginning of a source that tell its container.
const HEAD: u64 = 64 << 10;

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
    let found = match read_windows(session, request).await {
        Ok(file) => list(session, request, file).await,
        Err(why) => Err(why),
    };
    match found {
        Ok(found) => Ok(Some(found)),
        Err(NoExcerpt::Failed(error)) => Err(error),
        Err(NoExcerpt::Unusual(why)) => {
            tracing::debug!(%why, "no excerpt");
            Ok(None)
        }
    }
}

/// Reads the windows around the requested times, if the source has a container with a known structure.
async fn read_windows(session: &Session<'_>, request: &Request) -> Result<ExcerptFile, NoExcerpt> {
    let head = read_range(&session.source, 0..HEAD).await?;
    if is_transport_stream(&head) {
        transport_stream::read(session, request, &head).await
    } else {
        matroska::read(session, request, &head).await
    }
}

/// Returns whether a request names single times, and needs neither frame numbers nor adjacent frames.
fn needs_single_times(request: &Request) -> bool {
    matches!(
        request.selection,
        Selection::At(_) | Selection::Count(_) | Selection::Fps(_) | Selection::Thumbnail
    ) && request.strategy != Strategy::Plain
        && request.picture.deinterlace != Deinterlace::On
        && !request.names.has_frame_numbers()
}

/// Lists the packets in the windows.
async fn list(
    session: &Session<'_>,
    request: &Request,
    file: ExcerptFile,
) -> Result<(Probe, Excerpt), NoExcerpt> {
    let frames = file.frames;
    let copied = file.finish(&session.source)?;
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
        ) => return Err(NoIndex::new("the excerpt cannot be read").into()),
        Err(error) => return Err(Error::from(error).into()),
    };
    check_pixels(&list.described.video, session.limits())?;
    let begins_with_keyframe = list.packets.first().is_some_and(|packet| packet.keyframe);
    if list.packets.len() != frames || !begins_with_keyframe {
        return Err(NoIndex::new("the packets of the excerpt are unusual").into());
    }
    let length = copied.file.len();
    let range = described_range(&list, length)?;
    let size = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let head = copied.file.read_at(range.start, size).await;
    let head = head.map_err(|e| session.context.scratch.failed(e))?;
    let index = copied
        .layout
        .place(index_of_packets(&list, length, &head)?, &list.packets)?;
    let windows = windows_of_frames(&index)?;
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
    Ok((probe, excerpt))
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
