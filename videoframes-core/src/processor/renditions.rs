//! Renditions of a job: their keys, and those of earlier attempts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fault::{self, Point};
use super::keys::{archive_stem, object_key};
use super::ownership;
use super::verdict::{Unusable, Verdict};
use crate::compress::{Compressed, Describe, VideoTarget};
use crate::jobs::{
    ErrorCode, JobOptions, RenditionObject, RenditionRequest, RenditionResult, RenditionVideo, VideoJob,
};
use crate::pipeline::{Rendition, RenditionOutcome};
use crate::storage::{IfExists, ObjectInfo, ObjectKey, ObjectVersion, PutOptions, StorageError, Stores};

/// Metadata name of a rendition's properties, as JSON.
const RENDITION: &str = "vf-rendition";

/// Returns the key of the rendition at `index`, next to the archive: `3.zip`, `3.1.mp4`.
pub(super) fn key(
    archive: &ObjectKey,
    index: usize,
    request: &RenditionRequest,
) -> Result<ObjectKey, Verdict> {
    let stem = archive_stem(archive);
    let extension = request.options.container().extension();
    object_key(&format!("{stem}.{}.{extension}", index + 1))
}

/// Returns whether an object is a rendition of any job, under any key.
pub(super) fn is_rendition(object: &ObjectInfo) -> bool {
    object.metadata.contains_key(RENDITION)
}

/// The renditions of a claim: existing ones of an earlier attempt, and missing ones.
pub(super) struct RenditionSet {
    keys: Vec<ObjectKey>,
    found: Vec<Option<RenditionObject>>,
    /// Renditions to make, in order.
    pub(super) missing: Vec<Rendition>,
}

impl RenditionSet {
    /// Searches for existing renditions under keys that the client chose. A claim's own keys are always
    /// unused.
    ///
    /// # Errors
    /// Returns `OUTPUT_EXISTS` if a key belongs to another object.
    pub(super) async fn new(
        stores: &Stores,
        job: &VideoJob,
        options: &JobOptions,
        archive: &ObjectKey,
    ) -> Result<Self, Verdict> {
        let mut wanted = Self {
            keys: Vec::new(),
            found: Vec::new(),
            missing: Vec::new(),
        };
        for (index, request) in options.renditions.iter().enumerate() {
            let key = key(archive, index, request)?;
            let found = match job.output_key.is_some() {
                true => find(stores, job, &key).await?,
                false => None,
            };
            if found.is_none() {
                wanted.missing.push(Rendition {
                    options: request.options,
                    optional: request.optional,
                    target: target(stores, job, &key, describe(request, index)),
                });
            }
            wanted.keys.push(key);
            wanted.found.push(found);
        }
        Ok(wanted)
    }

    /// Returns the keys of all renditions.
    pub(super) fn keys(&self) -> &[ObjectKey] {
        &self.keys
    }

    /// Returns the results of all renditions, given the outcomes of the missing ones.
    pub(super) fn results(
        self,
        requests: &[RenditionRequest],
        made: Vec<RenditionOutcome>,
    ) -> Vec<RenditionResult> {
        let mut made = made.into_iter();
        let slots = self.keys.into_iter().zip(self.found).zip(requests);
        let results = slots.map(|((key, found), request)| {
            Some(match found {
                Some(object) => RenditionResult::Made(object),
                None => match made.next()? {
                    RenditionOutcome::Failed(message) => RenditionResult::Failed { message },
                    RenditionOutcome::Made(video) => RenditionResult::Made(RenditionObject {
                        key: key.to_string(),
                        video: RenditionVideo::new(&video, request.options.container()),
                    }),
                },
            })
        });
        results.flatten().collect()
    }
}

/// Returns the renditions that belong to an existing archive. The attempt that wrote the archive stored its
/// renditions before.
///
/// # Errors
/// Fails if a required rendition is missing, if a key belongs to another object, or if the store fails.
pub(super) async fn of_archive(
    stores: &Stores,
    job: &VideoJob,
    archive: &ObjectKey,
) -> Result<Vec<RenditionResult>, Unusable> {
    let options = job.options.get().map_err(Verdict::invalid)?;
    let mut results = Vec::with_capacity(options.renditions.len());
    for (index, request) in options.renditions.iter().enumerate() {
        let key = key(archive, index, request)?;
        results.push(match find(stores, job, &key).await? {
            Some(object) => RenditionResult::Made(object),
            None if request.optional => RenditionResult::Failed {
                message: "the attempt that wrote the archive failed to make the rendition".to_owned(),
            },
            None => {
                let message = format!("'{key}' no longer exists");
                return Err(Verdict::permanent(ErrorCode::RenditionFailed, message).into());
            }
        });
    }
    Ok(results)
}

/// Returns whether the renditions of a result still exist unchanged.
pub(super) async fn still_exist(stores: &Stores, results: &[RenditionResult]) -> bool {
    for result in results {
        let RenditionResult::Made(object) = result else {
            // A rendition that failed earlier may succeed now.
            return false;
        };
        let Ok(key) = object.key.parse::<ObjectKey>() else {
            return false;
        };
        let found = stores.results().head(&key, &ObjectVersion::CURRENT).await;
        if !found.is_ok_and(|found| found.size == object.video.size) {
            return false;
        }
    }
    true
}

/// Returns a rendition of this job, if it exists.
async fn find(stores: &Stores, job: &VideoJob, key: &ObjectKey) -> Result<Option<RenditionObject>, Unusable> {
    let found = match stores.results().head(key, &ObjectVersion::CURRENT).await {
        Ok(found) => found,
        Err(StorageError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(Unusable::Store(error)),
    };
    let video = found
        .metadata
        .get(RENDITION)
        .and_then(|json| serde_json::from_str::<RenditionVideo>(json).ok())
        .filter(|video| video.size == found.size);
    match video {
        Some(video) if ownership::is_tagged(&found, job) => Ok(Some(RenditionObject {
            key: key.to_string(),
            video,
        })),
        _ => {
            let message = format!("'{key}' exists and was not written by this job");
            Err(Verdict::permanent(ErrorCode::OutputExists, message).into())
        }
    }
}

/// Returns the metadata of the rendition at `index`, which describes the video.
fn describe(request: &RenditionRequest, index: usize) -> Describe {
    let container = request.options.container();
    Arc::new(move |video: &Compressed| {
        fault::reached(match index {
            0 => Point::Compressed,
            _ => Point::Beside,
        });
        let json = serde_json::to_string(&RenditionVideo::new(video, container)).unwrap_or_default();
        BTreeMap::from([(RENDITION.to_owned(), json)])
    })
}

fn target(stores: &Stores, job: &VideoJob, key: &ObjectKey, describe: Describe) -> VideoTarget {
    VideoTarget::Object {
        storage: Arc::clone(stores.results()),
        key: key.clone(),
        options: PutOptions {
            if_exists: IfExists::Refuse,
            metadata: ownership::tag(job),
        },
        describe: Some(describe),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::compress::{Codec, CompressOptions};

    #[test]
    fn renditions_have_keys_next_to_their_archive() {
        let vp9 = RenditionRequest {
            options: CompressOptions {
                codec: Codec::Vp9,
                ..CompressOptions::default()
            },
            optional: true,
        };
        for (archive, first, second) in [
            ("results/j/3.zip", "results/j/3.1.mp4", "results/j/3.2.webm"),
            ("a/b", "a/b.1.mp4", "a/b.2.webm"),
        ] {
            let archive: ObjectKey = archive.parse().unwrap();
            let keys = [
                key(&archive, 0, &RenditionRequest::default()).unwrap(),
                key(&archive, 1, &vp9).unwrap(),
            ];
            assert_eq!(keys.map(|key| key.to_string()), [first, second]);
        }
    }
}
