//! What a job that came to nothing has left at keys that its client chose. What lies at keys of its own is
//! swept.

use super::Parts;
use super::mark;
use super::renditions;
use super::work::object_key;
use crate::error::chain;
use crate::jobs::{JobOptions, JobStatus, VideoJob};
use crate::storage::{ObjectKey, ObjectVersion, StorageError};

/// Removes it: the client may want the place for another job.
pub(super) async fn remove(parts: &Parts, job: &VideoJob) {
    for key in keys(job) {
        if let Err(error) = remove_one(parts, job, &key).await {
            tracing::warn!(error, %key, "what a job without a result left cannot be removed");
        }
    }
}

async fn remove_one(parts: &Parts, job: &VideoJob, key: &ObjectKey) -> Result<(), String> {
    let results = parts.stores.results();
    match results.head(key, &ObjectVersion::CURRENT).await {
        Ok(found) if mark::is_on(&found, job) => {}
        Ok(_) | Err(StorageError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(chain(&error)),
    }
    // Someone may have had the job tried again, and then this is its result.
    let now = parts.repo.get(job.id).await.map_err(|error| chain(&error))?;
    let is_over = |now: VideoJob| {
        matches!(now.status, JobStatus::Failed | JobStatus::Cancelled) && now.lease_epoch == job.lease_epoch
    };
    if !now.is_none_or(is_over) {
        return Ok(());
    }
    tracing::info!(%key, "removed: the job that wrote it has no result");
    results.delete(key).await.map_err(|error| chain(&error))
}

/// Where it may have written.
fn keys(job: &VideoJob) -> Vec<ObjectKey> {
    let Some(archive) = job.output_key.as_deref().and_then(|key| object_key(key).ok()) else {
        return Vec::new();
    };
    let options = JobOptions::from_json(&job.options).unwrap_or_default();
    let renditions = options.renditions.iter().enumerate();
    let mut keys: Vec<ObjectKey> = renditions
        .filter_map(|(place, request)| renditions::key(&archive, place, request).ok())
        .collect();
    keys.push(archive);
    keys
}
