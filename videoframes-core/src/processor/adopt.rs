//! Adopts archives of earlier attempts: a complete archive is a result.

use std::sync::Arc;

use super::keys::{is_archive, latest_claim_first, result_folder};
use super::ownership;
use super::subject::Operation;
use super::verdict::{Unusable, Verdict};
use super::{outputs, renditions};
use crate::archive::{ArchiveReader, Manifest, ReadArchiveError};
use crate::digest::{self, ReadError};
use crate::jobs::{ErrorCode, JobResult, VideoJob};
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
    let manifest = async { ArchiveReader::open(source).await?.manifest().await };
    manifest.await.map_err(|error| match error {
        ReadArchiveError::Source(error) => Unusable::of_read(key, error),
        ReadArchiveError::Damaged(error) => Unusable::damaged(key, error),
    })
}
