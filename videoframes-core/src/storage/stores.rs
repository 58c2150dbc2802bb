//! Several stores, by the names of their buckets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Storage;

/// Error for a bucket that is not configured for sources.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bucket '{0}' is not configured for sources")]
pub struct UnknownBucket(String);

/// The result store, and the stores of the sources.
#[derive(Clone)]
pub struct Stores {
    results: Arc<dyn Storage>,
    bucket: Option<String>,
    sources: BTreeMap<String, Arc<dyn Storage>>,
}

impl Stores {
    /// Returns a single store for sources and results.
    pub fn one(storage: Arc<dyn Storage>) -> Self {
        Self {
            results: storage,
            bucket: None,
            sources: BTreeMap::new(),
        }
    }

    /// Sets the name of the bucket in which clients find the results.
    #[must_use]
    pub fn in_bucket(self, bucket: impl Into<String>) -> Self {
        Self {
            bucket: Some(bucket.into()),
            ..self
        }
    }

    /// Adds a bucket of sources.
    #[must_use]
    pub fn with_source(mut self, bucket: impl Into<String>, storage: Arc<dyn Storage>) -> Self {
        self.sources.insert(bucket.into(), storage);
        self
    }

    /// Returns the result store.
    pub fn results(&self) -> &Arc<dyn Storage> {
        &self.results
    }

    /// Returns the result bucket, if its name is known.
    pub fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// Returns the store for sources in `bucket`; without a bucket, the result store.
    ///
    /// # Errors
    /// Returns [`UnknownBucket`] if the bucket is not configured.
    pub fn source(&self, bucket: Option<&str>) -> Result<&Arc<dyn Storage>, UnknownBucket> {
        let Some(bucket) = bucket else {
            return Ok(&self.results);
        };
        self.sources
            .get(bucket)
            .ok_or_else(|| UnknownBucket(bucket.chars().take(80).collect()))
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores")
            .field("bucket", &self.bucket)
            .field("sources", &self.sources.keys())
            .finish_non_exhaustive()
    }
}
