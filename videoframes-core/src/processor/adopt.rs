//! Archives of earlier attempts: complete ones are results.

use std::io;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::circuit::Operation;
use super::mark;
use super::renditions::{beside, is_archive};
use super::verdict::{Suspect, Verdict};
use super::work::result_folder;
use crate::archive::{MANIFEST_NAME, Manifest, hex};
use crate::jobs::{ErrorCode, JobResult, VideoJob};
use crate::source::Source;
use crate::storage::{ObjectInfo, ObjectKey, ObjectVersion, StorageError, Stores};

/// Bytes that are read at once.
const CHUNK: usize = 4 << 20;
/// Objects that are looked at together.
const PAGE: usize = 100;
/// Largest manifest that is read.
const MANIFEST_BYTES: u64 = 1 << 30;

/// Takes over the object at a key that the client chose, if this job wrote it.
///
/// # Errors
/// `OUTPUT_EXISTS` for any other object, which is left alone.
pub(super) async fn adopt(
    stores: &Stores,
    key: &ObjectKey,
    found: &ObjectInfo,
    job: &VideoJob,
) -> Result<JobResult, Verdict> {
    if !mark::is_on(found, job) {
        let message = format!("'{key}' exists and was not written by this job");
        return Err(Verdict::permanent(ErrorCode::OutputExists, message));
    }
    tracing::info!(%key, "an earlier attempt wrote the archive; it is adopted");
    read(stores, key, found, job).await
}

/// Takes over the archive of an earlier claim of this job, if one was finished.
pub(super) async fn adopt_earlier(stores: &Stores, job: &VideoJob) -> Result<Option<JobResult>, Verdict> {
    let folder = result_folder(job.id);
    let storage = stores.results();
    let mut after: Option<ObjectKey> = None;
    loop {
        let page = storage.list(&folder, after.as_ref(), PAGE).await;
        let page = page.map_err(|e| Verdict::of_results(&e, Operation::List))?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        after = Some(last.key.clone());
        for object in page.into_iter().filter(|object| is_archive(&object.key)) {
            let found = match storage.head(&object.key, &ObjectVersion::CURRENT).await {
                Ok(found) => found,
                Err(StorageError::NotFound(_)) => continue,
                Err(error) => return Err(Verdict::of_results(&error, Operation::Read)),
            };
            // The key alone says whose it is; what was asked may have been noted beside it.
            if mark::may_be_on(&found, job)
                && let Ok(result) = read(stores, &object.key, &found, job).await
            {
                tracing::info!(key = %object.key, "an earlier attempt finished the archive; it is adopted");
                return Ok(Some(result));
            }
        }
    }
}

/// Reads a whole archive: what it holds, and its checksum. Renditions lie beside it.
async fn read(
    stores: &Stores,
    key: &ObjectKey,
    found: &ObjectInfo,
    job: &VideoJob,
) -> Result<JobResult, Verdict> {
    let renditions = beside(stores, job, key).await?;
    let unreadable = |message: String| {
        Verdict::retryable(ErrorCode::OutputUnavailable, message)
            .suspecting(Suspect::Results(Operation::Read))
    };
    let source = stores
        .results()
        .open(key, &ObjectVersion::with_etag(&found.etag))
        .await;
    let source = source
        .map_err(|e| Verdict::of_results(&e, Operation::Read))?
        .source;
    let mut digest = Sha256::new();
    let mut verifier = source.verifier();
    let mut offset = 0;
    while offset < source.len() {
        let bytes = source.read_at(offset, CHUNK).await;
        let bytes = bytes.map_err(|e| unreadable(format!("'{key}': {e}")))?;
        if bytes.is_empty() {
            return Err(unreadable(format!("'{key}' ends too early")));
        }
        digest.update(&bytes);
        if let Some(verifier) = &mut verifier {
            verifier.update(&bytes);
        }
        offset += bytes.len() as u64;
    }
    if let Some(verifier) = verifier {
        verifier
            .finish()
            .map_err(|e| unreadable(format!("'{key}': {e}")))?;
    }
    let manifest = manifest(source)
        .await
        .map_err(|e| unreadable(format!("'{key}': {e}")))?;
    Ok(JobResult {
        bucket: stores.bucket().map(str::to_owned),
        key: key.to_string(),
        size: found.size,
        sha256: hex(&digest.finalize()),
        frames: manifest.frames.len() as u64,
        partial: manifest.partial,
        renditions,
    })
}

/// The manifest of a complete archive.
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

/// A source for readers that block, on a thread that may.
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
