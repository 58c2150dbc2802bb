//! The copy of the restore mark in the result store.

use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::keys;
use crate::jobs::{RestoreMark, RestoreRow};
use crate::storage::{IfExists, ObjectKey, ObjectVersion, PutOptions, Storage, StorageError};

/// Maximum size of the object in bytes.
const MAX_BYTES: u64 = 4096;
/// Maximum generation and mark, far more than a deployment reaches.
const MAX_NUMBER: i64 = 1 << 40;
/// Maximum number of reads of an object that is replaced between the requests.
const ATTEMPTS: u32 = 3;

/// The content of the object.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    #[serde(flatten)]
    mark: RestoreMark,
    /// Time of the database.
    written_at: String,
}

/// A mark in the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredMark {
    pub(super) mark: RestoreMark,
    /// Time at which the object was written, by the clock of the store.
    pub(super) written: SystemTime,
}

/// Returns the mark in the store; `None` if there is none.
///
/// # Errors
/// Returns [`StorageError::Invalid`] for an object that is not a mark.
pub(super) async fn read(results: &dyn Storage) -> Result<Option<StoredMark>, StorageError> {
    let key = keys::restore_mark()?;
    let mut attempts = 1;
    loop {
        match read_once(results, &key).await {
            Ok(mark) => return Ok(Some(mark)),
            Err(StorageError::NotFound(_)) => return Ok(None),
            // Another worker replaced the mark meanwhile.
            Err(StorageError::Changed(_)) if attempts < ATTEMPTS => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn read_once(results: &dyn Storage, key: &ObjectKey) -> Result<StoredMark, StorageError> {
    let opened = results.open(key, &ObjectVersion::CURRENT).await?;
    let invalid = || StorageError::invalid(key.as_str(), "is not a restore mark");
    let length = opened.source.len();
    if length > MAX_BYTES {
        return Err(invalid());
    }
    let bytes = opened
        .source
        .read_at(0, usize::try_from(length).unwrap_or(0))
        .await
        .map_err(|error| match StorageError::of_read(&error) {
            Some(StorageError::Changed(key)) => StorageError::Changed(key.clone()),
            _ => StorageError::from_io("read", key.as_str(), error),
        })?;
    let content: Content = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    if !is_plausible(&content.mark) {
        return Err(invalid());
    }
    Ok(StoredMark {
        mark: content.mark,
        written: opened.info.modified,
    })
}

/// Returns whether workers may have written the mark. Epochs are computed from the generation, and must not overflow.
fn is_plausible(mark: &RestoreMark) -> bool {
    [mark.generation, mark.mark]
        .iter()
        .all(|number| (0..=MAX_NUMBER).contains(number))
}

/// Writes the mark of the database to the store.
pub(super) async fn write(results: &dyn Storage, row: &RestoreRow) -> Result<(), StorageError> {
    let key = keys::restore_mark()?;
    let content = Content {
        mark: row.mark,
        written_at: row.now.to_string(),
    };
    let json = serde_json::to_vec(&content)
        .map_err(|error| StorageError::from_io("write", key.as_str(), error.into()))?;
    let options = PutOptions::from(IfExists::Replace);
    let mut sink = results.create(&key, &options).await?;
    sink.write(Bytes::from(json)).await?;
    sink.finish().await
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn marks_that_no_worker_writes_are_invalid() {
        for (generation, mark, valid) in [
            (0, 0, true),
            (1 << 40, 7, true),
            (-1, 0, false),
            (0, -1, false),
            (i64::MAX, 0, false),
            (0, i64::MAX, false),
        ] {
            let found = RestoreMark {
                deployment: Uuid::nil(),
                generation,
                mark,
            };
            assert_eq!(is_plausible(&found), valid, "{found:?}");
        }
    }
}
