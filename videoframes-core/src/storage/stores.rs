//! More than one store, by the names of their buckets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Storage;

/// A source lies in a bucket that may not be read from here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bucket '{0}' is none that sources may come from")]
pub struct UnknownBucket(String);

/// The store that results go to, and those that sources may come from.
#[derive(Clone)]
pub struct Stores {
    results: Arc<dyn Storage>,
    bucket: Option<String>,
    sources: BTreeMap<String, Arc<dyn Storage>>,
}

impl Stores {
    /// One store for everything.
    pub fn one(storage: Arc<dyn Storage>) -> Self {
        Self {
            results: storage,
            bucket: None,
            sources: BTreeMap::new(),
        }
    }

    /// The same, with the bucket in which clients find results.
    pub fn in_bucket(self, bucket: impl Into<String>) -> Self {
        Self {
            bucket: Some(bucket.into()),
            ..self
        }
    }

    /// The same, with one more bucket that sources may come from.
    pub fn with_source(mut self, bucket: impl Into<String>, storage: Arc<dyn Storage>) -> Self {
        self.sources.insert(bucket.into(), storage);
        self
    }

    /// Where results go.
    pub fn results(&self) -> &Arc<dyn Storage> {
        &self.results
    }

    /// The bucket in which clients find results, if it is called one.
    pub fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// Where the sources of a bucket are; without one, they lie where results go.
    ///
    /// # Errors
    /// [`UnknownBucket`] for one that was not named.
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
