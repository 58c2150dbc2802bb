//! The ownership tag, by which an object is recognized as the output of a job, and the record of its request.

use std::collections::BTreeMap;

use crate::jobs::{JobId, JobRecord, VideoJob};
use crate::storage::{METADATA_BYTES, ObjectInfo};

/// Metadata name of the job identifier.
const JOB: &str = "vf-job";
/// Metadata name of the job's payload hash.
const PAYLOAD: &str = "vf-payload";
/// Metadata name of the request of the job.
const REQUEST: &str = "vf-request";

/// Returns the ownership tag of `job`.
pub(super) fn tag(job: &VideoJob) -> BTreeMap<String, String> {
    BTreeMap::from([
        (JOB.to_owned(), job.id.to_string()),
        (PAYLOAD.to_owned(), job.payload_hash.clone()),
    ])
}

/// Returns the metadata of the archive of `job`: the ownership tag, and the request if there is space.
///
/// Metadata of the client is left out first. A restored database can be completed from these metadata.
pub(super) fn of_archive(job: &VideoJob) -> BTreeMap<String, String> {
    let mut metadata = tag(job);
    let used: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let limit = METADATA_BYTES.saturating_sub(used + REQUEST.len());
    if let Some(record) = JobRecord::of(job).and_then(|record| record.to_ascii(limit)) {
        metadata.insert(REQUEST.to_owned(), record);
    }
    metadata
}

/// Returns the job in the ownership tag of an object.
pub(super) fn job_of(found: &ObjectInfo) -> Option<JobId> {
    found.metadata.get(JOB)?.parse().ok()
}

/// Returns the request in the metadata of an archive; `None` without a valid request.
pub(super) fn record_of(found: &ObjectInfo) -> Option<JobRecord> {
    let record = JobRecord::from_json(found.metadata.get(REQUEST)?)?;
    (found.metadata.get(PAYLOAD) == Some(&record.payload)).then_some(record)
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
