//! What a video is: from its own index where that can be read, from a probe of its packets elsewhere.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::input::{Counted, LocalFile};
use super::{Error, Scratch, bounded};
use crate::extract::{ExtractError, FrameExtractor};
use crate::limits::{ANIMATION_SHARE, INDEX_READS, Limits};
use crate::source::Source;
use crate::video::{
    Described, IndexReader, NoIndex, StreamChoice, Timeline, VideoIndex, VideoInfo, VideoStream,
};

/// A video before a frame of it is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// The stream to extract from.
    pub video: VideoInfo,
    /// The presented frames as the container promises them; `None` where its packets lack
    /// timestamps. A promise: extraction checks it frame by frame.
    pub timeline: Option<Timeline>,
    /// All video streams of the source.
    pub streams: Vec<VideoStream>,
    /// The index of its samples, or why there is none.
    pub index: Result<Arc<VideoIndex>, NoIndex>,
}

/// Reads the container, and refuses what is beyond the limits.
pub(super) async fn inspect(
    source: &dyn Source,
    file: &LocalFile<'_>,
    extractor: &dyn FrameExtractor,
    Wanted { stream, limits }: Wanted<'_>,
    cancel: &CancellationToken,
) -> Result<Probe, Error> {
    if source.is_empty() {
        return Err(Error::Empty);
    }
    if source.len() > limits.input_bytes {
        let (bytes, limit) = (source.len(), limits.input_bytes);
        let text = format!("the source has {bytes} bytes, the limit is {limit}");
        return Err(Error::LimitExceeded(text));
    }
    let index = read_index(source, stream, cancel).await?;
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
            let path = file.path().await?;
            extractor.describe(&path, stream, limits, cancel).await?
        }
    };
    if u64::from(video.width) * u64::from(video.height) > limits.pixels {
        return Err(Error::LimitExceeded(format!(
            "pictures of {}×{} are larger than the limit of {} pixels",
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
                "a canvas of {}×{} is larger than {limit} pixels, which is 1/{ANIMATION_SHARE} of the limit of pixels",
                video.width, video.height
            )));
        }
    }
    // A track that ffmpeg measures in other units is not the one that was indexed.
    let index = index.and_then(|index| {
        let same = index.timeline.time_base() == video.time_base && index.stream == video.stream;
        let index = same.then(|| Arc::new(index));
        index.ok_or_else(|| NoIndex::new("its index is of another track"))
    });
    let index = index.and_then(|index| match index.samples.first() {
        Some(first) if !first.sync => Err(NoIndex::new("it does not begin with a keyframe")),
        _ => Ok(index),
    });
    let timeline = match &index {
        Ok(index) => Some(index.timeline.clone()),
        Err(why) => {
            tracing::debug!(%why, "no index");
            let path = file.path().await?;
            let promise = extractor.promise(&path, &video, limits, cancel).await?;
            promise.map(|promise| {
                video.first_keyframe = promise.first_keyframe;
                promise.timeline
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

/// Which stream of a source is meant, and what it may cost.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) stream: Option<StreamChoice>,
    pub(super) limits: &'a Limits,
}

/// Whether frames of a codec are painted over a canvas, which few bytes make large.
fn is_animation(codec: &str) -> bool {
    matches!(codec, "gif" | "apng" | "webp" | "webp_anim")
}

async fn read_index(
    source: &dyn Source,
    stream: Option<StreamChoice>,
    cancel: &CancellationToken,
) -> Result<Result<VideoIndex, NoIndex>, Error> {
    let mut reader = IndexReader::new(source.len()).with_stream(stream);
    let mut reads = 0;
    while let Some(range) = reader.wanted() {
        if cancel.is_cancelled() {
            return Err(ExtractError::Cancelled.into());
        }
        reads += 1;
        if reads > INDEX_READS && source.local_path().is_none() {
            return Ok(Err(NoIndex::new(
                "its index is in too many pieces to be read from afar",
            )));
        }
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let bytes = source.read_at(range.start, length).await.map_err(Error::Source)?;
        reader.supply(range.start, bytes);
    }
    Ok(reader.finish())
}

/// Reads what a video is and which frames it has, for people who only want to know. Without a choice of
/// `stream`, that is the one that a player shows.
///
/// # Errors
/// As [`super::run`] up to the first decode.
pub async fn probe(
    source: Arc<dyn Source>,
    stream: Option<StreamChoice>,
    extractor: &dyn FrameExtractor,
    limits: &Limits,
    scratch: &Scratch,
    cancel: &CancellationToken,
) -> Result<Probe, Error> {
    let source = Counted::new(source, cancel);
    let wanted = Wanted { stream, limits };
    let work = probe_unbounded(source.as_ref(), wanted, extractor, scratch, cancel);
    bounded(work, limits, cancel).await
}

async fn probe_unbounded(
    source: &dyn Source,
    wanted: Wanted<'_>,
    extractor: &dyn FrameExtractor,
    scratch: &Scratch,
    cancel: &CancellationToken,
) -> Result<Probe, Error> {
    let file = LocalFile::of(source, scratch, cancel);
    let limits = wanted.limits;
    let mut probe = inspect(source, &file, extractor, wanted, cancel).await?;
    if probe.timeline.is_none() {
        let path = file.path().await?;
        let scan = extractor.scan(&path, &probe.video, limits, cancel).await?;
        probe.video.interlaced |= scan.interlaced;
        probe.video.first_keyframe = scan.first_keyframe;
        probe.timeline = Some(scan.timeline);
    }
    Ok(probe)
}
