//! Results of jobs: archives and their entries, renditions and other outputs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use videoframes_core::archive::{ArchiveReader, Manifest};
use videoframes_core::jobs::{JobResult, OutputKind, OutputResult, RenditionResult, VideoJob};
use videoframes_core::source::Source;
use videoframes_core::storage::{ObjectKey, ObjectVersion, StorageError};

use super::Api;
use super::extract::{JobInPath, Params, Segments, job_id};
use super::media::{UNTRUSTED, disposition, media_type};
use super::ranges;
use crate::http::problem::Problem;
use crate::objects::Objects;

/// Validity of a presigned URL.
const PRESIGNED: Duration = Duration::from_secs(3600);
/// Maximum number of entries of an archive that is browsed: the directory of the archive is in memory.
const MAX_ENTRIES: u64 = 20_000;
/// Maximum size of a picture in bytes, which is in memory as a whole.
const MAX_PICTURE: u64 = 32 << 20;
/// Maximum size of the manifest of an output in bytes.
const MAX_MANIFEST: u64 = 16 << 20;
/// Maximum time that a request waits for space in memory.
const CONTENT_WAIT: Duration = Duration::from_secs(10);
/// Number of archives whose directories stay in memory.
const OPEN_ARCHIVES: usize = 8;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DownloadParams {
    /// Whether to stream an object of a bucket, instead of a redirect to a presigned URL.
    stream: bool,
}

/// An object of a result.
struct Object<'a> {
    key: &'a str,
    sha256: &'a str,
    /// Name for a user who saves the object.
    name: String,
    media_type: &'a str,
}

pub(crate) async fn archive(
    State(api): State<Arc<Api>>,
    JobInPath(id): JobInPath,
    Params(params): Params<DownloadParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = api.job(id).await?;
    let result = result(&job)?;
    let object = Object {
        key: &result.key,
        sha256: &result.sha256,
        name: format!("{}.zip", stem(&job)),
        media_type: media_type(&result.key),
    };
    api.download(&object, &params, &headers).await
}

pub(crate) async fn rendition(
    State(api): State<Arc<Api>>,
    Segments((id, number)): Segments<(String, usize)>,
    Params(params): Params<DownloadParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = api.job(job_id(&id)?).await?;
    let renditions = &result(&job)?.renditions;
    let found = number.checked_sub(1).and_then(|index| renditions.get(index));
    let rendition = match found {
        Some(RenditionResult::Made(rendition)) => rendition,
        Some(RenditionResult::Failed { message }) => return Err(Problem::not_found(message.clone())),
        None => {
            return Err(Problem::not_found(format!(
                "the job has {} renditions",
                renditions.len()
            )));
        }
    };
    let extension = rendition
        .key
        .rsplit_once('.')
        .map_or("mp4", |(_, extension)| extension);
    let object = Object {
        key: &rendition.key,
        sha256: &rendition.video.sha256,
        name: format!("{}-{number}.{extension}", stem(&job)),
        media_type: &rendition.video.media_type,
    };
    api.download(&object, &params, &headers).await
}

pub(crate) async fn output(
    State(api): State<Arc<Api>>,
    Segments((id, kind)): Segments<(String, String)>,
    Params(params): Params<DownloadParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = api.job(job_id(&id)?).await?;
    let output = composed(&job, &kind)?;
    let extension = output
        .key
        .rsplit_once('.')
        .map_or("bin", |(_, extension)| extension);
    let object = Object {
        key: &output.key,
        sha256: &output.sha256,
        name: format!("{}-{kind}.{extension}", stem(&job)),
        media_type: &output.media_type,
    };
    api.download(&object, &params, &headers).await
}

/// Returns another file of an output, which its manifest lists.
pub(crate) async fn file(
    State(api): State<Arc<Api>>,
    Segments((id, kind, file)): Segments<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = api.job(job_id(&id)?).await?;
    let output = composed(&job, &kind)?;
    let manifest: Manifest = {
        let _permit = api.content().await?;
        let source = api.open(&output.manifest).await?;
        let text = read(source.as_ref(), MAX_MANIFEST).await?;
        serde_json::from_slice(&text).map_err(|error| Problem::internal(&error))?
    };
    let frame = manifest.frames.iter().find(|frame| frame.file == file);
    if frame.is_none() && !manifest.files.contains(&file) {
        return Err(Problem::not_found("the output has no such file"));
    }
    let folder = output.manifest.rsplit_once('/').map_or("", |(folder, _)| folder);
    let key = format!("{folder}/{file}");
    let source = api.open(&key).await?;
    // Only frames have checksums in the manifest; other files belong to this output alone.
    let etag = frame.map_or_else(
        || format!("{}-{file}", output.sha256),
        |frame| frame.sha256.clone(),
    );
    let mut response = ranges::content(source, &etag, &headers);
    describe(&mut response, &file, media_type(&file));
    Ok(response)
}

pub(crate) async fn manifest(
    State(api): State<Arc<Api>>,
    JobInPath(id): JobInPath,
) -> Result<Json<Manifest>, Problem> {
    let job = api.job(id).await?;
    let _permit = api.content().await?;
    Ok(Json(api.reader(result(&job)?).await?.manifest().await?))
}

pub(crate) async fn frame(
    State(api): State<Arc<Api>>,
    Segments((id, file)): Segments<(String, String)>,
) -> Result<Response, Problem> {
    let job = api.job(job_id(&id)?).await?;
    let reader = api.reader(result(&job)?).await?;
    let permit = api.content().await?;
    let picture = reader.entry(&file, MAX_PICTURE).await?;
    let picture = picture.ok_or_else(|| Problem::not_found("the archive has no such file"))?;
    let mut response = ranges::whole(picture, permit);
    let name = file.rsplit('/').next().unwrap_or(&file);
    describe(&mut response, name, media_type(name));
    let cached = HeaderValue::from_static("private, max-age=3600");
    response.headers_mut().insert(header::CACHE_CONTROL, cached);
    Ok(response)
}

/// Returns the result of a completed job.
fn result(job: &VideoJob) -> Result<&JobResult, Problem> {
    job.result.as_ref().ok_or_else(|| {
        let detail = format!("the job is {} and has no result", job.status);
        Problem::new(StatusCode::CONFLICT, "no_result", detail)
    })
}

fn composed<'a>(job: &'a VideoJob, kind: &str) -> Result<&'a OutputResult, Problem> {
    let outputs = &result(job)?.outputs;
    let found = outputs.iter().find(|output| output.kind.as_str() == kind);
    found.ok_or_else(
        || match OutputKind::ALL.iter().any(|known| known.as_str() == kind) {
            true => Problem::not_found(format!("the job has no {kind}")),
            false => Problem::not_found("the kinds of outputs are storyboard, sheet and preview"),
        },
    )
}

/// Returns the name of the source without its extension.
fn stem(job: &VideoJob) -> &str {
    let key = job.source_key().unwrap_or("video");
    let name = key.rsplit('/').next().unwrap_or(key);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// Adds type and name. The content comes from others: a browser must not run it.
fn describe(response: &mut Response, name: &str, media_type: &str) {
    if response.status().is_client_error() {
        return;
    }
    let headers = response.headers_mut();
    if let Ok(media_type) = HeaderValue::from_str(media_type) {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    if let Some(disposition) = disposition(name) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    let (name, value) = UNTRUSTED;
    headers.insert(name, value);
}

/// Reads a whole object of at most `max` bytes.
async fn read(source: &dyn Source, max: u64) -> Result<Vec<u8>, Problem> {
    if source.len() > max {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "too_large",
            "the manifest is too large",
        ));
    }
    let mut content = Vec::new();
    while (content.len() as u64) < source.len() {
        let rest = usize::try_from(source.len()).unwrap_or(usize::MAX) - content.len();
        let bytes = source.read_at(content.len() as u64, rest).await;
        let bytes = bytes.map_err(|error| Problem::unavailable(error.to_string()))?;
        if bytes.is_empty() {
            return Err(Problem::unavailable("the object is truncated"));
        }
        content.extend_from_slice(&bytes);
    }
    Ok(content)
}

impl Api {
    async fn open(&self, key: &str) -> Result<Arc<dyn Source>, Problem> {
        let key = object_key(key)?;
        let opened = self.stores.results().open(&key, &ObjectVersion::CURRENT).await;
        match opened {
            Ok(opened) => Ok(opened.source),
            Err(StorageError::NotFound(_)) => {
                let detail = "the retention of the result has ended, or the object was removed";
                Err(Problem::new(StatusCode::GONE, "removed", detail))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn download(
        &self,
        object: &Object<'_>,
        params: &DownloadParams,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        if let (Objects::Bucket(bucket), false) = (&self.objects, params.stream) {
            let url = bucket.presign(&object_key(object.key)?, PRESIGNED).await?;
            return Ok(Redirect::temporary(&url).into_response());
        }
        let source = self.open(object.key).await?;
        let mut response = ranges::content(source, object.sha256, headers);
        describe(&mut response, &object.name, object.media_type);
        Ok(response)
    }

    /// Waits for space for a picture or a manifest in memory.
    async fn content(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = Arc::clone(&self.contents).acquire_owned();
        match tokio::time::timeout(CONTENT_WAIT, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::unavailable("too many pictures are being read")),
        }
    }

    /// Returns a reader of the entries of an archive.
    async fn reader(&self, result: &JobResult) -> Result<ArchiveReader, Problem> {
        if result.frames > MAX_ENTRIES {
            let detail = format!("the archive has more than {MAX_ENTRIES} pictures: download it instead");
            return Err(Problem::new(StatusCode::CONFLICT, "too_many_entries", detail));
        }
        let identity = (result.key.clone(), result.sha256.clone());
        if let Some(reader) = self.archives.find(&identity) {
            return Ok(reader);
        }
        let reader = ArchiveReader::open(self.open(&result.key).await?).await?;
        self.archives.insert(identity, reader.clone());
        Ok(reader)
    }
}

fn object_key(key: &str) -> Result<ObjectKey, Problem> {
    key.parse().map_err(|error| Problem::internal(&error))
}

/// Key and checksum of an archive.
type ArchiveIdentity = (String, String);

/// The archives that were read last.
#[derive(Debug, Default)]
pub(super) struct Archives(Mutex<VecDeque<(ArchiveIdentity, ArchiveReader)>>);

impl Archives {
    fn find(&self, identity: &ArchiveIdentity) -> Option<ArchiveReader> {
        let archives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = archives.iter().find(|(known, _)| known == identity);
        found.map(|(_, reader)| reader.clone())
    }

    fn insert(&self, identity: ArchiveIdentity, reader: ArchiveReader) {
        let mut archives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        archives.retain(|(known, _)| *known != identity);
        archives.truncate(OPEN_ARCHIVES - 1);
        archives.push_front((identity, reader));
    }
}
