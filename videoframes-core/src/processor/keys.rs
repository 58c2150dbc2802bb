//! Keys of results.

use super::verdict::Verdict;
use crate::jobs::{JobId, RESTORE_MARK};
use crate::storage::{ObjectKey, StorageError};

/// Folder of results without a key of the client.
pub(super) const RESULTS: &str = "results";

/// Parses a key, which can fail only for a key of the client.
pub(super) fn object_key(key: &str) -> Result<ObjectKey, Verdict> {
    let key = key.parse::<ObjectKey>();
    key.map_err(|e| Verdict::invalid(format!("output.key: {e}")))
}

/// Returns the folder of a job's archives, one per claim.
pub(super) fn result_folder(job: JobId) -> String {
    format!("{RESULTS}/{job}/")
}

/// Returns the key of the restore mark, which the sweep of results ignores.
pub(super) fn restore_mark() -> Result<ObjectKey, StorageError> {
    let key = format!("{RESULTS}/{RESTORE_MARK}");
    key.parse()
        .map_err(|_| StorageError::invalid(&key, "is not a key"))
}

/// Returns whether a key is that of a processor's probes.
pub(super) fn is_probe(key: &ObjectKey) -> bool {
    key.as_str().ends_with("/probe")
}

/// Returns the key of a processor's probes: the key of a result without a job.
///
/// The sweep removes such an object if a worker crashed between writing and deleting it, and no rule for
/// events matches it.
pub(super) fn probe() -> Option<ObjectKey> {
    format!("{}probe", result_folder(JobId::random())).parse().ok()
}
