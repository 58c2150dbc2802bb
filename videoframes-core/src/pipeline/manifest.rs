//! Manifests of results. Pure.

use bytes::Bytes;
use serde::Serialize;

use super::error::Error;
use super::request::Request;
use super::target::Selected;
use crate::archive::manifest::{FrameInfo, Generator, Manifest, RequestInfo, SCHEMA_VERSION, SourceInfo};
use crate::extract::{EmbeddedMetadata, ExtractReport};
use crate::select::{End, Pick};
use crate::source::Source;
use crate::storage::StorageError;
use crate::units::approximate_seconds;
use crate::video::{Timeline, VideoInfo};

/// Returns the entry of a pick, without its file.
pub(super) fn frame(
    selected: &Selected,
    index: usize,
    pick: &Pick,
    (width, height): (u32, u32),
) -> FrameInfo {
    let timeline = &selected.timeline;
    FrameInfo {
        index,
        file: String::new(),
        shard: None,
        frame: selected.has_frame_numbers.then_some(pick.frame as u64),
        target: pick.target.to_string(),
        pts: timeline.pts()[pick.frame],
        time_base: timeline.time_base().to_string(),
        timestamp_s: approximate_seconds(timeline.time(pick.frame)),
        duration_s: approximate_seconds(timeline.frame_duration(pick.frame)),
        x: None,
        y: None,
        displayed_ms: None,
        width,
        height,
        bytes: 0,
        sha256: String::new(),
        repeated: false,
        picked: selected
            .reasons
            .as_ref()
            .and_then(|reasons| reasons.get(index).cloned()),
    }
}

/// Returns the manifest of a complete result.
pub(super) fn complete(
    (source, video, timeline): (&dyn Source, &VideoInfo, &Timeline),
    request: &Request,
    report: &ExtractReport,
    frames: Vec<FrameInfo>,
) -> Manifest {
    Manifest {
        schema_version: SCHEMA_VERSION,
        generator: Generator {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            decoder: report.decoder.clone(),
        },
        source: SourceInfo {
            name: source.name().to_owned(),
            size: source.len(),
            container: video.container.clone(),
            codec: video.codec.clone(),
            width: video.width,
            height: video.height,
            rotation: video.orientation.degrees(),
            frame_rate: video.frame_rate.map(|r| r.to_string()),
            duration_s: approximate_seconds(timeline.duration()),
        },
        request: canonical(request),
        partial: report.damage.is_some(),
        frames,
        files: Vec::new(),
    }
}

/// Returns a JSON document as the content of the file `name`.
pub(super) fn json(document: &impl Serialize, name: &str) -> Result<Bytes, Error> {
    let mut json = serde_json::to_vec_pretty(document).map_err(|e| failed(name, e))?;
    json.push(b'\n');
    Ok(json.into())
}

/// Returns the error for a file `name` that cannot be serialized.
pub(super) fn failed(name: &str, error: serde_json::Error) -> Error {
    Error::Archive(StorageError::from_io("write", name, error.into()).into())
}

fn canonical(request: &Request) -> RequestInfo {
    let picture = &request.picture;
    RequestInfo {
        selection: request.selection.to_string(),
        filters: request.filters.canonical(),
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
        crop: picture.crop.map(|crop| crop.to_string()),
        max_width: picture.max_width,
        max_height: picture.max_height,
        rotate: picture.rotate,
        deinterlace: picture.deinterlace.to_string(),
        tonemap: picture.tonemap.to_string(),
        metadata: Some(picture.metadata)
            .filter(|&metadata| metadata != EmbeddedMetadata::None && picture.format.holds_metadata())
            .map(|metadata| metadata.to_string()),
        burn_in: picture
            .burn_in
            .filter(|_| !picture.format.is_uncompressed())
            .map(|burn_in| burn_in.to_string()),
        columns: None,
        rows: None,
        delay: None,
        plays: None,
    }
}
