//! Versions, metadata and contents of objects.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::ObjectKey;
use crate::source::Source;

/// The version of an object that a request is about: by default the current version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ObjectVersion {
    /// Identifier of a version in a versioned store.
    pub id: Option<String>,
    /// Required [`ObjectInfo::etag`].
    pub etag: Option<String>,
}

impl ObjectVersion {
    /// Sets the identifier of the version.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The current version.
    pub const CURRENT: Self = Self { id: None, etag: None };

    /// Returns the version with this ETag, which has to be the current version.
    pub fn with_etag(etag: impl Into<String>) -> Self {
        Self {
            id: None,
            etag: Some(etag.into()),
        }
    }
}

/// The metadata of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// Size in bytes.
    pub size: u64,
    /// Identifier of this version, if the store is versioned.
    pub version: Option<String>,
    /// ETag of this version; different content under the same key has a different ETag.
    pub etag: String,
    /// Time of the last modification.
    pub modified: SystemTime,
    /// Metadata set by the writer.
    pub metadata: BTreeMap<String, String>,
}

impl ObjectInfo {
    /// Returns the metadata of an object without version and metadata of the writer.
    pub fn new(size: u64, etag: impl Into<String>, modified: SystemTime) -> Self {
        Self {
            size,
            version: None,
            etag: etag.into(),
            modified,
            metadata: BTreeMap::new(),
        }
    }

    /// Sets the identifier of the version.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the metadata of the writer.
    #[must_use]
    pub fn metadata(mut self, metadata: BTreeMap<String, String>) -> Self {
        self.metadata = metadata;
        self
    }
}

/// An open object.
#[derive(Clone)]
#[non_exhaustive]
pub struct Opened {
    /// Metadata of the object.
    pub info: ObjectInfo,
    /// Content of the object.
    pub source: Arc<dyn Source>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl Opened {
    /// Returns an open object.
    pub fn new(info: ObjectInfo, source: Arc<dyn Source>) -> Self {
        Self { info, source }
    }
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectEntry {
    /// Key of the object.
    pub key: ObjectKey,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last modification.
    pub modified: SystemTime,
}

impl ObjectEntry {
    /// Returns an entry of a list.
    pub fn new(key: ObjectKey, size: u64, modified: SystemTime) -> Self {
        Self { key, size, modified }
    }
}
