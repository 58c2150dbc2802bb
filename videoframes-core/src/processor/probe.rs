//! Tries an operation of a store that failed: only the same kind of operation tells whether it works again.

use std::io;

use bytes::Bytes;

use super::Parts;
use super::circuit::{Admission, Dependency, Operation, PROBE_TIME, StoreUse};
use super::verdict::Suspect;
use super::work::{RESULTS, result_folder};
use crate::error::chain;
use crate::jobs::JobId;
use crate::storage::{IfExists, ObjectKey, ObjectVersion, PutOptions, Storage, StorageError};

/// What a probe writes.
const CONTENT: &[u8] = b"videoframes probe";

/// The key of a processor's probes: that of a result which no job has. The sweep removes such an object if a
/// worker died between writing and deleting it, and no rule for events matches it.
pub(super) fn key() -> Option<ObjectKey> {
    format!("{}probe", result_folder(JobId::random())).parse().ok()
}

impl Parts {
    /// The reads of a bucket of sources. The bucket of the results may be named, and is the same store then.
    pub(super) fn source_reads(&self, bucket: Option<&str>) -> StoreUse {
        StoreUse {
            bucket: bucket
                .filter(|bucket| Some(*bucket) != self.stores.bucket())
                .map(str::to_owned),
            operation: Operation::Read,
        }
    }

    /// What a failed attempt at a job with a source in `bucket` blames.
    pub(super) fn suspected(&self, suspect: Suspect, bucket: Option<&str>) -> StoreUse {
        match suspect {
            Suspect::SourceRead => self.source_reads(bucket),
            Suspect::Results(operation) => StoreUse::of_results(operation),
        }
    }

    /// Whether an operation of a store may begin. Tries it where its circuit is due for that.
    pub(super) async fn admits(&self, used: &StoreUse) -> bool {
        match self.circuits.admit(&Dependency::Store(used.clone())) {
            Admission::Closed => true,
            Admission::Open(_) => false,
            Admission::Probe => self.tried(used).await,
        }
    }

    /// Whether an operation that just failed fails for every object, and not for the one that it was about. Opens
    /// the circuit if so.
    pub(super) async fn is_outage(&self, used: &StoreUse) -> bool {
        match self.circuits.admit(&Dependency::Store(used.clone())) {
            Admission::Open(_) => true,
            Admission::Closed | Admission::Probe => !self.tried(used).await,
        }
    }

    /// Tries an operation and tells its circuit.
    pub(super) async fn tried(&self, used: &StoreUse) -> bool {
        let dependency = Dependency::Store(used.clone());
        let probe = tokio::time::timeout(PROBE_TIME, self.probe(used)).await;
        let probe = probe.unwrap_or_else(|_| {
            let source = io::ErrorKind::TimedOut.into();
            Err(StorageError::from_io("probe", used.operation.as_str(), source))
        });
        match probe {
            Ok(()) => self.circuits.succeeded(&dependency),
            Err(error) => {
                self.circuits.failed(&dependency, &chain(&error));
                return false;
            }
        }
        true
    }

    async fn probe(&self, used: &StoreUse) -> Result<(), StorageError> {
        let storage = match &used.bucket {
            None => self.stores.results(),
            // A bucket that is not known has no circuit.
            Some(bucket) => match self.stores.source(Some(bucket)) {
                Ok(storage) => storage,
                Err(_) => return Ok(()),
            },
        };
        let Some(key) = &self.probe_key else {
            return Ok(());
        };
        match used.operation {
            Operation::Read => match storage.head(key, &ObjectVersion::CURRENT).await {
                // That the object is missing, or may not be seen, is an answer.
                Err(error) if error.is_retryable() => Err(error),
                _ => Ok(()),
            },
            Operation::List => storage.list(RESULTS, None, 1).await.map(drop),
            Operation::Write => write(storage.as_ref(), key).await,
        }
    }
}

/// Writes an object and deletes it.
async fn write(storage: &dyn Storage, key: &ObjectKey) -> Result<(), StorageError> {
    let mut sink = storage.create(key, &PutOptions::from(IfExists::Replace)).await?;
    sink.write(Bytes::from_static(CONTENT)).await?;
    sink.finish().await?;
    if let Err(error) = storage.delete(key).await {
        tracing::debug!(error = chain(&error), %key, "failed to delete a probe; the sweep removes it");
    }
    Ok(())
}
