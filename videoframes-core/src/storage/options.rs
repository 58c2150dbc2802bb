//! Options for writing an object.

use std::collections::BTreeMap;

use super::{ObjectKey, StorageError};

/// Maximum size of an object's metadata in bytes, names and values together. S3 allows 2 KiB, of which a
/// store needs some bytes for its own metadata.
pub const METADATA_BYTES: usize = 1984;

/// Behaviour if an object with the same key exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfExists {
    /// Fails with [`StorageError::AlreadyExists`] and keeps the object.
    #[default]
    Refuse,
    /// Replaces the object atomically when the new object is complete.
    Replace,
}

/// Options for writing an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PutOptions {
    /// Behaviour if the object exists.
    pub if_exists: IfExists,
    /// Metadata for [`super::Storage::head`], of at most [`METADATA_BYTES`].
    ///
    /// Names consist of `[a-z0-9-]`. Values consist of printable ASCII without leading or trailing spaces,
    /// since some stores keep them in HTTP headers.
    pub metadata: BTreeMap<String, String>,
}

impl From<IfExists> for PutOptions {
    fn from(if_exists: IfExists) -> Self {
        Self {
            if_exists,
            metadata: BTreeMap::new(),
        }
    }
}

impl PutOptions {
    /// Checks the limits of the metadata. Every store calls this before a write.
    ///
    /// # Errors
    /// Returns [`StorageError::Invalid`] if the metadata exceeds a limit.
    pub fn check(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let invalid = |reason| Err(StorageError::invalid(key.as_str(), reason));
        let mut bytes = 0;
        for (name, value) in &self.metadata {
            bytes += name.len() + value.len();
            let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || !name.bytes().all(known) {
                return invalid("has metadata with a name other than a-z, 0-9 and '-'");
            }
            if value.trim() != value || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return invalid("has metadata with a value other than printable ASCII");
            }
        }
        if bytes > METADATA_BYTES {
            return invalid("has more than 1984 bytes of metadata");
        }
        Ok(())
    }

    /// Sets the behaviour if the object exists.
    #[must_use]
    pub fn if_exists(mut self, if_exists: IfExists) -> Self {
        self.if_exists = if_exists;
        self
    }

    /// Sets the metadata of the object.
    #[must_use]
    pub fn metadata(mut self, metadata: BTreeMap<String, String>) -> Self {
        self.metadata = metadata;
        self
    }
}
