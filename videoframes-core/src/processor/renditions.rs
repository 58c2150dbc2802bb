//! Compressed videos of a job: where they go, and those of earlier attempts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::circuit::Operation;
use super::fault::{self, Point};
use super::mark;
use super::verdict::Verdict;
use super::work::object_key;
use crate::compress::{Compressed, VideoTarget};
use crate::jobs::{
    ErrorCode, JobOptions, RenditionObject, RenditionRequest, RenditionResult, RenditionVideo, VideoJob,
};
use crate::pipeline::{Rendition, RenditionOutcome};
use crate::storage::{IfExists, ObjectInfo, ObjectKey, ObjectVersion, PutOptions, StorageError, Stores};

/// Metadata of a rendition: what is said of it, as JSON.
const RENDITION: &str = "vf-rendition";
/// What the archive's key ends in, and those beside it do not.
const ARCHIVE: &str = ".zip";

/// The key of the rendition at `place` among those of a job, beside its archive: `3.zip`, `3.1.mp4`.
pub(super) fn key(
    archive: &ObjectKey,
    place: usize,
    request: &RenditionRequest,
) -> Result<ObjectKey, Verdict> {
    let archive = archive.as_str();
    let stem = archive.strip_suffix(ARCHIVE).unwrap_or(archive);
    let extension = request.options.container().extension();
    object_key(&format!("{stem}.{}.{extension}", place + 1))
}

/// The key of the archive that an object in the folder of a job's results lies beside; its own, where it is
/// one. `None` for what is neither.
pub(super) fn archive_beside(key: &ObjectKey) -> Option<String> {
    let (folder, name) = key.as_str().rsplit_once('/')?;
    let epoch = name.split('.').next()?;
    Some(format!("{folder}/{epoch}{ARCHIVE}"))
}

/// Whether an object is a rendition of some job, wherever it lies.
pub(super) fn is_rendition(object: &ObjectInfo) -> bool {
    object.metadata.contains_key(RENDITION)
}

/// Whether a key in the folder of a job's results is an archive's.
pub(super) fn is_archive(key: &ObjectKey) -> bool {
    key.as_str().ends_with(ARCHIVE)
}

/// The renditions of a claim: those that an earlier attempt has made, and those that are to be made.
pub(super) struct Wanted {
    keys: Vec<ObjectKey>,
    found: Vec<Option<RenditionObject>>,
    /// Those that are to be made, in order.
    pub(super) missing: Vec<Rendition>,
}

impl Wanted {
    /// Looks for what is there at keys that the client chose; at a claim's own keys there is nothing.
    ///
    /// # Errors
    /// `OUTPUT_EXISTS` where something else is there.
    pub(super) async fn of(
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
        for (place, request) in options.renditions.iter().enumerate() {
            let key = key(archive, place, request)?;
            let found = match job.output_key.is_some() {
                true => find(stores, job, &key).await?,
                false => None,
            };
            if found.is_none() {
                wanted.missing.push(Rendition {
                    options: request.options,
                    optional: request.optional,
                    target: target(stores, job, &key, request, place),
                });
            }
            wanted.keys.push(key);
            wanted.found.push(found);
        }
        Ok(wanted)
    }

    /// Where all of them are.
    pub(super) fn keys(&self) -> &[ObjectKey] {
        &self.keys
    }

    /// What became of all of them, once the missing ones were made.
    pub(super) fn results(
        self,
        requests: &[RenditionRequest],
        made: Vec<RenditionOutcome>,
    ) -> Vec<RenditionResult> {
        let mut made = made.into_iter();
        let places = self.keys.into_iter().zip(self.found).zip(requests);
        let results = places.map(|((key, found), request)| {
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

/// The renditions that lie beside an archive, as the attempt that wrote it left them: they were in their
/// places before it was.
///
/// # Errors
/// Where one is missing that is not optional, or is another's.
pub(super) async fn beside(
    stores: &Stores,
    job: &VideoJob,
    archive: &ObjectKey,
) -> Result<Vec<RenditionResult>, Verdict> {
    let options = JobOptions::from_json(&job.options)
        .map_err(|e| Verdict::permanent(ErrorCode::InvalidRequest, e.to_string()))?;
    let mut results = Vec::with_capacity(options.renditions.len());
    for (place, request) in options.renditions.iter().enumerate() {
        let key = key(archive, place, request)?;
        results.push(match find(stores, job, &key).await? {
            Some(object) => RenditionResult::Made(object),
            None if request.optional => RenditionResult::Failed {
                message: "the attempt that wrote the archive could not make it".to_owned(),
            },
            None => {
                let message = format!("'{key}' is no longer there");
                return Err(Verdict::permanent(ErrorCode::RenditionFailed, message));
            }
        });
    }
    Ok(results)
}

/// Whether the renditions of a result are still there as they were.
pub(super) async fn are_there(stores: &Stores, results: &[RenditionResult]) -> bool {
    for result in results {
        let RenditionResult::Made(object) = result else {
            // What could not be made once may be made now.
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

/// A rendition of this job, if it is there.
async fn find(stores: &Stores, job: &VideoJob, key: &ObjectKey) -> Result<Option<RenditionObject>, Verdict> {
    let found = match stores.results().head(key, &ObjectVersion::CURRENT).await {
        Ok(found) => found,
        Err(StorageError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(Verdict::of_results(&error, Operation::Read)),
    };
    let video = found
        .metadata
        .get(RENDITION)
        .and_then(|said| serde_json::from_str::<RenditionVideo>(said).ok())
        .filter(|video| video.size == found.size);
    match video {
        Some(video) if mark::is_on(&found, job) => Ok(Some(RenditionObject {
            key: key.to_string(),
            video,
        })),
        _ => {
            let message = format!("'{key}' exists and was not written by this job");
            Err(Verdict::permanent(ErrorCode::OutputExists, message))
        }
    }
}

fn target(
    stores: &Stores,
    job: &VideoJob,
    key: &ObjectKey,
    request: &RenditionRequest,
    place: usize,
) -> VideoTarget {
    let container = request.options.container();
    let describe = move |video: &Compressed| {
        fault::reached(match place {
            0 => Point::Compressed,
            _ => Point::Beside,
        });
        let said = serde_json::to_string(&RenditionVideo::new(video, container)).unwrap_or_default();
        BTreeMap::from([(RENDITION.to_owned(), said)])
    };
    VideoTarget::Object {
        storage: Arc::clone(stores.results()),
        key: key.clone(),
        options: PutOptions {
            if_exists: IfExists::Refuse,
            metadata: mark::of(job),
        },
        describe: Some(Arc::new(describe)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::compress::{Codec, CompressOptions};

    #[test]
    fn renditions_lie_beside_their_archive() {
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

    #[test]
    fn the_archive_beside_a_rendition_is_found() {
        for (key, archive) in [
            ("results/j/3.zip", "results/j/3.zip"),
            ("results/j/12.1.mp4", "results/j/12.zip"),
            ("results/j/odd", "results/j/odd.zip"),
        ] {
            assert_eq!(archive_beside(&key.parse().unwrap()).as_deref(), Some(archive));
        }
    }
}
