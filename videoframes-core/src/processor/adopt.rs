//! Adopts archives of earlier attempts: a complete archive is a result.

use std::io;
use std::sync::Arc;

use super::keys::result_folder;
use super::ownership;
use super::renditions::{is_archive, of_archive};
use super::subject::Operation;
use super::verdict::{Suspect, Verdict};
use crate::archive::{MANIFEST_NAME, Manifest};
use crate::digest::{self, ReadError};
use crate::jobs::{ErrorCode, JobResult, VideoJob};
use crate::source::Source;
use crate::storage::{ObjectInfo, ObjectKey, ObjectVersion, StorageError, Stores};

/// Number of objects per list request.
const PAGE: usize = 100;
/// Maximum size of a manifest in bytes.
const MANIFEST_BYTES: u64 = 1 << 30;

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
    read(stores, key, found, job).await
}

/// Adopts the archive of an earlier claim of this job, if there is a complete one.
pub(super) async fn adopt_earlier(stores: &Stores, job: &VideoJob) -> Result<Option<JobResult>, Verdict> {
    let folder = result_folder(job.id);
    let storage = stores.results();
    let mut after: Option<ObjectKey> = None;
    loop {
        let page = storage.list(&folder, after.as_ref(), PAGE).await;
        let page = page.map_err(|e| Verdict::from_results_error(&e, Operation::List))?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        after = Some(last.key.clone());
        for object in page.into_iter().filter(|object| is_archive(&object.key)) {
            let found = match storage.head(&object.key, &ObjectVersion::CURRENT).await {
                Ok(found) => found,
                Err(StorageError::NotFound(_)) => continue,
                Err(error) => return Err(Verdict::from_results_error(&error, Operation::Read)),
            };
            // The key alone identifies the job; the metadata may contain the payload hash.
            if ownership::may_belong_to(&found, job)
                && let Ok(result) = read(stores, &object.key, &found, job).await
            {
                tracing::info!(key = %object.key, "adopting the archive of an earlier attempt");
                return Ok(Some(result));
            }
        }
    }
}

/// Reads a whole archive and returns its content and checksum, with the renditions next to it.
pub(super) async fn read(
    stores: &Stores,
    key: &ObjectKey,
    found: &ObjectInfo,
    job: &VideoJob,
) -> Result<JobResult, Verdict> {
    let renditions = of_archive(stores, job, key).await?;
    let unreadable = |message: String| {
        Verdict::retryable(ErrorCode::OutputUnavailable, message)
            .suspecting(Suspect::Results(Operation::Read))
    };
    let source = stores
        .results()
        .open(key, &ObjectVersion::with_etag(&found.etag))
        .await;
    let source = source
        .map_err(|e| Verdict::from_results_error(&e, Operation::Read))?
        .source;
    let written = digest::of_source(source.as_ref())
        .await
        .map_err(|error| match error {
            ReadError::Truncated => unreadable(format!("'{key}' is truncated")),
            ReadError::Io(error) => unreadable(format!("'{key}': {error}")),
        })?;
    let manifest = manifest(source)
        .await
        .map_err(|e| unreadable(format!("'{key}': {e}")))?;
    Ok(JobResult {
        bucket: stores.bucket().map(str::to_owned),
        key: key.to_string(),
        size: found.size,
        sha256: written.sha256,
        frames: manifest.frames.len() as u64,
        partial: manifest.partial,
        renditions,
    })
}

/// Returns the manifest of a complete archive.
async fn manifest(source: Arc<dyn Source>) -> io::Result<Manifest> {
    let runtime = tokio::runtime::Handle::current();
    let read = move || {
        let reader = Reader {
            source,
            runtime,
            offset: 0,
        };
        let mut archive = zip::ZipArchive::new(io::BufReader::new(reader))?;
        let entry = archive.by_name(MANIFEST_NAME)?;
        serde_json::from_reader(io::Read::take(entry, MANIFEST_BYTES)).map_err(io::Error::from)
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(io::Error::other)?
}

/// A [`Source`] for blocking readers, on a thread that may block.
struct Reader {
    source: Arc<dyn Source>,
    runtime: tokio::runtime::Handle,
    offset: u64,
}

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self
            .runtime
            .block_on(self.source.read_at(self.offset, buffer.len()))?;
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
