//! Writer of pictures and their manifest.

use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::session::Session;
use super::target::{PictureTarget, PictureWriter, Selected};
use super::{Progress, Request, Summary, Work};
use crate::archive::manifest::{FrameInfo, Generator, Manifest, RequestInfo, SCHEMA_VERSION, SourceInfo};
use crate::archive::{Archive, Destination, MANIFEST_NAME, NameFields};
use crate::digest;
use crate::extract::{ExtractReport, Picture};
use crate::select::{End, Pick, notes};
use crate::source::Source;
use crate::units::approximate_seconds;
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
            });
        }
        Ok(())
    }
}

impl Writer<'_> {
    /// Returns the entry of the first pick of a frame.
    fn describe(&self, pick: &Pick, picture: &Picture, sha256: &str) -> FrameInfo {
        let index = self.frames.len();
        let timeline = &self.selected.timeline;
        let pts = timeline.pts()[pick.frame];
        let time = timeline.time(pick.frame);
        let milliseconds = (time * crate::units::Rational::from_integer(1000))
            .floor()
            .to_integer();
        let name = self.request.names.render(&NameFields {
            source: self.source.name(),
            index,
            frame: pick.frame,
            milliseconds,
            pts,
        });
        FrameInfo {
            index,
            file: format!("{name}.{}", self.request.picture.format.extension()),
            frame: self.selected.has_frame_numbers.then_some(pick.frame as u64),
            target: pick.target.to_string(),
            pts,
            time_base: timeline.time_base().to_string(),
            timestamp_s: approximate_seconds(time),
            duration_s: approximate_seconds(timeline.frame_duration(pick.frame)),
            width: picture.width,
            height: picture.height,
            bytes: picture.bytes.len() as u64,
            sha256: sha256.to_owned(),
            repeated: false,
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
        let manifest = Manifest {
            schema_version: SCHEMA_VERSION,
            generator: Generator {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                decoder: report.decoder,
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
                duration_s: approximate_seconds(self.selected.timeline.duration()),
            },
            request: canonical(self.request),
            partial: report.damage.is_some(),
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
        quality: picture.format.is_lossy().then(|| picture.quality.get()),
        pixels: picture
            .format
            .is_uncompressed()
            .then(|| picture.pixels.to_string()),
        max_width: picture.max_width,
        max_height: picture.max_height,
        rotate: picture.rotate,
        deinterlace: picture.deinterlace.to_string(),
        tonemap: picture.tonemap.to_string(),
    }
}
