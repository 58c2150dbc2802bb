//! Compression of a video: encoding, verification, and a fallback if the result is not smaller than its source.

use std::fs::File;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::watch;

use super::checks::{begins_late, check_length};
use super::error::Error;
use super::probe::{Probe, inspect};
use super::session::Session;
use super::space::{SMALL, draft_bytes, statistics_bytes};
use super::{CompressJob, OnDamage};
use crate::compress::{
    CompressError, CompressOptions, CompressProgress, CompressReport, CompressRequest, Compressed,
    Compressor, Draft, Origin, VideoTarget, may_remux,
};
use crate::extract::{Decoded, ExtractError, Surprise};
use crate::source::Source;
use crate::units::approximate_seconds;
use crate::video::streams::note;
use crate::video::{Timeline, VideoInfo};

/// Compresses the source of a session into `target`.
pub(super) async fn compress(
    session: &Session<'_>,
    job: &CompressJob,
    target: &VideoTarget,
) -> Result<Compressed, Error> {
    let compressor = session.compressor()?;
    target.check().map_err(Error::Video)?;
    let Probe {
        mut video,
        mut timeline,
        streams,
        ..
    } = inspect(session, job.stream).await?;
    let stream_note = note(&streams, &video, job.stream);
    session.file.reserve_space().await?;
    if video.first_keyframe.is_some() {
        // The encoder receives the frames that decode, which may differ from the packets.
        let scan = session.scan(&video).await?;
        video.first_keyframe = scan.first_keyframe;
        timeline = Some(scan.timeline);
    }
    let subject = Subject {
        session,
        compressor,
        path: session.path().await?,
        deinterlace: video.interlaced,
        video,
        timeline: timeline.map(Arc::new),
        on_damage: job.on_damage,
    };
    subject.check_length()?;
    let mut made = subject.make(&job.options, target).await?;
    made.report.warnings.extend(stream_note);
    let ssim = match job.measure {
        true => Some(subject.similarity(&job.options, &made).await?),
        false => None,
    };
    let compressed = subject.deliver(made, target).await?;
    Ok(Compressed { ssim, ..compressed })
}

/// A source of compressed videos.
pub(super) struct Subject<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) compressor: &'a dyn Compressor,
    pub(super) path: PathBuf,
    pub(super) video: VideoInfo,
    /// The presented frames according to the container or to a decode.
    pub(super) timeline: Option<Arc<Timeline>>,
    /// Whether interlaced frames are known.
    pub(super) deinterlace: bool,
    pub(super) on_damage: OnDamage,
}

/// Findings of a decode of the whole source.
struct Scanned {
    timeline: Timeline,
    damage: Option<String>,
    interlaced: bool,
}

/// A request with the files that the compressor writes.
pub(super) struct Prepared {
    pub(super) request: CompressRequest,
    draft: Draft,
    /// Folder for two-pass statistics, and the file that locks the folder.
    _statistics: (TempDir, File),
}

/// A complete video that is not stored yet.
pub(super) struct Made {
    draft: Draft,
    report: CompressReport,
    origin: Origin,
    bytes: u64,
    codec: String,
    deinterlaced: bool,
}

impl Subject<'_> {
    fn source_bytes(&self) -> u64 {
        self.session.source.len()
    }

    fn check_length(&self) -> Result<(), Error> {
        let expected = self.timeline.as_deref().map(Timeline::duration);
        match expected.or(self.video.duration) {
            Some(length) => check_length(length, self.session.limits()),
            None => Ok(()),
        }
    }

    /// Makes the requested video, or a smaller one if the source is smaller.
    pub(super) async fn make(&self, options: &CompressOptions, target: &VideoTarget) -> Result<Made, Error> {
        // A maximum size above the size of the source must not reduce the quality.
        let fits = options
            .max_bytes
            .is_some_and(|max| self.source_bytes() <= max.get());
        let first = CompressOptions {
            max_bytes: options.max_bytes.filter(|_| !fits),
            ..*options
        };
        let made = match self.encode(&first, target).await {
            Ok(made) => Some(made),
            Err(Error::Compress(CompressError::TooLarge(limit)))
                if limit < self.session.limits().output_bytes =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        self.settle(made, options, target).await
    }

    /// Returns the encoded video if it is smaller than the source; otherwise remuxes the source, or encodes to the
    /// size of the source. `made` is `None` if the encoded video grew too large.
    pub(super) async fn settle(
        &self,
        mut made: Option<Made>,
        options: &CompressOptions,
        target: &VideoTarget,
    ) -> Result<Made, Error> {
        let max_bytes = options.max_bytes.map_or(u64::MAX, NonZeroU64::get);
        match made {
            Some(made) if made.bytes < self.source_bytes() && made.bytes <= max_bytes => return Ok(made),
            _ => {}
        }
        let scanned = match &made {
            Some(made) => Scanned {
                timeline: made.report.timeline.clone(),
                damage: made.report.damage.clone(),
                interlaced: made.deinterlaced,
            },
            None => self.scan().await?,
        };
        if made.as_ref().is_some_and(|made| made.bytes > SMALL) {
            made = None;
        }
        tracing::info!("the encoded video would not be smaller than its source");
        let remuxed = match may_remux(&self.video, scanned.interlaced, options) {
            Ok(()) => self.remux(options, target, scanned).await,
            Err(reason) => Err(CompressError::NotHeld(reason.to_owned()).into()),
        };
        match remuxed {
            Ok(remuxed) if remuxed.bytes <= max_bytes => {
                let larger = made.as_ref().is_some_and(|made| made.bytes < remuxed.bytes);
                return Ok(made.filter(|_| larger).unwrap_or(remuxed));
            }
            Ok(_) => {}
            // The container of the output may not support the source's streams although they can be decoded.
            Err(
                error @ (Error::Compress(
                    CompressError::NotHeld(_) | CompressError::Differs(_) | CompressError::TooLarge(_),
                )
                | Error::Extract(ExtractError::DecoderFailed(_) | ExtractError::Damaged(_))),
            ) => {
                tracing::info!(%error, "failed to copy the source's streams; encoding to the size of the source");
            }
            Err(error) => return Err(error),
        }
        let smaller = CompressOptions {
            max_bytes: NonZeroU64::new(self.source_bytes().min(max_bytes)),
            ..*options
        };
        match (self.encode(&smaller, target).await, made) {
            (Err(Error::Compress(CompressError::SizeOutOfReach { .. })), Some(mut made))
                if made.bytes <= max_bytes =>
            {
                let larger = "the compressed video is larger than its source, whose streams cannot be copied";
                made.report.warnings.push(larger.to_owned());
                Ok(made)
            }
            (outcome, _) => outcome,
        }
    }

    async fn encode(&self, options: &CompressOptions, target: &VideoTarget) -> Result<Made, Error> {
        let mut deinterlace = self.deinterlace;
        loop {
            let prepared = self.prepare(options, target, deinterlace)?;
            match self.encode_once(&prepared.request).await? {
                Decoded::Complete(report) => return self.made(prepared, report, Origin::Encoded),
                Decoded::Surprise(Surprise::Interlaced) if !deinterlace => {
                    tracing::info!("found interlaced frames; starting again with a deinterlacer");
                    deinterlace = true;
                }
                Decoded::Surprise(surprise) => return Err(Error::Inconsistent(surprise)),
            }
        }
    }

    /// Encodes once and passes on the progress.
    async fn encode_once(&self, request: &CompressRequest) -> Result<Decoded<CompressReport>, CompressError> {
        let reports = watch::Sender::new(CompressProgress {
            frames: 0,
            total: request.frames(),
        });
        let mut updates = reports.subscribe();
        let encoding = self
            .compressor
            .compress(&self.path, request, &reports, self.session.cancel());
        let progress = &self.session.context.on_compress_progress;
        tokio::pin!(encoding);
        let outcome = loop {
            tokio::select! {
                outcome = &mut encoding => break outcome,
                // The sender is still in scope, so `changed` cannot fail.
                _ = updates.changed() => progress(*updates.borrow_and_update()),
            }
        };
        // The last update may have arrived together with the outcome.
        progress(*updates.borrow_and_update());
        outcome
    }

    async fn remux(
        &self,
        options: &CompressOptions,
        target: &VideoTarget,
        scanned: Scanned,
    ) -> Result<Made, Error> {
        let prepared = self.prepare(options, target, self.deinterlace)?;
        let mut remuxed = self
            .compressor
            .remux(
                &self.path,
                &prepared.request,
                &scanned.timeline,
                self.session.cancel(),
            )
            .await?;
        remuxed.damage = scanned.damage;
        self.made(prepared, remuxed, Origin::Remuxed)
    }

    /// Returns a request with its files.
    pub(super) fn prepare(
        &self,
        options: &CompressOptions,
        target: &VideoTarget,
        deinterlace: bool,
    ) -> Result<Prepared, Error> {
        let (statistics, lock) = self
            .session
            .context
            .scratch
            .subfolder()
            .map_err(|e| self.session.context.scratch.failed(e))?;
        let draft = match target.draft_at_destination() {
            Some(draft) => draft.map_err(Error::Video)?,
            None => Draft::in_scratch(
                self.session
                    .context
                    .scratch
                    .file()
                    .map_err(|e| self.session.context.scratch.failed(e))?,
            ),
        };
        let request = CompressRequest {
            video: self.video.clone(),
            timeline: self.timeline.clone(),
            options: *options,
            deinterlace,
            output: draft.path().to_owned(),
            workspace: statistics.path().to_owned(),
            ceiling: draft_bytes(self.source_bytes()).min(self.session.limits().output_bytes),
            statistics_ceiling: statistics_bytes(self.source_bytes()),
            limits: *self.session.limits(),
        };
        Ok(Prepared {
            request,
            draft,
            _statistics: (statistics, lock),
        })
    }

    /// Returns the video. Fails if the source is damaged and no partial result was requested.
    pub(super) fn made(
        &self,
        prepared: Prepared,
        mut report: CompressReport,
        origin: Origin,
    ) -> Result<Made, Error> {
        let Prepared { request, draft, .. } = prepared;
        if let (OnDamage::Fail, Some(damage)) = (self.on_damage, &report.damage) {
            return Err(Error::Damaged(damage.clone()));
        }
        let bytes = draft.path().metadata().map_err(CompressError::Output)?.len();
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

    /// Decodes the whole source to find its frames and its damage.
    async fn scan(&self) -> Result<Scanned, Error> {
        let scan = self.session.scan(&self.video).await?;
        Ok(Scanned {
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
            statistics_ceiling: 0,
            limits: *self.session.limits(),
        };
        let compared = self
            .compressor
            .similarity(&self.path, &request, self.session.cancel());
        Ok(compared.await?)
    }

    /// Stores the video.
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
            source_bytes: self.source_bytes(),
            bytes: written.size,
            sha256: written.sha256,
            ssim: None,
            encoder: report.encoder,
            warnings: report.warnings,
            damage: report.damage,
        };
        tokio::select! {
            biased;
            () = self.session.cancel().cancelled() => return Err(ExtractError::Cancelled.into()),
            finished = target.finish(draft, &compressed) => finished.map_err(Error::Video)?,
        }
        Ok(compressed)
    }
}
