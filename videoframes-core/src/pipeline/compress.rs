//! The way of a compressed video: source → probe → encode → look → sink, and what to do where it would
//! not be smaller than its source.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::input::{Counted, LocalFile};
use super::probe::{Probe, Wanted, inspect};
use super::{Error, OnDamage, Scratch, begins_late, bounded, check_length};
use crate::compress::{
    CompressError, CompressOptions, CompressProgress, CompressReport, CompressRequest, Compressed,
    Compressor, Draft, Origin, VideoTarget, may_remux,
};
use crate::extract::{ExtractError, FrameExtractor};
use crate::limits::Limits;
use crate::source::Source;
use crate::units::approximate_seconds;
use crate::video::streams::note;
use crate::video::{StreamChoice, Timeline, VideoInfo};

/// Bytes of a draft that may be kept beside another.
const SMALL: u64 = 16 << 20;

/// Everything that is asked of a compression.
#[derive(Debug, Clone, Default)]
pub struct CompressJob {
    /// Which video stream; the one that a player shows where not given.
    pub stream: Option<StreamChoice>,
    /// What the compressed video is to be.
    pub options: CompressOptions,
    /// What if the source is damaged.
    pub on_damage: OnDamage,
    /// Whether it is compared with its source.
    pub measure: bool,
    /// At which cost at most.
    pub limits: Limits,
    /// Where copies and notes are kept meanwhile.
    pub scratch: Scratch,
}

/// Compresses `source` into `target`.
///
/// The result appears at its target as a whole or not at all, whatever happens, including the future
/// being dropped. It presents the frames of the source, each at its time.
///
/// # Errors
/// See [`Error`].
pub async fn compress(
    source: Arc<dyn Source>,
    job: &CompressJob,
    extractor: &dyn FrameExtractor,
    compressor: &dyn Compressor,
    target: &VideoTarget,
    progress: &(dyn Fn(CompressProgress) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Compressed, Error> {
    let source = Counted::new(source, cancel);
    let work = compress_unbounded(
        source.as_ref(),
        job,
        extractor,
        compressor,
        target,
        progress,
        cancel,
    );
    bounded(work, &job.limits, cancel).await
}

async fn compress_unbounded(
    source: &dyn Source,
    job: &CompressJob,
    extractor: &dyn FrameExtractor,
    compressor: &dyn Compressor,
    target: &VideoTarget,
    progress: &(dyn Fn(CompressProgress) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<Compressed, Error> {
    target.check().map_err(Error::Video)?;
    let beside = room_beside(source, [target]);
    let file = LocalFile::of(source, &job.scratch, cancel).with_room_beside(beside);
    let limits = &job.limits;
    let wanted = Wanted {
        stream: job.stream,
        limits,
    };
    let Probe {
        mut video,
        mut timeline,
        streams,
        ..
    } = inspect(source, &file, extractor, wanted, cancel).await?;
    let streams = note(&streams, &video, job.stream);
    file.take_room().await?;
    let path = file.path().await?;
    if video.first_keyframe.is_some() {
        // What the encoder is not given is told from what is decoded, and not from what packets promise.
        let scan = extractor.scan(&path, &video, limits, cancel).await?;
        video.first_keyframe = scan.first_keyframe;
        timeline = Some(scan.timeline);
    }
    let subject = Subject {
        source_bytes: source.len(),
        path,
        deinterlace: video.interlaced,
        video,
        timeline: timeline.map(Arc::new),
        on_damage: job.on_damage,
        extractor,
        compressor,
        limits,
        scratch: &job.scratch,
        cancel,
    };
    subject.check_length()?;
    let mut made = subject.make(&job.options, target, progress).await?;
    made.report.warnings.extend(streams);
    let ssim = match job.measure {
        true => Some(subject.similarity(&job.options, &made).await?),
        false => None,
    };
    let compressed = subject.deliver(made, target).await?;
    Ok(Compressed { ssim, ..compressed })
}

/// Bytes that drafts of a source of so many bytes may have. Other bookkeeping makes streams a little larger
/// than their source.
fn draft_bytes(source: u64) -> u64 {
    source.saturating_add(source / 16).max(SMALL)
}

/// Bytes that an encoder's notes on a source of so many bytes may have. They are kept in full for sources
/// above some 4 Mbit/s in 1080p.
fn notes_bytes(source: u64) -> u64 {
    source / 2 + SMALL
}

/// Bytes that drafts and notes take in the scratch folder.
pub(super) fn room_beside<'a>(
    source: &dyn Source,
    targets: impl IntoIterator<Item = &'a VideoTarget>,
) -> u64 {
    let room = |target: &VideoTarget| {
        let notes = notes_bytes(source.len());
        match target {
            VideoTarget::File { .. } => notes,
            // A small one may be kept beside the next.
            VideoTarget::Object { .. } => draft_bytes(source.len())
                .saturating_add(SMALL)
                .saturating_add(notes),
        }
    };
    targets.into_iter().map(room).fold(0, u64::saturating_add)
}

/// A source that videos are made of.
pub(super) struct Subject<'a> {
    pub(super) source_bytes: u64,
    pub(super) path: PathBuf,
    pub(super) video: VideoInfo,
    /// The frames that the container promises.
    pub(super) timeline: Option<Arc<Timeline>>,
    /// Whether interlaced frames are known to come.
    pub(super) deinterlace: bool,
    pub(super) on_damage: OnDamage,
    pub(super) extractor: &'a dyn FrameExtractor,
    pub(super) compressor: &'a dyn Compressor,
    pub(super) limits: &'a Limits,
    pub(super) scratch: &'a Scratch,
    pub(super) cancel: &'a CancellationToken,
}

/// What a decode of the whole source showed.
struct Seen {
    timeline: Timeline,
    damage: Option<String>,
    interlaced: bool,
}

/// A video that is ready, and not yet at its place.
pub(super) struct Made {
    draft: Draft,
    report: CompressReport,
    origin: Origin,
    bytes: u64,
    codec: String,
    deinterlaced: bool,
}

impl Subject<'_> {
    fn check_length(&self) -> Result<(), Error> {
        let promised = self.timeline.as_deref().map(Timeline::duration);
        match promised.or(self.video.duration) {
            Some(length) => check_length(length, self.limits),
            None => Ok(()),
        }
    }

    /// Makes the video that is smallest of what was asked for.
    pub(super) async fn make(
        &self,
        options: &CompressOptions,
        target: &VideoTarget,
        progress: &(dyn Fn(CompressProgress) + Send + Sync),
    ) -> Result<Made, Error> {
        // A size that the source does not have is no reason to make it worse than a quality would.
        let roomy = options
            .max_bytes
            .is_some_and(|most| self.source_bytes <= most.get());
        let first = CompressOptions {
            max_bytes: options.max_bytes.filter(|_| !roomy),
            ..*options
        };
        let made = match self.encode(&first, target, progress).await {
            Ok(made) => Some(made),
            Err(Error::Compress(CompressError::TooLarge(limit))) if limit < self.limits.output_bytes => None,
            Err(error) => return Err(error),
        };
        self.settle(made, options, target, progress).await
    }

    /// Takes what was made where it is smaller than the source, and something better elsewhere. `made` is
    /// nothing where it grew too large to be finished.
    pub(super) async fn settle(
        &self,
        mut made: Option<Made>,
        options: &CompressOptions,
        target: &VideoTarget,
        progress: &(dyn Fn(CompressProgress) + Send + Sync),
    ) -> Result<Made, Error> {
        let most = options.max_bytes.map_or(u64::MAX, NonZeroU64::get);
        match made {
            Some(made) if made.bytes < self.source_bytes && made.bytes <= most => return Ok(made),
            _ => {}
        }
        let seen = match &made {
            Some(made) => Seen {
                timeline: made.report.timeline.clone(),
                damage: made.report.damage.clone(),
                interlaced: made.deinterlaced,
            },
            None => self.look().await?,
        };
        if made.as_ref().is_some_and(|made| made.bytes > SMALL) {
            made = None;
        }
        tracing::info!("the encoded video would not be smaller than its source");
        let remuxed = match may_remux(&self.video, seen.interlaced, options) {
            Ok(()) => self.remux(options, target, seen).await,
            Err(reason) => Err(CompressError::NotHeld(reason.to_owned()).into()),
        };
        match remuxed {
            Ok(remuxed) if remuxed.bytes <= most => {
                let larger = made.as_ref().is_some_and(|made| made.bytes < remuxed.bytes);
                return Ok(made.filter(|_| larger).unwrap_or(remuxed));
            }
            Ok(_) => {}
            // Streams that can be encoded may still be none that another container takes.
            Err(
                error @ (Error::Compress(
                    CompressError::NotHeld(_) | CompressError::Differs(_) | CompressError::TooLarge(_),
                )
                | Error::Extract(ExtractError::DecoderFailed(_) | ExtractError::Damaged(_))),
            ) => {
                tracing::info!(%error, "failed to keep the source's streams; encoding to its size");
            }
            Err(error) => return Err(error),
        }
        let smaller = CompressOptions {
            max_bytes: NonZeroU64::new(self.source_bytes.min(most)),
            ..*options
        };
        match (self.encode(&smaller, target, progress).await, made) {
            (Err(Error::Compress(CompressError::SizeOutOfReach { .. })), Some(mut made))
                if made.bytes <= most =>
            {
                let larger = "it is larger than its source, which cannot be taken as it is";
                made.report.warnings.push(larger.to_owned());
                Ok(made)
            }
            (outcome, _) => outcome,
        }
    }

    async fn encode(
        &self,
        options: &CompressOptions,
        target: &VideoTarget,
        progress: &(dyn Fn(CompressProgress) + Send + Sync),
    ) -> Result<Made, Error> {
        let mut deinterlace = self.deinterlace;
        loop {
            let (request, draft, _notes) = self.request(options, target, deinterlace)?;
            let reports = watch::Sender::new(CompressProgress {
                frames: 0,
                total: request.frames(),
            });
            let mut heard = reports.subscribe();
            let encoding = self
                .compressor
                .compress(&self.path, &request, self.limits, &reports, self.cancel);
            tokio::pin!(encoding);
            let outcome = loop {
                tokio::select! {
                    outcome = &mut encoding => break outcome,
                    // The sender is here.
                    _ = heard.changed() => progress(*heard.borrow_and_update()),
                }
            };
            // The last may have come with the outcome.
            progress(*heard.borrow_and_update());
            match outcome {
                Err(CompressError::Decoder(ExtractError::Interlaced)) if !deinterlace => {
                    tracing::info!("interlaced frames; starting again with a deinterlacer");
                    deinterlace = true;
                }
                Err(error) => return Err(error.into()),
                Ok(report) => return self.made(draft, &request, report, Origin::Encoded),
            }
        }
    }

    async fn remux(
        &self,
        options: &CompressOptions,
        target: &VideoTarget,
        seen: Seen,
    ) -> Result<Made, Error> {
        let (request, draft, _notes) = self.request(options, target, self.deinterlace)?;
        let mut remuxed = self
            .compressor
            .remux(&self.path, &request, &seen.timeline, self.limits, self.cancel)
            .await?;
        remuxed.damage = seen.damage;
        self.made(draft, &request, remuxed, Origin::Remuxed)
    }

    /// A request, the draft that it writes to, and the folder of its notes.
    pub(super) fn request(
        &self,
        options: &CompressOptions,
        target: &VideoTarget,
        deinterlace: bool,
    ) -> Result<(CompressRequest, Draft, Notes), Error> {
        let notes = self.scratch.subfolder().map_err(|e| self.scratch.failed(e))?;
        let draft = match target.draft_beside() {
            Some(draft) => draft.map_err(Error::Video)?,
            None => Draft::in_scratch(self.scratch.file().map_err(|e| self.scratch.failed(e))?),
        };
        let request = CompressRequest {
            video: self.video.clone(),
            timeline: self.timeline.clone(),
            options: *options,
            deinterlace,
            output: draft.path().to_owned(),
            workspace: notes.0.path().to_owned(),
            ceiling: draft_bytes(self.source_bytes).min(self.limits.output_bytes),
            notes_ceiling: notes_bytes(self.source_bytes),
        };
        Ok((request, draft, notes))
    }

    /// What was made, unless damage forbids it.
    pub(super) fn made(
        &self,
        draft: Draft,
        request: &CompressRequest,
        report: CompressReport,
        origin: Origin,
    ) -> Result<Made, Error> {
        if let (OnDamage::Fail, Some(damage)) = (self.on_damage, &report.damage) {
            return Err(Error::Damaged(damage.clone()));
        }
        let bytes = draft.path().metadata().map_err(CompressError::Output)?.len();
        let mut report = report;
        report.warnings.extend(begins_late(&self.video));
        Ok(Made {
            draft,
            origin,
            bytes,
            codec: match origin {
                Origin::Encoded => request.options.codec.to_string(),
                Origin::Remuxed => self.video.codec.clone(),
            },
            deinterlaced: request.deinterlace,
            report,
        })
    }

    /// The frames of the source, all of which are decoded to see what is damaged.
    async fn look(&self) -> Result<Seen, Error> {
        let scan = self
            .extractor
            .scan(&self.path, &self.video, self.limits, self.cancel)
            .await?;
        Ok(Seen {
            timeline: scan.timeline,
            damage: scan.damage,
            interlaced: self.deinterlace || scan.interlaced,
        })
    }

    async fn similarity(&self, options: &CompressOptions, made: &Made) -> Result<f64, Error> {
        if made.origin == Origin::Remuxed {
            return Ok(1.0);
        }
        let request = CompressRequest {
            video: self.video.clone(),
            timeline: None,
            options: *options,
            deinterlace: made.deinterlaced,
            output: made.draft.path().to_owned(),
            workspace: PathBuf::new(),
            ceiling: u64::MAX,
            notes_ceiling: 0,
        };
        let compared = self
            .compressor
            .similarity(&self.path, &request, self.limits, self.cancel);
        Ok(compared.await?)
    }

    /// Puts it in its place.
    pub(super) async fn deliver(&self, made: Made, target: &VideoTarget) -> Result<Compressed, Error> {
        let Made {
            draft,
            report,
            origin,
            codec,
            ..
        } = made;
        let written = draft.measure().await.map_err(CompressError::Output)?;
        let compressed = Compressed {
            origin,
            codec,
            width: report.size.0,
            height: report.size.1,
            frames: report.timeline.pts().len() as u64,
            duration_s: approximate_seconds(report.timeline.duration()),
            source_bytes: self.source_bytes,
            bytes: written.size,
            sha256: written.sha256,
            ssim: None,
            encoder: report.encoder,
            warnings: report.warnings,
            damage: report.damage,
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(ExtractError::Cancelled.into()),
            finished = target.finish(draft, &compressed) => finished.map_err(Error::Video)?,
        }
        Ok(compressed)
    }
}

/// A folder for an encoder's notes, and what keeps it.
pub(super) type Notes = (tempfile::TempDir, std::fs::File);
