//! The whole way: source → probe → select → extract → archive, and source → probe → compress → sink.

mod attempt;
mod compress;
mod coverage;
mod input;
mod plan;
mod probe;
mod renditions;
mod scratch;
mod writer;

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::attempt::{Attempt, Decision, packets_are_frames};
pub use self::compress::{CompressJob, compress};
use self::compress::{Subject, room_beside};
use self::input::{Counted, LocalFile};
pub use self::plan::{Outline, outline};
pub use self::probe::{Probe, probe};
use self::probe::{Wanted, inspect};
pub use self::renditions::{Rendition, RenditionOutcome, Renditions};
pub use self::scratch::Scratch;
use self::writer::Writer;
use crate::archive::{ArchiveError, Destination, Manifest, NameTemplate};
use crate::compress::CompressError;
use crate::extract::{
    Deinterlace, ExtractError, ExtractReport, ExtractRequest, FrameExtractor, Input, Picture, PictureOptions,
    PlannedInput,
};
use crate::limits::Limits;
use crate::plan::Strategy;
use crate::select::{Pick, Range, SelectError, Selection, check_grid, select};
use crate::source::Source;
use crate::storage::StorageError;
use crate::units::{Rational, approximate_seconds};
use crate::video::streams::note;
use crate::video::{StreamChoice, Timeline, VideoInfo};

/// What to do when the source is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDamage {
    /// Fail and leave nothing.
    #[default]
    Fail,
    /// Keep what decodes, and say in the manifest that it is partial.
    Partial,
}

/// Everything that is asked of one video.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which video stream; the one that a player shows where not given.
    pub stream: Option<StreamChoice>,
    /// Which moments.
    pub selection: Selection,
    /// Of which part.
    pub range: Range,
    /// As what pictures.
    pub picture: PictureOptions,
    /// Under which names.
    pub names: NameTemplate,
    /// What if the source is damaged.
    pub on_damage: OnDamage,
    /// At which cost at most.
    pub limits: Limits,
    /// How the samples to decode are chosen. The result does not depend on it.
    pub strategy: Strategy,
    /// How many decoders run side by side; by the work and the machine where not given. The result
    /// does not depend on it.
    pub jobs: Option<NonZeroUsize>,
    /// Where a copy of the source is kept, if a decoder needs one. The result does not depend on it.
    pub scratch: Scratch,
}

impl Default for Request {
    /// One frame a second, as JPEG.
    fn default() -> Self {
        let rate = crate::units::FrameRate::new(1.into());
        Self {
            stream: None,
            // Unwrap safety: 1 is positive.
            #[allow(clippy::unwrap_used)]
            selection: Selection::Fps(rate.unwrap()),
            range: Range::default(),
            picture: PictureOptions::default(),
            names: NameTemplate::default(),
            on_damage: OnDamage::default(),
            limits: Limits::default(),
            strategy: Strategy::default(),
            jobs: None,
            scratch: Scratch::default(),
        }
    }
}

impl Request {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            stream: self.stream,
            limits: &self.limits,
        }
    }
}

/// How far an extraction has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Pictures that are in the archive.
    pub frames: u64,
    /// Pictures that will be.
    pub total: u64,
    /// Bytes of the archive so far.
    pub bytes: u64,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The manifest that was written.
    pub manifest: Manifest,
    /// Size of the result in bytes.
    pub bytes: u64,
    /// What could not be done as asked and was left out, in words for a person.
    pub warnings: Vec<String>,
    /// What was damaged, with [`OnDamage::Partial`].
    pub damage: Option<String>,
    /// How the frames were come by.
    pub work: Work,
    /// What became of the renditions, in the order in which they were asked for.
    pub renditions: Vec<RenditionOutcome>,
}

/// How an extraction came by its frames. Not part of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// [`Strategy::Plain`] or [`Strategy::Planned`].
    pub strategy: Strategy,
    /// Why a plan was given up, if one was.
    pub fallback: Option<String>,
    /// Samples in the plan's runs, where there was a plan.
    pub samples: Option<usize>,
    /// Bytes that were read through the [`Source`], each counted once; decoders that open a file do not count.
    pub bytes_read: u64,
}

impl Work {
    fn of(planned: Option<&PlannedInput>, fallback: Option<String>) -> Self {
        Self {
            strategy: if planned.is_some() {
                Strategy::Planned
            } else {
                Strategy::Plain
            },
            fallback,
            samples: planned.map(|planned| planned.plan.samples),
            bytes_read: 0,
        }
    }
}

/// Why there is no result. Nothing was left behind.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source cannot be read.
    #[error("cannot read the source")]
    Source(#[source] io::Error),
    /// A decoder needs the source as a file, and no copy of it can be kept.
    #[error("no copy of the source can be kept in {}", folder.display())]
    Copy {
        /// The folder of the [`Scratch`].
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The source has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The selection does not fit the video.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The decoder.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// The result cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A compressed video cannot be made; by the decoder's fault it is [`Error::Extract`].
    #[error(transparent)]
    Compress(CompressError),
    /// A compressed video cannot be put in its place.
    #[error(transparent)]
    Video(StorageError),
    /// The source is damaged and partial results were not asked for.
    #[error("the video is damaged: {0}")]
    Damaged(String),
    /// A limit of [`Limits`] or [`Scratch`] was reached.
    #[error("{0}")]
    LimitExceeded(String),
    /// [`Strategy::Planned`] was asked for and is not possible.
    #[error("it cannot be planned: {0}")]
    NotPlannable(String),
}

impl From<CompressError> for Error {
    fn from(error: CompressError) -> Self {
        match error {
            CompressError::Decoder(error) => Self::Extract(error),
            error => Self::Compress(error),
        }
    }
}

/// Extracts what `request` asks of `source` into `destination`.
///
/// The result appears at the destination as a whole or not at all, whatever happens, including the
/// future being dropped. The same source and request give the same bytes.
///
/// # Errors
/// See [`Error`].
pub async fn run(
    source: Arc<dyn Source>,
    request: &Request,
    extractor: &dyn FrameExtractor,
    destination: &dyn Destination,
    progress: &(dyn Fn(Progress) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Summary, Error> {
    let work = run_unbounded(source, request, None, extractor, destination, progress, cancel);
    bounded(work, &request.limits, cancel).await
}

/// The same, with compressed videos of the same source, which is read once for all. They are in their
/// places before the archive is: whoever finds that has them too.
///
/// # Errors
/// See [`Error`]; a rendition that fails ends it all unless it is optional. Renditions that are in their
/// places by then stay there.
pub async fn run_with_renditions(
    source: Arc<dyn Source>,
    request: &Request,
    renditions: Renditions<'_>,
    extractor: &dyn FrameExtractor,
    destination: &dyn Destination,
    progress: &(dyn Fn(Progress) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Summary, Error> {
    let renditions = Some(renditions).filter(|renditions| !renditions.wanted.is_empty());
    let work = run_unbounded(
        source,
        request,
        renditions,
        extractor,
        destination,
        progress,
        cancel,
    );
    bounded(work, &request.limits, cancel).await
}

/// Ends work that takes too long, and tells a read that was broken off from a fault of the source.
async fn bounded<T>(
    work: impl Future<Output = Result<T, Error>>,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<T, Error> {
    match tokio::time::timeout(limits.wall_time, work).await {
        Err(_) => Err(Error::LimitExceeded("it took longer than allowed".to_owned())),
        Ok(Err(Error::Source(_) | Error::Extract(ExtractError::SourceFailed(_))))
            if cancel.is_cancelled() =>
        {
            Err(ExtractError::Cancelled.into())
        }
        Ok(outcome) => outcome,
    }
}

async fn run_unbounded(
    source: Arc<dyn Source>,
    request: &Request,
    renditions: Option<Renditions<'_>>,
    extractor: &dyn FrameExtractor,
    destination: &dyn Destination,
    progress: &(dyn Fn(Progress) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Summary, Error> {
    destination.check()?;
    let source = Counted::new(source, cancel);
    let wanted = renditions.map_or(&[][..], |renditions| renditions.wanted);
    let beside = room_beside(source.as_ref(), wanted.iter().map(|rendition| &rendition.target));
    let file = LocalFile::of(source.as_ref(), &request.scratch, cancel).with_room_beside(beside);
    let limits = &request.limits;
    let Probe {
        mut video,
        timeline,
        streams,
        index,
    } = inspect(source.as_ref(), &file, extractor, request.wanted(), cancel).await?;
    let streams = note(&streams, &video, request.stream);
    check_picture_size(&video, &request.picture, limits)?;
    let mut attempt = Attempt::first(&video, request, timeline);
    // What a packet promises is checked frame by frame; where a failed check could not be taken
    // back, only containers whose packets are their frames are taken at their word.
    if !destination.can_restart() && !packets_are_frames(&video) {
        attempt.timeline = None;
    }
    loop {
        let timeline = match attempt.timeline.take() {
            Some(timeline) => timeline,
            None => {
                let path = file.path().await?;
                let scan = extractor.scan(&path, &video, limits, cancel).await?;
                attempt.scanned = true;
                video.first_keyframe = scan.first_keyframe;
                attempt.interlaced |= scan.interlaced;
                attempt.deinterlace |= request.picture.deinterlace == Deinterlace::Auto && scan.interlaced;
                attempt.damage = attempt.damage.or(scan.damage);
                scan.timeline
            }
        };
        let picks = choose(&timeline, request)?;
        if let (OnDamage::Fail, Some(damage)) = (request.on_damage, &attempt.damage) {
            return Err(Error::Damaged(damage.clone()));
        }
        let frames = distinct(&picks);
        let subject = match renditions {
            None => None,
            Some(Renditions { compressor, .. }) => {
                file.take_room().await?;
                Some(Subject {
                    source_bytes: source.len(),
                    path: file.path().await?,
                    video: video.clone(),
                    timeline: Some(Arc::new(timeline.clone())),
                    deinterlace: attempt.interlaced,
                    on_damage: request.on_damage,
                    extractor,
                    compressor,
                    limits,
                    scratch: &request.scratch,
                    cancel,
                })
            }
        };
        // Where every frame is decoded for a rendition, the pictures come of the same decode, unless a plan is
        // insisted on.
        let apart = attempt.apart || frames.is_empty() || request.strategy == Strategy::Planned;
        let shared = match (&renditions, &subject) {
            (Some(renditions), Some(subject)) if !apart => renditions.share(subject)?,
            _ => None,
        };
        let decision = match &shared {
            Some(_) => Decision::whole_file(),
            None => attempt.plan(&source, &file, &index, &frames, request)?,
        };
        let mut work = Work::of(decision.planned.as_ref(), attempt.fallback.clone());
        let input = match decision.planned {
            Some(mut planned) => {
                if decision.copied {
                    planned.source = Arc::new(file.open().await?);
                }
                Input::Planned(planned)
            }
            None => Input::File(file.path().await?),
        };
        let job = ExtractRequest {
            video: video.clone(),
            frames,
            timeline: timeline.clone(),
            picture: request.picture,
            deinterlace: attempt.deinterlace,
        };
        let writer = Writer {
            archive: destination.start().await?,
            source: source.as_ref(),
            request,
            timeline: &timeline,
            picks: &picks,
            progress,
            frames: Vec::with_capacity(picks.len()),
            bytes: 0,
        };
        let decoding = |sender| async {
            match (renditions, &subject, &shared) {
                (Some(renditions), Some(subject), Some(shared)) => {
                    renditions.decode(subject, shared, job, sender).await
                }
                _ => {
                    let report = extract(extractor, &input, job, limits, sender, cancel).await?;
                    Ok((report, Vec::new()))
                }
            }
        };
        match written(decoding, writer).await {
            Ok((writer, (mut report, compressed))) => {
                report.damage = attempt.damage.clone().or(report.damage);
                report.warnings.extend(streams.clone());
                report.warnings.extend(begins_late(&video));
                if let (OnDamage::Fail, Some(damage)) = (request.on_damage, &report.damage) {
                    writer.archive.abort().await;
                    let needless = renditions.is_some_and(|renditions| renditions.are_optional());
                    if shared.is_some() && needless && destination.can_restart() {
                        tracing::info!(damage, "pictures may come of what is whole; renditions will not");
                        attempt.apart = true;
                        attempt.timeline = Some(timeline);
                        continue;
                    }
                    return Err(Error::Damaged(damage.clone()));
                }
                let shared = shared.map(|shared| (shared, compressed));
                let outcomes = match (renditions, &subject) {
                    (Some(renditions), Some(subject)) => renditions.finish(subject, shared).await,
                    _ => Ok(Vec::new()),
                };
                let outcomes = match outcomes {
                    Ok(outcomes) => outcomes,
                    Err(error) => {
                        writer.archive.abort().await;
                        return Err(error);
                    }
                };
                work.bytes_read = source.bytes_read();
                let summary = writer.finish(&video, report, work).await?;
                return Ok(Summary {
                    renditions: outcomes,
                    ..summary
                });
            }
            Err((writer, error)) => {
                let untouched = writer.bytes == 0;
                writer.archive.abort().await;
                let again = untouched || destination.can_restart();
                match error {
                    Error::Extract(ExtractError::TimelineMismatch(why)) if again && !attempt.scanned => {
                        tracing::info!(
                            why,
                            "the index is not what decodes; decoding once to learn the frames"
                        );
                    }
                    Error::Extract(ExtractError::Interlaced) if again && !attempt.interlaced => {
                        tracing::info!("interlaced frames; starting again with a deinterlacer");
                        attempt.interlaced = true;
                        attempt.deinterlace |= request.picture.deinterlace == Deinterlace::Auto;
                        attempt.timeline = Some(timeline);
                    }
                    Error::Compress(_)
                    | Error::Extract(ExtractError::DecoderFailed(_) | ExtractError::Unsupported(_))
                        if again && shared.is_some() =>
                    {
                        tracing::info!(%error, "pictures and renditions are made one after the other");
                        attempt.apart = true;
                        attempt.timeline = Some(timeline);
                    }
                    Error::Extract(ExtractError::PlanFailed(why))
                        if again && request.strategy == Strategy::Auto =>
                    {
                        tracing::info!(why, "the plan does not hold; decoding the whole file");
                        attempt.fallback = Some(why);
                        attempt.timeline = Some(timeline);
                    }
                    Error::Extract(ExtractError::PlanFailed(why))
                        if request.strategy == Strategy::Planned =>
                    {
                        return Err(Error::NotPlannable(why));
                    }
                    error => return Err(error),
                }
            }
        }
    }
}

/// What to tell about a video that does not begin with a keyframe.
fn begins_late(video: &VideoInfo) -> Option<String> {
    let warning = "the video begins in the middle of a group of pictures: frames before its first keyframe cannot be \
                   decoded and are left out, and times count from that keyframe";
    video.first_keyframe.map(|_| warning.to_owned())
}

/// Fails where pictures would be larger than allowed, or than the picture format can hold: a sample aspect
/// ratio can make them 16 times as wide as they are stored.
fn check_picture_size(video: &VideoInfo, picture: &PictureOptions, limits: &Limits) -> Result<(), Error> {
    let display = video.display_size(picture.rotate);
    let (width, height) = picture.fit(display.0, display.1);
    if u64::from(width) * u64::from(height) > limits.pixels {
        return Err(Error::LimitExceeded(format!(
            "pictures would be {width}×{height}, the limit is {} pixels",
            limits.pixels
        )));
    }
    match picture.format.largest_side() {
        Some(most) if width.max(height) > most => Err(Error::LimitExceeded(format!(
            "pictures of {width}×{height} do not fit into {}, which ends at {most} pixels a side",
            picture.format.extension()
        ))),
        _ => Ok(()),
    }
}

/// Fails where a video of so many seconds is longer than allowed.
fn check_length(seconds: Rational, limits: &Limits) -> Result<(), Error> {
    match approximate_seconds(seconds) > limits.duration.as_secs_f64() {
        true => Err(Error::LimitExceeded(format!(
            "the video is longer than {} s",
            limits.duration.as_secs()
        ))),
        false => Ok(()),
    }
}

/// The picks, where the video is not longer than allowed.
fn choose(timeline: &Timeline, request: &Request) -> Result<Vec<Pick>, Error> {
    let limits = &request.limits;
    check_length(timeline.duration(), limits)?;
    let (selection, range) = (&request.selection, &request.range);
    check_grid(timeline, selection, range, limits.grid_per_frame)?;
    Ok(select(timeline, selection, range, limits.frames)?)
}

/// The frames of the picks, each once: picks are in order of time.
fn distinct(picks: &[Pick]) -> Vec<usize> {
    let mut frames: Vec<usize> = picks.iter().map(|pick| pick.frame).collect();
    frames.dedup();
    frames
}

/// Runs the decoder, where there is anything to decode.
async fn extract(
    extractor: &dyn FrameExtractor,
    input: &Input,
    job: ExtractRequest,
    limits: &Limits,
    pictures: mpsc::Sender<Picture>,
    cancel: &CancellationToken,
) -> Result<ExtractReport, Error> {
    if job.frames.is_empty() {
        return Ok(ExtractReport {
            decoder: extractor.version().await?,
            ..ExtractReport::default()
        });
    }
    Ok(extractor.extract(input, job, limits, pictures, cancel).await?)
}

/// Decodes, and writes what that gives, side by side.
async fn written<'a, T, F: Future<Output = Result<T, Error>>>(
    decoding: impl FnOnce(mpsc::Sender<Picture>) -> F,
    mut writer: Writer<'a>,
) -> Result<(Writer<'a>, T), (Writer<'a>, Error)> {
    let (sender, mut receiver) = mpsc::channel(1);
    let decoding = decoding(sender);
    let writing = async {
        while let Some(picture) = receiver.recv().await {
            if let Err(error) = writer.add(picture).await {
                // A closed channel ends the decode.
                receiver.close();
                return Err(error);
            }
        }
        Ok(())
    };
    let (decoded, written) = tokio::join!(decoding, writing);
    match (written, decoded) {
        (Err(error), _) | (Ok(()), Err(error)) => Err((writer, error)),
        (Ok(()), Ok(report)) => Ok((writer, report)),
    }
}
