//! Writer of pictures and their manifest.

use std::sync::Arc;

use super::bounded::BoundedArchive;
use super::error::Error;
use super::session::Session;
use super::target::{PictureTarget, PictureWriter, Selected};
use super::{Progress, Request, Summary, Work, manifest};
use crate::archive::manifest::FrameInfo;
use crate::archive::{
    Destination, Layout, METADATA_NAME, Manifest, ManifestFormat, NameFields, rows, sample_key,
};
use crate::digest;
use crate::extract::{EmbeddedMetadata, ExtractError, ExtractReport, Picture, PictureFormat};
use crate::metadata::{FrameMetadata, embed};
use crate::select::{Pick, notes};
use crate::source::Source;
use crate::units::Rational;
use crate::video::{Recording, VideoInfo};

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

    async fn start(&self, video: &VideoInfo, selected: Selected) -> Result<Writer<'a>, Error> {
        Ok(Writer {
            archive: BoundedArchive::start(self.destination, self.session.limits().output_bytes).await?,
            source: self.session.source.as_ref(),
            recording: video.recording.clone(),
            request: self.request,
            progress: self.session.context.on_progress.as_ref(),
            frames: Vec::with_capacity(selected.picks.len()),
            selected,
        })
    }
}

/// Writes the pictures of the picks as they arrive.
pub(super) struct Writer<'a> {
    archive: BoundedArchive,
    source: &'a dyn Source,
    recording: Recording,
    request: &'a Request,
    selected: Selected,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
    frames: Vec<FrameInfo>,
}

impl PictureWriter for Writer<'_> {
    fn is_untouched(&self) -> bool {
        self.archive.bytes() == 0
    }

    async fn abort(self) {
        self.archive.abort().await;
    }

    async fn add(&mut self, mut picture: Picture) -> Result<(), Error> {
        self.embed_metadata(&mut picture)?;
        let sha256 = digest::sha256(&picture.bytes);
        let mut repeated = false;
        let picks = Arc::clone(&self.selected.picks);
        while let Some(pick) = picks.get(self.frames.len()).filter(|p| p.frame == picture.frame) {
            let mut info = FrameInfo {
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
            self.archive.add(&info.file, content).await?;
            if self.request.layout == Layout::WebDataset {
                self.put_sample(&info).await?;
            }
            info.shard = self.archive.shard().map(str::to_owned);
            self.frames.push(info);
            repeated = true;
            (self.progress)(Progress {
                frames: self.frames.len() as u64,
                total: picks.len() as u64,
                bytes: self.archive.bytes(),
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
        let name = match self.request.layout {
            Layout::WebDataset => sample_key(&name),
            _ => name,
        };
        FrameInfo {
            file: format!("{name}.{}", self.request.picture.format.extension()),
            bytes: picture.bytes.len() as u64,
            sha256: sha256.to_owned(),
            ..info
        }
    }

    /// Embeds the requested metadata in a picture.
    fn embed_metadata(&self, picture: &mut Picture) -> Result<(), Error> {
        let options = &self.request.picture;
        if options.metadata == EmbeddedMetadata::None {
            return Ok(());
        }
        let (timeline, frame) = (&self.selected.timeline, picture.frame);
        let time_base = timeline.time_base();
        let duration = time_base.whole_ticks(timeline.frame_duration(frame));
        let metadata = FrameMetadata {
            source: self.source.name(),
            recording: &self.recording,
            location: options.metadata == EmbeddedMetadata::Gps,
            frame: self.selected.has_frame_numbers.then_some(frame as u64),
            ticks: timeline.pts()[frame].abs_diff(timeline.pts()[0]),
            duration: duration.and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(0),
            time_base,
            jpeg: (options.format == PictureFormat::Jpg).then_some((picture.width, picture.height)),
        };
        let bytes = std::mem::take(&mut picture.bytes);
        picture.bytes = embed(bytes, options.format, &metadata).map_err(|error| {
            ExtractError::DecoderFailed(format!("failed to embed metadata in frame {frame}: {error}"))
        })?;
        Ok(())
    }

    /// Writes the metadata of a picture next to the picture.
    async fn put_sample(&mut self, info: &FrameInfo) -> Result<(), Error> {
        let key = info
            .file
            .rsplit_once('.')
            .map_or(info.file.as_str(), |(key, _)| key);
        let name = format!("{key}.json");
        let json = rows::sample(info, self.source.name()).map_err(|e| manifest::failed(&name, e))?;
        self.archive.add(&name, json.into()).await
    }

    /// Writes the metadata of all pictures, and lists its additional files in the manifest.
    async fn put_metadata(&mut self, manifest: &mut Manifest) -> Result<(), Error> {
        let mut shards: Vec<String> = manifest
            .frames
            .iter()
            .filter_map(|frame| frame.shard.clone())
            .collect();
        shards.dedup();
        manifest.files = shards;
        if self.request.layout == Layout::ImageFolder {
            let lines = rows::image_folder(&manifest.frames);
            let lines = lines.map_err(|e| manifest::failed(METADATA_NAME, e))?;
            self.archive.add(METADATA_NAME, lines.into()).await?;
            manifest.files.push(METADATA_NAME.to_owned());
        }
        for format in self.request.manifest_formats() {
            let name = format.file_name();
            let content = match format {
                ManifestFormat::JsonLines => rows::lines(&manifest.frames)
                    .map_err(|e| manifest::failed(name, e))?
                    .into(),
                ManifestFormat::Csv => rows::csv(&manifest.frames).into(),
                ManifestFormat::Json => manifest::json(manifest, name)?,
            };
            self.archive.add(name, content).await?;
            if format != ManifestFormat::Json {
                manifest.files.push(name.to_owned());
            }
        }
        Ok(())
    }

    /// Writes the metadata and completes the archive.
    pub(super) async fn finish(
        mut self,
        video: &VideoInfo,
        report: ExtractReport,
        work: Work,
    ) -> Result<Summary, Error> {
        let frames = std::mem::take(&mut self.frames);
        let timeline = &self.selected.timeline;
        let facts = (self.source, video, timeline.as_ref());
        let mut manifest = manifest::complete(facts, self.request, &report, frames);
        if let Err(error) = self.put_metadata(&mut manifest).await {
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
            compositions: Vec::new(),
        })
    }
}
