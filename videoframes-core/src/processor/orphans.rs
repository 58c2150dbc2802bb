//! Removes orphaned objects of a job without a result at keys that its client chose. The sweep removes those
//! at the job's own keys.

use super::keys::object_key;
use super::ownership;
use super::parts::Parts;
use super::{outputs, renditions};
use crate::error::chain;
use crate::jobs::{JobStatus, VideoJob};
use crate::storage::{ObjectKey, ObjectVersion, StorageError};

/// Deletes the outputs of a job without a result: the client may need their keys for another job.
pub(super) async fn remove(parts: &Parts, job: &VideoJob) {
    let mut keys = keys(job);
    for folder in folders(job) {
        match outputs::list(&parts.stores, &folder).await {
            Ok(objects) => keys.extend(objects.into_keys()),
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, %folder, "failed to list orphaned objects");
            }
        }
    }
    for key in keys {
        if let Err(error) = remove_one(parts, job, &key).await {
            tracing::warn!(error, %key, "failed to delete an orphaned object");
        }
    }
}

async fn remove_one(parts: &Parts, job: &VideoJob, key: &ObjectKey) -> Result<(), String> {
    let results = parts.stores.results();
    match results.head(key, &ObjectVersion::CURRENT).await {
        Ok(found) if ownership::is_tagged(&found, job) => {}
        Ok(_) | Err(StorageError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(chain(&error)),
    }
    // An operator may have retried the job, and then the object is its result.
    let now = parts.repo.get(job.id).await.map_err(|error| chain(&error))?;
    let is_over = |now: VideoJob| {
        matches!(now.status, JobStatus::Failed | JobStatus::Cancelled) && now.lease_epoch == job.lease_epoch
    };
    let is_current = parts.is_current().await.map_err(|error| chain(&error))?;
    if !is_current || !now.is_none_or(is_over) {
        return Ok(());
    }
    tracing::info!(%key, "deleting an orphaned object of a job without a result");
    results.delete(key).await.map_err(|error| chain(&error))
}

/// Returns the folders that the job may have written.
fn folders(job: &VideoJob) -> Vec<ObjectKey> {
    let Some(archive) = job.output_key.as_deref().and_then(|key| object_key(key).ok()) else {
        return Vec::new();
    };
    let kinds = job.options.get().map(|options| options.outputs.kinds());
    let kinds = kinds.unwrap_or_default().into_iter();
    kinds
        .filter_map(|kind| outputs::folder(&archive, kind).ok())
        .collect()
}

/// Returns the keys of single objects that the job may have written.
fn keys(job: &VideoJob) -> Vec<ObjectKey> {
    let Some(archive) = job.output_key.as_deref().and_then(|key| object_key(key).ok()) else {
        return Vec::new();
    };
    let renditions = job.options.get().map_or(&[][..], |options| &options.renditions);
    let renditions = renditions.iter().enumerate();
    let mut keys: Vec<ObjectKey> = renditions
        .filter_map(|(index, request)| renditions::key(&archive, index, request).ok())
        .collect();
    keys.push(archive);
    keys
}
