//! A preview as the target of an extraction: appends each picture to the animated picture when the picture arrives.

use std::sync::Arc;

use bytes::Bytes;

use super::request::PreviewRequest;
use crate::archive::manifest::FrameInfo;
use crate::archive::{Destination, MANIFEST_NAME, Manifest};
use crate::digest;
use crate::extract::{ExtractError, ExtractReport, Picture};
use crate::limits::{PREVIEW_BYTES, PREVIEW_FRAMES, PREVIEW_PIXELS};
use crate::pipeline::bounded::{BoundedArchive, check_bytes};
use crate::pipeline::error::Error;
use crate::pipeline::manifest;
use crate::pipeline::session::Session;
use crate::pipeline::summary::{Progress, Summary, Work};
use crate::pipeline::target::{PictureTarget, PictureWriter, Selected};
use crate::preview::{Animation, AnimationError, display_times};
use crate::select::{SelectError, notes};
use crate::source::Source;
use crate::units::{Rational, approximate_seconds};
use crate::video::VideoInfo;

/// A preview in an archive as the target of an extraction.
pub(super) struct PreviewTarget<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) request: &'a PreviewRequest,
    pub(super) destination: &'a dyn Destination,
    pub(super) progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl<'a> PictureTarget for PreviewTarget<'a> {
    type Writer = PreviewWriter<'a>;

    fn can_restart(&self) -> bool {
        self.destination.can_restart()
    }

    fn is_immediate(&self) -> bool {
        false
    }

    async fn start(&self, video: &VideoInfo, selected: Selected) -> Result<PreviewWriter<'a>, Error> {
        if selected.picks.len() as u64 > PREVIEW_FRAMES {
            return Err(SelectError::TooManyFrames {
                limit: PREVIEW_FRAMES,
            }
            .into());
        }
        if selected.picks.is_empty() {
            return Err(SelectError::NoFrames.into());
        }
        let size = self.size(video, selected.picks.len())?;
        let times = self.display_times(&selected)?;
        let (format, plays) = self.request.animation();
        let animation = Animation::new(format, size, plays).map_err(failed)?;
        Ok(PreviewWriter {
            session: self.session,
            request: self.request,
            progress: self.progress,
            archive: BoundedArchive::start(self.destination, self.session.limits().output_bytes).await?,
            video: video.clone(),
            frames: Vec::with_capacity(selected.picks.len()),
            selected,
            times,
            size,
            animation: Some(animation),
        })
    }
}

impl PreviewTarget<'_> {
    /// Returns width and height. Fails if they, or all frames together, are too large.
    fn size(&self, video: &VideoInfo, frames: usize) -> Result<(u32, u32), Error> {
        let picture = self.request.frames().picture;
        let display = video.display_size(picture.rotate);
        let (width, height) = picture.fit(display.0, display.1);
        let (format, _) = self.request.animation();
        if width.max(height) > format.max_side() {
            return Err(Error::LimitExceeded(format!(
                "frames of {width}×{height} are too large for {}, whose maximum is {} pixels per side",
                format.extension(),
                format.max_side()
            )));
        }
        let pixels = u64::from(width) * u64::from(height);
        match pixels.saturating_mul(frames as u64) > PREVIEW_PIXELS {
            true => Err(Error::LimitExceeded(format!(
                "{frames} frames of {width}×{height} exceed the limit of {PREVIEW_PIXELS} pixels in a preview"
            ))),
            false => Ok((width, height)),
        }
    }

    /// Returns the display time of each pick. Fails if a time is too long for the format.
    fn display_times(&self, selected: &Selected) -> Result<Vec<u32>, Error> {
        let targets: Vec<Rational> = selected.picks.iter().map(|pick| pick.target).collect();
        let (format, _) = self.request.animation();
        let timing = self.request.timing(selected.timeline.duration());
        display_times(format, timing, &targets).map_err(|seconds| {
            let max = f64::from(format.max_ticks()) * f64::from(format.tick()) / 1000.0;
            Error::LimitExceeded(format!(
                "a frame would be displayed for {:.2} s, the maximum of {} is {max:.2} s",
                approximate_seconds(seconds),
                format.extension(),
            ))
        })
    }
}

/// Returns the error for an animated picture that cannot be composed.
fn failed(error: AnimationError) -> Error {
    match error {
        AnimationError::TooLarge => Error::LimitExceeded(error.to_string()),
        AnimationError::InvalidFrame(_) => ExtractError::DecoderFailed(error.to_string()).into(),
    }
}

/// Writes the preview of one pass.
pub(super) struct PreviewWriter<'a> {
    session: &'a Session<'a>,
    request: &'a PreviewRequest,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    archive: BoundedArchive,
    video: VideoInfo,
    selected: Selected,
    /// Display time of each pick in ticks of the format.
    times: Vec<u32>,
    /// Width and height of the frames.
    size: (u32, u32),
    /// The animated picture, except while a frame is appended.
    animation: Option<Animation>,
    /// Entries of the frames so far, without size and checksum.
    frames: Vec<FrameInfo>,
}

impl PictureWriter for PreviewWriter<'_> {
    fn is_untouched(&self) -> bool {
        // The archive is written at the end.
        self.archive.bytes() == 0
    }

    async fn abort(self) {
        self.archive.abort().await;
    }

    async fn add(&mut self, picture: Picture) -> Result<(), Error> {
        if (picture.width, picture.height) != self.size {
            return Err(failed(AnimationError::InvalidFrame("of another size")));
        }
        let picks = Arc::clone(&self.selected.picks);
        let mut repeated = false;
        while let Some(pick) = picks
            .get(self.frames.len())
            .filter(|pick| pick.frame == picture.frame)
        {
            let index = self.frames.len();
            let ticks = self.times[index];
            self.append(picture.bytes.clone(), ticks).await?;
            let (format, _) = self.request.animation();
            self.frames.push(FrameInfo {
                file: self.file(),
                displayed_ms: Some(ticks * format.tick()),
                repeated,
                ..manifest::frame(&self.selected, index, pick, (picture.width, picture.height))
            });
            repeated = true;
            (self.progress)(Progress {
                examining: false,
                frames: self.frames.len() as u64,
                total: picks.len() as u64,
                bytes: self.animation.as_ref().map_or(0, Animation::len) as u64,
            });
        }
        Ok(())
    }
}

impl PreviewWriter<'_> {
    /// Returns the name of the preview.
    fn file(&self) -> String {
        format!("preview.{}", self.request.animation().0.extension())
    }

    /// Appends a frame to the animated picture.
    async fn append(&mut self, picture: Bytes, ticks: u32) -> Result<(), Error> {
        let lost = || ExtractError::DecoderFailed("a frame cannot be encoded".to_owned());
        let mut animation = self.animation.take().ok_or_else(lost)?;
        // A palette takes milliseconds.
        let appending = tokio::task::spawn_blocking(move || {
            let appended = animation.add(&picture, ticks);
            appended.map(|()| animation)
        });
        let animation = appending.await.map_err(|_| lost())?;
        let animation = animation.map_err(failed)?;
        // The file is composed in memory.
        let limit = self.session.limits().output_bytes.min(PREVIEW_BYTES);
        check_bytes(self.animation.insert(animation).len() as u64, limit)
    }

    /// Writes the files and completes the archive.
    pub(super) async fn finish(mut self, report: ExtractReport, mut work: Work) -> Result<Summary, Error> {
        work.bytes_read = self.session.source.bytes_read();
        match self.write(&report).await {
            Ok(manifest) => {
                let (selection, range) = self.request.given();
                let Selected { timeline, picks, .. } = &self.selected;
                let notes = notes(timeline, selection, &range, picks);
                let bytes = self.archive.finish().await?;
                Ok(Summary {
                    manifest,
                    bytes,
                    warnings: notes.into_iter().chain(report.warnings).collect(),
                    damage: report.damage,
                    work,
                    renditions: Vec::new(),
                    compositions: Vec::new(),
                })
            }
            Err(error) => {
                self.archive.abort().await;
                Err(error)
            }
        }
    }

    /// Writes the preview and its manifest.
    async fn write(&mut self, report: &ExtractReport) -> Result<Manifest, Error> {
        let mut frames = std::mem::take(&mut self.frames);
        // Without a frame there is no picture.
        if let Some(animation) = self.animation.take().filter(|_| !frames.is_empty()) {
            let content: Bytes = animation.finish().map_err(failed)?.into();
            let sha256 = digest::sha256(&content);
            for frame in &mut frames {
                frame.bytes = content.len() as u64;
                frame.sha256.clone_from(&sha256);
            }
            self.archive.add(&self.file(), content).await?;
        }
        let source = self.session.source.as_ref();
        let facts = (
            source as &dyn Source,
            &self.video,
            self.selected.timeline.as_ref(),
        );
        let mut manifest = manifest::complete(facts, &self.request.frames(), report, frames);
        let (format, plays) = self.request.animation();
        manifest.request.format = format.extension().to_owned();
        manifest.request.pixels = None;
        manifest.request.delay = self.request.constant_delay().map(|delay| delay.to_string());
        manifest.request.plays = Some(plays);
        self.archive
            .add(MANIFEST_NAME, manifest::json(&manifest, MANIFEST_NAME)?)
            .await?;
        Ok(manifest)
    }
}
