//! The mark by which an object is known as the work of a job.

use std::collections::BTreeMap;

use crate::jobs::VideoJob;
use crate::storage::ObjectInfo;

/// Metadata: the job that made it.
const JOB: &str = "vf-job";
/// Metadata: what was asked, as the job's payload hash.
const PAYLOAD: &str = "vf-payload";

/// The mark of `job`.
pub(super) fn of(job: &VideoJob) -> BTreeMap<String, String> {
    BTreeMap::from([
        (JOB.to_owned(), job.id.to_string()),
        (PAYLOAD.to_owned(), job.payload_hash.clone()),
    ])
}

/// Whether an object bears the mark of `job`.
pub(super) fn is_on(found: &ObjectInfo, job: &VideoJob) -> bool {
    of(job)
        .iter()
        .all(|(name, value)| found.metadata.get(name) == Some(value))
}

/// Whether an object does not say that something else was asked. That it is the job's its key has to say.
pub(super) fn may_be_on(found: &ObjectInfo, job: &VideoJob) -> bool {
    found
        .metadata
        .get(PAYLOAD)
        .is_none_or(|payload| *payload == job.payload_hash)
}
