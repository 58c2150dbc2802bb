//! How an object is written.

use std::collections::BTreeMap;

use super::{ObjectKey, StorageError};

/// Bytes of an object's metadata at most: all names and values together. S3 keeps 2 KiB, of which a
/// little is for what a store itself notes there.
pub const METADATA_BYTES: usize = 1984;

/// What to do when an object of that name is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfExists {
    /// Leave it and fail with [`StorageError::AlreadyExists`].
    #[default]
    Refuse,
    /// Replace it, atomically, when the new one is complete.
    Replace,
}

/// How an object is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutOptions {
    /// What if one is there.
    pub if_exists: IfExists,
    /// What [`super::Storage::head`] tells of it: at most [`METADATA_BYTES`]. Names are of `[a-z0-9-]`;
    /// values are of printable ASCII, without a space at either end, since some stores keep them in
    /// HTTP headers.
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
    /// Checks the bounds of the metadata; every store does so before it writes anything.
    ///
    /// # Errors
    /// [`StorageError::Invalid`].
    pub fn check(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let invalid = |reason| Err(StorageError::invalid(key.as_str(), reason));
        let mut bytes = 0;
        for (name, value) in &self.metadata {
            bytes += name.len() + value.len();
            let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || !name.bytes().all(known) {
                return invalid("has metadata with a name that is not of a-z, 0-9 and '-'");
            }
            if value.trim() != value || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return invalid("has metadata with a value that is not of printable ASCII");
            }
        }
        if bytes > METADATA_BYTES {
            return invalid("has more metadata than 1984 bytes");
        }
        Ok(())
    }
}
