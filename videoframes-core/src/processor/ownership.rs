//! The ownership tag, by which an object is recognized as the output of a job.

use std::collections::BTreeMap;

use crate::jobs::VideoJob;
use crate::storage::ObjectInfo;

/// Metadata name of the job identifier.
const JOB: &str = "vf-job";
/// Metadata name of the job's payload hash.
const PAYLOAD: &str = "vf-payload";

/// Returns the ownership tag of `job`.
pub(super) fn tag(job: &VideoJob) -> BTreeMap<String, String> {
    BTreeMap::from([
        (JOB.to_owned(), job.id.to_string()),
        (PAYLOAD.to_owned(), job.payload_hash.clone()),
    ])
}

/// Returns whether an object has the ownership tag of `job`.
pub(super) fn is_tagged(found: &ObjectInfo, job: &VideoJob) -> bool {
    tag(job)
        .iter()
        .all(|(name, value)| found.metadata.get(name) == Some(value))
}

/// Returns whether an object has no payload hash of a different request. The caller has to recognize the job
/// by the object's key.
pub(super) fn may_belong_to(found: &ObjectInfo, job: &VideoJob) -> bool {
    found
        .metadata
        .get(PAYLOAD)
        .is_none_or(|payload| *payload == job.payload_hash)
}
