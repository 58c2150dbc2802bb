//! The description of a video and its presented frames, from the index of the source or else from its packets.

use std::sync::Arc;

use super::error::Error;
use super::session::Session;
use crate::extract::ExtractError;
use crate::limits::{ANIMATION_SHARE, INDEX_READS, Limits};
use crate::source::Source;
use crate::video::{
    Described, IndexReader, NoIndex, StreamChoice, Timeline, VideoIndex, VideoInfo, VideoStream,
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
    let (source, limits) = (session.source.as_ref(), session.limits());
    check_size(source, limits)?;
    let index = read_index(session, stream).await?;
    if let Err(why) = &index
        && why.is_excessive()
    {
        return Err(Error::LimitExceeded(why.to_string()));
    }
    let known = index.as_ref().ok().and_then(|index| {
        let (video, streams) = (index.video.clone()?, index.streams.clone());
        Some(Described { video, streams })
    });
    let Described { mut video, streams } = match known {
        Some(described) => described,
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
    let index = index.and_then(|index| {
        let same = index.timeline.time_base() == video.time_base && index.stream == video.stream;
        let index = same.then(|| Arc::new(index));
        index.ok_or_else(|| NoIndex::new("the index describes another track"))
    });
    let index = index.and_then(|index| match index.samples.first() {
        Some(first) if !first.sync => Err(NoIndex::new("the video does not begin with a keyframe")),
        _ => Ok(index),
    });
    let timeline = match &index {
        Ok(index) => Some(index.timeline.clone()),
        Err(why) => {
            tracing::debug!(%why, "no index");
            let path = session.path().await?;
            let packets = session
                .extractor()
                .packet_timeline(&path, &video, limits, session.cancel());
            packets.await?.map(|packets| {
                video.first_keyframe = packets.first_keyframe;
                packets.timeline
            })
        }
    };
    Ok(Probe {
        video,
        timeline,
        streams,
        index,
    })
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

/// Fails if pictures of the video are too large.
fn check_pixels(video: &VideoInfo, limits: &Limits) -> Result<(), Error> {
    if u64::from(video.width) * u64::from(video.height) > limits.pixels {
        return Err(Error::LimitExceeded(format!(
            "frames of {}×{} exceed the limit of {} pixels",
            video.width, video.height, limits.pixels
        )));
    }
    if is_animation(&video.codec) {
        let (pixels, limit) = (
            u64::from(video.width) * u64::from(video.height),
            limits.pixels / ANIMATION_SHARE,
        );
        if pixels > limit {
            return Err(Error::LimitExceeded(format!(
                "a canvas of {}×{} is larger than {limit} pixels, 1/{ANIMATION_SHARE} of the maximum number of pixels of a video",
                video.width, video.height
            )));
        }
    }
    Ok(())
}

/// Returns whether frames of a codec are painted over a canvas. Few bytes describe a large canvas.
fn is_animation(codec: &str) -> bool {
    matches!(codec, "gif" | "apng" | "webp" | "webp_anim")
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
