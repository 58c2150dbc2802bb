//! Probes store operations that failed: only the same kind of operation shows whether the outage is over.

use std::io;

use bytes::Bytes;

use super::circuit::{Admission, PROBE_TIME};
use super::keys::RESULTS;
use super::parts::Parts;
use super::subject::{Operation, StoreUse, Subject};
use super::verdict::Suspect;
use crate::error::chain;
use crate::storage::{IfExists, ObjectKey, ObjectVersion, PutOptions, Storage, StorageError};

/// Content of a probe object.
const CONTENT: &[u8] = b"videoframes probe";

impl Parts {
    /// Returns the read operation on a bucket of sources. A request may name the result bucket, which
    /// is the same store then.
    pub(super) fn source_reads(&self, bucket: Option<&str>) -> StoreUse {
        StoreUse {
            bucket: bucket
                .filter(|bucket| Some(*bucket) != self.stores.bucket())
                .map(str::to_owned),
            operation: Operation::Read,
        }
    }

    /// Returns the operation that a failed attempt blames, for a source in `bucket`.
    pub(super) fn suspected(&self, suspect: Suspect, bucket: Option<&str>) -> StoreUse {
        match suspect {
            Suspect::SourceRead => self.source_reads(bucket),
            Suspect::Results(operation) => StoreUse::of_results(operation),
        }
    }

    /// Returns whether a store operation may start, after a probe if one is due.
    pub(super) async fn admits(&self, used: &StoreUse) -> bool {
        match self.circuits.admit(&Subject::Store(used.clone())) {
            Admission::Closed => true,
            Admission::Open(_) => false,
            Admission::Probe => self.probe_circuit(used).await,
        }
    }

    /// Returns whether an operation that just failed fails for every object rather than for one object. Opens
    /// the circuit in that case.
    pub(super) async fn is_outage(&self, used: &StoreUse) -> bool {
        match self.circuits.admit(&Subject::Store(used.clone())) {
            Admission::Open(_) => true,
            Admission::Closed | Admission::Probe => !self.probe_circuit(used).await,
        }
    }

    /// Probes an operation and reports the result to its circuit.
    pub(super) async fn probe_circuit(&self, used: &StoreUse) -> bool {
        let dependency = Subject::Store(used.clone());
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
            // An unknown bucket has no circuit.
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
                // A missing or inaccessible object is an answer.
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
        tracing::debug!(error = chain(&error), %key, "failed to delete a probe; leaving it to the sweep");
    }
    Ok(())
}
