//! The description of a video and its presented frames, from the index of the source or else from its packets.

use std::sync::Arc;

use super::checks::check_pixels;
use super::error::Error;
use super::session::Session;
use crate::extract::ExtractError;
use crate::limits::{INDEX_READS, Limits};
use crate::source::Source;
use crate::video::packets::{described_range, index_of_packets};
use crate::video::{
    Described, IndexReader, NoIndex, PacketList, StreamChoice, Timeline, VideoIndex, VideoInfo, VideoStream,
};

/// A video before a frame of it is decoded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Probe {
    /// The stream to extract from.
    pub video: VideoInfo,
    /// The presented frames according to the container; `None` where its packets lack timestamps. Extraction
    /// checks every frame.
    pub timeline: Option<Timeline>,
    /// All video streams of the source.
    pub streams: Vec<VideoStream>,
    /// The index of its samples, or why there is none.
    pub index: Result<Arc<VideoIndex>, NoIndex>,
}

/// Reads the container. Fails if the video exceeds the limits.
pub(super) async fn inspect(session: &Session<'_>, stream: Option<StreamChoice>) -> Result<Probe, Error> {
    match by_index(session, stream).await? {
        Ok(probe) => Ok(probe),
        Err(why) => described_by_packets(session, stream, why).await,
    }
}

/// Describes a video by the index of its container, if it has one.
pub(super) async fn by_index(
    session: &Session<'_>,
    stream: Option<StreamChoice>,
) -> Result<Result<Probe, NoIndex>, Error> {
    let (source, limits) = (session.source.as_ref(), session.limits());
    check_size(source, limits)?;
    let index = read_index(session, stream).await?;
    if let Err(why) = &index
        && why.is_excessive()
    {
        return Err(Error::LimitExceeded(why.to_string()));
    }
    let index = index.and_then(|index| match index.samples.first() {
        Some(first) if !first.sync => Err(NoIndex::new("the video does not begin with a keyframe")),
        _ => Ok(index),
    });
    let described = match index {
        Ok(index) => described_by_index(session, stream, index).await?,
        Err(why) => Err(why),
    };
    if let Err(why) = &described {
        tracing::debug!(%why, "no index");
    }
    Ok(described)
}

/// Describes a video with an index of its container.
async fn described_by_index(
    session: &Session<'_>,
    stream: Option<StreamChoice>,
    index: VideoIndex,
) -> Result<Result<Probe, NoIndex>, Error> {
    let limits = session.limits();
    let Described { video, streams } = match index.video.clone() {
        Some(video) => Described::new(video, index.streams.clone()),
        None => {
            let path = session.path().await?;
            let describing = session
                .extractor()
                .describe(&path, stream, limits, session.cancel());
            describing.await?
        }
    };
    check_pixels(&video, limits)?;
    // A track that ffmpeg measures in other units is not the one that was indexed.
    if index.timeline.time_base() != video.time_base || index.stream != video.stream {
        return Ok(Err(NoIndex::new("the index describes another track")));
    }
    Ok(Ok(Probe {
        video,
        timeline: Some(index.timeline.clone()),
        streams,
        index: Ok(Arc::new(index)),
    }))
}

/// Describes a video by the packets that the demuxer of the decoder lists. `why` is the reason why the container has no
/// other index.
pub(super) async fn described_by_packets(
    session: &Session<'_>,
    stream: Option<StreamChoice>,
    why: NoIndex,
) -> Result<Probe, Error> {
    let path = session.path().await?;
    let packets = session
        .extractor()
        .packets(&path, stream, session.limits(), session.cancel());
    let list = packets.await?;
    check_pixels(&list.described.video, session.limits())?;
    let index = match list.packets.is_empty() {
        true => Err(why),
        false => index_packets(session, &list).await?,
    };
    if let Err(why) = &index {
        tracing::debug!(%why, "no index of packets");
    }
    let Described { video, streams } = list.described;
    Ok(Probe {
        video,
        timeline: list.timeline,
        streams,
        index: index.map(Arc::new),
    })
}

/// Returns the index of packets of the source or its local copy.
async fn index_packets(
    session: &Session<'_>,
    list: &PacketList,
) -> Result<Result<VideoIndex, NoIndex>, Error> {
    if list.packets.first().is_some_and(|packet| !packet.keyframe) {
        return Ok(Err(NoIndex::new("the video does not begin with a keyframe")));
    }
    let source = session.local_source().await?;
    let range = match described_range(list, source.len()) {
        Ok(range) => range,
        Err(why) => return Ok(Err(why)),
    };
    let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let head = source.read_at(range.start, length).await.map_err(Error::Source)?;
    Ok(index_of_packets(list, source.len(), &head))
}

/// Fails if the source is empty or too large.
fn check_size(source: &dyn Source, limits: &Limits) -> Result<(), Error> {
    if source.is_empty() {
        return Err(Error::Empty);
    }
    if source.len() > limits.input_bytes {
        let (bytes, limit) = (source.len(), limits.input_bytes);
        let text = format!("the source has {bytes} bytes, the limit is {limit}");
        return Err(Error::LimitExceeded(text));
    }
    Ok(())
}

async fn read_index(
    session: &Session<'_>,
    stream: Option<StreamChoice>,
) -> Result<Result<VideoIndex, NoIndex>, Error> {
    let source = &session.source;
    let mut reader = IndexReader::new(source.len()).with_stream(stream);
    let mut reads = 0;
    while let Some(range) = reader.wanted() {
        if session.cancel().is_cancelled() {
            return Err(ExtractError::Cancelled.into());
        }
        reads += 1;
        if reads > INDEX_READS && source.local_path().is_none() {
            return Ok(Err(NoIndex::new(
                "the index is in too many pieces to be read from a remote source",
            )));
        }
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let bytes = source.read_at(range.start, length).await.map_err(Error::Source)?;
        reader.supply(range.start, bytes);
    }
    Ok(reader.finish())
}

/// Reads the description of a video and its presented frames.
pub(super) async fn probe(session: &Session<'_>, stream: Option<StreamChoice>) -> Result<Probe, Error> {
    let mut probe = inspect(session, stream).await?;
    if probe.timeline.is_none() {
        let scan = session.scan(&probe.video).await?;
        probe.video.interlaced |= scan.interlaced;
        probe.video.first_keyframe = scan.first_keyframe;
        probe.timeline = Some(scan.timeline);
    }
    Ok(probe)
}
