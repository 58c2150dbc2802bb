//! Writer of pictures and their manifest.

use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::session::Session;
use super::target::{PictureTarget, PictureWriter, Selected};
use super::{Progress, Request, Summary, Work, manifest};
use crate::archive::manifest::FrameInfo;
use crate::archive::{Archive, Destination, MANIFEST_NAME, NameFields};
use crate::digest;
use crate::extract::{ExtractReport, Picture};
use crate::select::{Pick, notes};
use crate::source::Source;
use crate::units::Rational;
use crate::video::VideoInfo;

/// An archive as the target of an extraction.
pub(super) struct ArchiveTarget<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) request: &'a Request,
    pub(super) destination: &'a dyn Destination,
}

impl<'a> PictureTarget for ArchiveTarget<'a> {
    type Writer = Writer<'a>;

    fn can_restart(&self) -> bool {
        self.destination.can_restart()
    }

    fn is_immediate(&self) -> bool {
        false
    }

    async fn start(&self, _: &VideoInfo, selected: Selected) -> Result<Writer<'a>, Error> {
        Ok(Writer {
            archive: self.destination.start().await?,
            source: self.session.source.as_ref(),
            request: self.request,
            max_bytes: self.session.limits().output_bytes,
            progress: self.session.context.on_progress.as_ref(),
            frames: Vec::with_capacity(selected.picks.len()),
            selected,
            bytes: 0,
        })
    }
}

/// Writes the pictures of the picks as they arrive.
pub(super) struct Writer<'a> {
    archive: Box<dyn Archive>,
    source: &'a dyn Source,
    request: &'a Request,
    selected: Selected,
    /// Maximum size of the result in bytes.
    max_bytes: u64,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    frames: Vec<FrameInfo>,
    bytes: u64,
}

impl PictureWriter for Writer<'_> {
    fn is_untouched(&self) -> bool {
        self.bytes == 0
    }

    async fn abort(self) {
        self.archive.abort().await;
    }

    async fn add(&mut self, mut picture: Picture) -> Result<(), Error> {
        let sha256 = digest::sha256(&picture.bytes);
        let mut repeated = false;
        let picks = Arc::clone(&self.selected.picks);
        while let Some(pick) = picks.get(self.frames.len()).filter(|p| p.frame == picture.frame) {
            let info = FrameInfo {
                repeated,
                ..self.describe(pick, &picture, &sha256)
            };
            let next = picks.get(self.frames.len() + 1);
            // The last entry consumes the picture, so that a large picture is not held twice.
            let content = if next.is_some_and(|p| p.frame == picture.frame) {
                picture.bytes.clone()
            } else {
                std::mem::take(&mut picture.bytes)
            };
            self.put(&info.file, content).await?;
            self.frames.push(info);
            repeated = true;
            (self.progress)(Progress {
                frames: self.frames.len() as u64,
                total: picks.len() as u64,
                bytes: self.bytes,
                examining: false,
            });
        }
        Ok(())
    }
}

impl Writer<'_> {
    /// Returns the entry of the first pick of a frame.
    fn describe(&self, pick: &Pick, picture: &Picture, sha256: &str) -> FrameInfo {
        let index = self.frames.len();
        let size = (picture.width, picture.height);
        let info = manifest::frame(&self.selected, index, pick, size);
        let milliseconds = (self.selected.timeline.time(pick.frame) * Rational::from_integer(1000))
            .floor()
            .to_integer();
        let name = self.request.names.render(&NameFields {
            source: self.source.name(),
            index,
            frame: pick.frame,
            milliseconds,
            pts: info.pts,
        });
        FrameInfo {
            file: format!("{name}.{}", self.request.picture.format.extension()),
            bytes: picture.bytes.len() as u64,
            sha256: sha256.to_owned(),
            ..info
        }
    }

    async fn put(&mut self, name: &str, content: Bytes) -> Result<(), Error> {
        let limit = self.max_bytes;
        if self.bytes.saturating_add(content.len() as u64) > limit {
            return Err(Error::LimitExceeded(format!(
                "the result is larger than {limit} bytes"
            )));
        }
        self.bytes += self.archive.add(name, content).await?;
        Ok(())
    }

    /// Writes the manifest and completes the archive.
    pub(super) async fn finish(
        mut self,
        video: &VideoInfo,
        report: ExtractReport,
        work: Work,
    ) -> Result<Summary, Error> {
        let frames = std::mem::take(&mut self.frames);
        let timeline = &self.selected.timeline;
        let manifest = manifest::complete((self.source, video, timeline), self.request, &report, frames);
        let json = manifest::json(&manifest, MANIFEST_NAME)?;
        if let Err(error) = self.put(MANIFEST_NAME, json).await {
            self.archive.abort().await;
            return Err(error);
        }
        let request = self.request;
        let Selected { timeline, picks, .. } = &self.selected;
        let notes = notes(timeline, &request.selection, &request.range, picks);
        let bytes = self.archive.finish().await?;
        Ok(Summary {
            manifest,
            bytes,
            warnings: notes.into_iter().chain(report.warnings).collect(),
            damage: report.damage,
            work,
            renditions: Vec::new(),
        })
    }
}
