//! The location of a source, as JSON in messages and rows.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::storage::{ObjectKey, ObjectVersion};

/// Maximum length in bytes of an idempotency key, and of a part of a location other than its key.
pub(super) const KEY_BYTES: usize = 256;

/// Location of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceRef {
    /// Bucket of the source, if it differs from the result bucket.
    pub bucket: Option<String>,
    /// Key of the source in the store.
    pub key: ObjectKey,
    /// Required version of the source, if any.
    pub version: ObjectVersion,
}

impl SourceRef {
    /// Sets the bucket of the source.
    #[must_use]
    pub fn bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = Some(bucket.into());
        self
    }

    /// Sets the required version of the source.
    #[must_use]
    pub fn version(mut self, version: ObjectVersion) -> Self {
        self.version = version;
        self
    }

    /// Returns the current version of an object in the result store.
    pub fn current(key: ObjectKey) -> Self {
        Self {
            bucket: None,
            key,
            version: ObjectVersion::CURRENT,
        }
    }

    /// Reads the `source` of a message or a row.
    ///
    /// # Errors
    /// Returns a description of the invalid field.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Form {
            bucket: Option<String>,
            key: String,
            etag: Option<String>,
            version: Option<String>,
        }
        let form = Form::deserialize(value).map_err(|e| format!("source: {e}"))?;
        for (name, text) in [
            ("bucket", &form.bucket),
            ("etag", &form.etag),
            ("version", &form.version),
        ] {
            if text.as_ref().is_some_and(|text| text.len() > KEY_BYTES) {
                return Err(format!("source.{name}: must have at most {KEY_BYTES} bytes"));
            }
        }
        Ok(Self {
            bucket: form.bucket,
            key: form.key.parse().map_err(|e| format!("source.key: {e}"))?,
            version: ObjectVersion {
                id: form.version,
                etag: form.etag,
            },
        })
    }

    /// Returns the `source` for a message or a row.
    pub fn to_json(&self) -> Value {
        let mut source = json!({"key": self.key.as_str()});
        for (name, text) in [
            ("bucket", &self.bucket),
            ("etag", &self.version.etag),
            ("version", &self.version.id),
        ] {
            if let Some(text) = text {
                source[name] = json!(text);
            }
        }
        source
    }
}
