//! The whole way: source → probe → select → extract → archive.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::archive::manifest::{FrameInfo, Generator, Manifest, RequestInfo, SCHEMA_VERSION, SourceInfo};
use crate::archive::{Archive, ArchiveError, Destination, MANIFEST_NAME, NameTemplate};
use crate::extract::{
    Deinterlace, ExtractError, ExtractReport, ExtractRequest, FrameExtractor, Picture, PictureFormat,
    PictureOptions, Probe,
};
use crate::limits::Limits;
use crate::select::{End, Pick, Range, SelectError, Selection, select};
use crate::source::Source;
use crate::units::approximate_seconds;
use crate::video::{Timeline, VideoInfo};

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
}

impl Default for Request {
    /// One frame a second, as JPEG.
    fn default() -> Self {
        let rate = crate::units::FrameRate::new(1.into());
        Self {
            // Unwrap safety: 1 is positive.
            #[allow(clippy::unwrap_used)]
            selection: Selection::Fps(rate.unwrap()),
            range: Range::default(),
            picture: PictureOptions::default(),
            names: NameTemplate::default(),
            on_damage: OnDamage::default(),
            limits: Limits::default(),
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
}

/// Why there is no result. Nothing was left behind.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source cannot be read.
    #[error("cannot read the source")]
    Source(#[source] io::Error),
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
    /// The source is damaged and partial results were not asked for.
    #[error("the video is damaged: {0}")]
    Damaged(String),
    /// A limit of [`Limits`] was reached.
    #[error("{0}")]
    LimitExceeded(String),
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
    let limit = request.limits.wall_time;
    tokio::time::timeout(
        limit,
        run_unbounded(source, request, extractor, destination, progress, cancel),
    )
    .await
    .unwrap_or_else(|_| {
        Err(Error::LimitExceeded(format!(
            "it took longer than {} s",
            limit.as_secs()
        )))
    })
}

async fn run_unbounded(
    source: Arc<dyn Source>,
    request: &Request,
    extractor: &dyn FrameExtractor,
    destination: &dyn Destination,
    progress: &(dyn Fn(Progress) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Summary, Error> {
    if source.is_empty() {
        return Err(Error::Empty);
    }
    if source.len() > request.limits.input_bytes {
        let text = format!(
            "the source has {} bytes, the limit is {}",
            source.len(),
            request.limits.input_bytes
        );
        return Err(Error::LimitExceeded(text));
    }
    destination.check()?;
    let input = LocalInput::of(source.as_ref()).await.map_err(Error::Source)?;
    let limits = &request.limits;
    let Probe { video, timeline } = extractor.probe(&input.path, limits, cancel).await?;
    let decoder = extractor.version().await?;
    let mut attempt = Attempt {
        timeline,
        deinterlace: match request.picture.deinterlace {
            Deinterlace::Auto => video.interlaced,
            Deinterlace::On => true,
            Deinterlace::Off => false,
        },
        damage: None,
        scanned: false,
    };
    // What a packet promises is checked frame by frame; where a failed check could not be taken
    // back, only containers whose packets are their frames are taken at their word.
    if !destination.can_restart() && !packets_are_frames(&video) {
        attempt.timeline = None;
    }
    loop {
        let timeline = match attempt.timeline.take() {
            Some(timeline) => timeline,
            None => {
                let scan = extractor.scan(&input.path, &video, limits, cancel).await?;
                attempt.scanned = true;
                attempt.deinterlace |= request.picture.deinterlace == Deinterlace::Auto && scan.interlaced;
                attempt.damage = attempt.damage.or(scan.damage);
                scan.timeline
            }
        };
        if approximate_seconds(timeline.duration()) > limits.duration.as_secs_f64() {
            let text = format!("the video is longer than {} s", limits.duration.as_secs());
            return Err(Error::LimitExceeded(text));
        }
        let picks = select(&timeline, &request.selection, &request.range, limits.frames)?;
        if let (OnDamage::Fail, Some(damage)) = (request.on_damage, &attempt.damage) {
            return Err(Error::Damaged(damage.clone()));
        }
        let job = ExtractRequest {
            video: video.clone(),
            frames: distinct(&picks),
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
        match extract(extractor, &input.path, job, writer, cancel).await {
            Ok((writer, report)) => {
                let damage = attempt.damage.or(report.damage);
                if let (OnDamage::Fail, Some(damage)) = (request.on_damage, &damage) {
                    writer.archive.abort().await;
                    return Err(Error::Damaged(damage.clone()));
                }
                return writer.finish(&video, decoder, report.warnings, damage).await;
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
                    Error::Extract(ExtractError::Interlaced) if again && !attempt.deinterlace => {
                        tracing::info!("interlaced frames; starting again with a deinterlacer");
                        attempt.deinterlace = true;
                        attempt.timeline = Some(timeline);
                    }
                    error => return Err(error),
                }
            }
        }
    }
}

/// What is known and decided before a decode.
struct Attempt {
    timeline: Option<Timeline>,
    deinterlace: bool,
    damage: Option<String>,
    scanned: bool,
}

fn packets_are_frames(video: &VideoInfo) -> bool {
    let container = video.container.as_str();
    (container.starts_with("mov,") || container.starts_with("matroska")) && video.codec != "vp8"
}

/// The frames of the picks, each once: picks are in order of time.
fn distinct(picks: &[Pick]) -> Vec<usize> {
    let mut frames: Vec<usize> = picks.iter().map(|pick| pick.frame).collect();
    frames.dedup();
    frames
}

/// Runs the decoder and writes what it gives, side by side.
async fn extract<'a>(
    extractor: &dyn FrameExtractor,
    input: &std::path::Path,
    job: ExtractRequest,
    mut writer: Writer<'a>,
    cancel: &CancellationToken,
) -> Result<(Writer<'a>, ExtractReport), (Writer<'a>, Error)> {
    if job.frames.is_empty() {
        return Ok((writer, ExtractReport::default()));
    }
    let limits = writer.request.limits;
    let (sender, mut receiver) = mpsc::channel(1);
    let decoding = extractor.extract(input, job, &limits, sender, cancel);
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
        (Err(error), _) => Err((writer, error)),
        (Ok(()), Err(error)) => Err((writer, error.into())),
        (Ok(()), Ok(report)) => Ok((writer, report)),
    }
}

struct Writer<'a> {
    archive: Box<dyn Archive>,
    source: &'a dyn Source,
    request: &'a Request,
    timeline: &'a Timeline,
    picks: &'a [Pick],
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    frames: Vec<FrameInfo>,
    bytes: u64,
}

impl Writer<'_> {
    /// Writes a picture once for every pick of its frame.
    async fn add(&mut self, picture: Picture) -> Result<(), Error> {
        let sha256 = hex(&Sha256::digest(&picture.bytes));
        let mut repeated = false;
        while let Some(pick) = self
            .picks
            .get(self.frames.len())
            .filter(|p| p.frame == picture.frame)
        {
            let info = self.describe(pick, &picture, &sha256, repeated);
            self.put(&info.file, picture.bytes.clone()).await?;
            self.frames.push(info);
            repeated = true;
            (self.progress)(Progress {
                frames: self.frames.len() as u64,
                total: self.picks.len() as u64,
                bytes: self.bytes,
            });
        }
        Ok(())
    }

    fn describe(&self, pick: &Pick, picture: &Picture, sha256: &str, repeated: bool) -> FrameInfo {
        let index = self.frames.len();
        let pts = self.timeline.pts()[pick.frame];
        let time = self.timeline.time(pick.frame);
        let milliseconds = (time * crate::units::Rational::from_integer(1000))
            .floor()
            .to_integer();
        let name = self
            .request
            .names
            .render(self.source.name(), index, milliseconds, pts);
        FrameInfo {
            index,
            file: format!("{name}.{}", self.request.picture.format.extension()),
            target: pick.target.to_string(),
            pts,
            time_base: self.timeline.time_base().to_string(),
            timestamp_s: approximate_seconds(time),
            duration_s: approximate_seconds(self.timeline.frame_duration(pick.frame)),
            width: picture.width,
            height: picture.height,
            bytes: picture.bytes.len() as u64,
            sha256: sha256.to_owned(),
            repeated,
        }
    }

    async fn put(&mut self, name: &str, content: Bytes) -> Result<(), Error> {
        let limit = self.request.limits.output_bytes;
        if self.bytes.saturating_add(content.len() as u64) > limit {
            return Err(Error::LimitExceeded(format!(
                "the result is larger than {limit} bytes"
            )));
        }
        self.bytes += self.archive.add(name, content).await?;
        Ok(())
    }

    async fn finish(
        mut self,
        video: &VideoInfo,
        decoder: String,
        warnings: Vec<String>,
        damage: Option<String>,
    ) -> Result<Summary, Error> {
        let manifest = Manifest {
            schema_version: SCHEMA_VERSION,
            generator: Generator {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                decoder,
            },
            source: SourceInfo {
                name: self.source.name().to_owned(),
                size: self.source.len(),
                container: video.container.clone(),
                codec: video.codec.clone(),
                width: video.width,
                height: video.height,
                rotation: video.orientation.degrees(),
                frame_rate: video.frame_rate.map(|r| r.to_string()),
                duration_s: approximate_seconds(self.timeline.duration()),
            },
            request: canonical(self.request),
            partial: damage.is_some(),
            frames: std::mem::take(&mut self.frames),
        };
        let mut json = serde_json::to_vec_pretty(&manifest).map_err(|e| {
            Error::Archive(crate::storage::StorageError::from_io("write", MANIFEST_NAME, e.into()).into())
        })?;
        json.push(b'\n');
        if let Err(error) = self.put(MANIFEST_NAME, json.into()).await {
            self.archive.abort().await;
            return Err(error);
        }
        let bytes = self.archive.finish().await?;
        Ok(Summary {
            manifest,
            bytes,
            warnings,
            damage,
        })
    }
}

fn canonical(request: &Request) -> RequestInfo {
    let picture = &request.picture;
    RequestInfo {
        selection: request.selection.to_string(),
        start: request.range.start.map(|p| p.to_string()),
        end: request.range.end.map(|end| match end {
            End::At(position) => position.to_string(),
            End::After(length) => format!("+{length}"),
        }),
        format: picture.format.extension().to_owned(),
        quality: (picture.format != PictureFormat::Png).then(|| picture.quality.get()),
        max_width: picture.max_width,
        max_height: picture.max_height,
        rotate: picture.rotate,
        deinterlace: picture.deinterlace.to_string(),
        tonemap: picture.tonemap.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The source as a file that a decoder process can open.
struct LocalInput {
    path: PathBuf,
    _copy: Option<NamedTempFile>,
}

impl LocalInput {
    /// Bytes per read of a source that has to be copied.
    const CHUNK: usize = 4 << 20;

    async fn of(source: &dyn Source) -> io::Result<Self> {
        if let Some(path) = source.local_path() {
            return Ok(Self {
                path: path.to_owned(),
                _copy: None,
            });
        }
        let mut copy = NamedTempFile::with_prefix("vf-source-")?;
        let mut offset = 0;
        while offset < source.len() {
            let bytes = source.read_at(offset, Self::CHUNK).await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += bytes.len() as u64;
            copy =
                tokio::task::spawn_blocking(move || io::Write::write_all(&mut copy, &bytes).map(|()| copy))
                    .await
                    .map_err(io::Error::other)??;
        }
        Ok(Self {
            path: copy.path().to_owned(),
            _copy: Some(copy),
        })
    }
}

/// Reads what a video is and which frames it has, for people who only want to know.
///
/// # Errors
/// As [`run`] up to the probe.
pub async fn probe(
    source: Arc<dyn Source>,
    extractor: &dyn FrameExtractor,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<Probe, Error> {
    if source.is_empty() {
        return Err(Error::Empty);
    }
    let input = LocalInput::of(source.as_ref()).await.map_err(Error::Source)?;
    let mut probe = extractor.probe(&input.path, limits, cancel).await?;
    if probe.timeline.is_none() {
        let scan = extractor.scan(&input.path, &probe.video, limits, cancel).await?;
        probe.video.interlaced |= scan.interlaced;
        probe.timeline = Some(scan.timeline);
    }
    Ok(probe)
}
