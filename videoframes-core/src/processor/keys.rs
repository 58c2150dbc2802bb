//! Keys of results.

use std::cmp::Reverse;

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

/// Suffix of an archive key, which other outputs do not have.
const ARCHIVE: &str = ".zip";

/// Returns the key of an archive without suffix, which begins the keys of its other outputs.
pub(super) fn archive_stem(archive: &ObjectKey) -> &str {
    let archive = archive.as_str();
    archive.strip_suffix(ARCHIVE).unwrap_or(archive)
}

/// Returns whether a key in the result folder of a job is an archive.
pub(super) fn is_archive(key: &ObjectKey) -> bool {
    key.as_str().ends_with(ARCHIVE)
}

/// Returns the key of the archive that belongs to an object in the result folder of a job; for an archive, its own key.
///
/// Returns `None` for an object that is no output of a job.
pub(super) fn archive_of(key: &ObjectKey) -> Option<String> {
    let mut components = key.as_str().splitn(3, '/');
    let (results, job, output) = (components.next()?, components.next()?, components.next()?);
    let epoch = output.split(['.', '/']).next()?;
    Some(format!("{results}/{job}/{epoch}{ARCHIVE}"))
}

/// Sorts archives in the folder of one job: the archive of the latest claim first.
///
/// Epochs increase with every claim, also after an accepted restore. Times of the store do not: a late worker writes after
/// a later claim, and `vf-worker restore-objects` copies objects.
pub(super) fn latest_claim_first<T>(archives: &mut [T], key: impl Fn(&T) -> &ObjectKey) {
    archives.sort_by_key(|archive| Reverse(epoch_of(key(archive))));
}

/// Returns the epoch in the key of an archive; `None` for a name that no worker chooses.
fn epoch_of(key: &ObjectKey) -> Option<i64> {
    let (_, name) = key.as_str().rsplit_once('/')?;
    name.strip_suffix(ARCHIVE)?.parse().ok()
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_of_an_output_is_found() {
        for (key, archive) in [
            ("results/j/3.zip", "results/j/3.zip"),
            ("results/j/12.1.mp4", "results/j/12.zip"),
            ("results/j/12.storyboard/sheet-000.jpg", "results/j/12.zip"),
            ("results/j/odd", "results/j/odd.zip"),
        ] {
            assert_eq!(archive_of(&key.parse().unwrap()).as_deref(), Some(archive));
        }
    }

    #[test]
    fn archives_are_ordered_by_their_claims() {
        for (names, expected) in [
            (&["1.zip", "2.zip"][..], &["2.zip", "1.zip"][..]),
            (&["10.zip", "9.zip"], &["10.zip", "9.zip"]),
            (&["odd.zip", "3.zip"], &["3.zip", "odd.zip"]),
            (&["2097153.zip", "99.zip"], &["2097153.zip", "99.zip"]),
        ] {
            let key = |name: &&str| format!("results/j/{name}").parse().unwrap();
            let mut keys: Vec<ObjectKey> = names.iter().map(key).collect();
            latest_claim_first(&mut keys, |key| key);
            let expected: Vec<ObjectKey> = expected.iter().map(key).collect();
            assert_eq!(keys, expected);
        }
    }
}
