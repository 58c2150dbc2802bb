//! Adopts archives of earlier attempts: a complete archive is a result.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::keys::{is_archive, latest_claim_first, result_folder};
use super::ownership;
use super::subject::Operation;
use super::verdict::{Unusable, Verdict};
use super::{outputs, renditions};
use crate::archive::{MANIFEST_NAME, Manifest};
use crate::digest::{self, ReadError};
use crate::jobs::{ErrorCode, JobResult, VideoJob};
use crate::limits::MANIFEST_BYTES;
use crate::source::Source;
use crate::storage::{ObjectInfo, ObjectKey, ObjectVersion, StorageError, Stores};

/// Number of objects per list request.
const PAGE: usize = 100;

/// Adopts the object under a key that the client chose, if this job wrote the object.
///
/// # Errors
/// Returns `OUTPUT_EXISTS` for any other object, and leaves the object unchanged.
pub(super) async fn adopt(
    stores: &Stores,
    key: &ObjectKey,
    found: &ObjectInfo,
    job: &VideoJob,
) -> Result<JobResult, Verdict> {
    if !ownership::is_tagged(found, job) {
        let message = format!("'{key}' exists and was not written by this job");
        return Err(Verdict::permanent(ErrorCode::OutputExists, message));
    }
    tracing::info!(%key, "adopting the archive of an earlier attempt");
    Ok(read(stores, key, found, job).await?)
}

/// Adopts the complete archive of the latest earlier claim of this job, if there is one.
pub(super) async fn adopt_earlier(stores: &Stores, job: &VideoJob) -> Result<Option<JobResult>, Verdict> {
    for key in archives(stores, job).await? {
        let found = match stores.results().head(&key, &ObjectVersion::CURRENT).await {
            Ok(found) => found,
            Err(StorageError::NotFound(_)) => continue,
            Err(error) => return Err(Verdict::from_results_error(&error, Operation::Read)),
        };
        // The key alone identifies the job; the metadata may contain the payload hash.
        if !ownership::may_belong_to(&found, job) {
            continue;
        }
        match read(stores, &key, &found, job).await {
            Ok(result) => {
                tracing::info!(%key, "adopting the archive of an earlier attempt");
                return Ok(Some(result));
            }
            Err(Unusable::Object(verdict)) => {
                let reason = verdict.error.message;
                tracing::warn!(%key, reason, "the archive of an earlier attempt is unusable");
            }
            Err(error @ Unusable::Store(_)) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Returns the archives in the folder of a job, the one of the latest claim first.
async fn archives(stores: &Stores, job: &VideoJob) -> Result<Vec<ObjectKey>, Verdict> {
    let folder = result_folder(job.id);
    let mut archives = Vec::new();
    let mut after: Option<ObjectKey> = None;
    loop {
        let page = stores.results().list(&folder, after.as_ref(), PAGE).await;
        let page = page.map_err(|e| Verdict::from_results_error(&e, Operation::List))?;
        let Some(last) = page.last() else {
            latest_claim_first(&mut archives, |key| key);
            return Ok(archives);
        };
        after = Some(last.key.clone());
        archives.extend(page.into_iter().map(|object| object.key).filter(is_archive));
    }
}

/// Reads a whole archive and returns its content and checksum, with the other outputs next to it.
pub(super) async fn read(
    stores: &Stores,
    key: &ObjectKey,
    found: &ObjectInfo,
    job: &VideoJob,
) -> Result<JobResult, Unusable> {
    let renditions = renditions::of_archive(stores, job, key).await?;
    let outputs = outputs::of_archive(stores, job, key).await?;
    let version = ObjectVersion::with_etag(&found.etag);
    let opened = stores.results().open(key, &version).await;
    let source = opened.map_err(Unusable::of_request)?.source;
    let written = digest::of_source(source.as_ref())
        .await
        .map_err(|error| match error {
            ReadError::Truncated => Unusable::damaged(key, error),
            ReadError::Io(error) => Unusable::of_read(key, error),
        })?;
    let manifest = manifest(key, source).await?;
    Ok(JobResult {
        bucket: stores.bucket().map(str::to_owned),
        key: key.to_string(),
        size: found.size,
        sha256: written.sha256,
        frames: manifest.frames.len() as u64,
        partial: manifest.partial || outputs.iter().any(|output| output.partial),
        renditions,
        outputs,
    })
}

/// Returns the manifest of a complete archive.
async fn manifest(key: &ObjectKey, source: Arc<dyn Source>) -> Result<Manifest, Unusable> {
    let failed: Arc<Mutex<Option<io::Error>>> = Arc::default();
    let reader = Reader {
        source,
        runtime: tokio::runtime::Handle::current(),
        offset: 0,
        failed: Arc::clone(&failed),
    };
    let read = move || {
        let mut archive = zip::ZipArchive::new(io::BufReader::new(reader))?;
        let entry = archive.by_name(MANIFEST_NAME)?;
        serde_json::from_reader(io::Read::take(entry, MANIFEST_BYTES)).map_err(io::Error::from)
    };
    let manifest = tokio::task::spawn_blocking(read).await;
    // The parsers hide errors of the store in their own errors.
    let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (manifest.map_err(io::Error::other).flatten(), failed) {
        (Ok(manifest), _) => Ok(manifest),
        (Err(_), Some(error)) => Err(Unusable::of_read(key, error)),
        (Err(error), None) => Err(Unusable::damaged(key, error)),
    }
}

/// A [`Source`] for blocking readers, on a thread that may block.
struct Reader {
    source: Arc<dyn Source>,
    runtime: tokio::runtime::Handle,
    offset: u64,
    /// The error of the source, if a read failed.
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(self.offset, buffer.len());
        let bytes = match self.runtime.block_on(read) {
            Ok(bytes) => bytes,
            Err(error) => {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return Err(io::Error::other("the store failed"));
            }
        };
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl io::Seek for Reader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let target = match to {
            io::SeekFrom::Start(offset) => Some(offset),
            io::SeekFrom::End(change) => self.source.len().checked_add_signed(change),
            io::SeekFrom::Current(change) => self.offset.checked_add_signed(change),
        };
        self.offset = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}
