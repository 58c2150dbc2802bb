//! Values from messages and rows together with their JSON.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{JobOptions, SourceRef};

/// A part of a request, parsed once where it is read.
///
/// Keeps the JSON verbatim: a newer version may have written fields that this version does not know, and a
/// rejected request has a source or options that cannot be parsed. Serialized as that JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<T> {
    json: Value,
    value: Result<T, String>,
}

impl<T> Parsed<T> {
    /// Returns the value.
    ///
    /// # Errors
    /// Returns the name and the error of the invalid field.
    pub fn get(&self) -> Result<&T, &str> {
        self.value.as_ref().map_err(String::as_str)
    }

    /// Returns the JSON as it was read.
    pub fn json(&self) -> &Value {
        &self.json
    }
}

impl<T> Serialize for Parsed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl From<Value> for Parsed<SourceRef> {
    fn from(json: Value) -> Self {
        let value = SourceRef::from_json(&json);
        Self { json, value }
    }
}

impl From<SourceRef> for Parsed<SourceRef> {
    /// Returns the source as it is read from a row.
    fn from(source: SourceRef) -> Self {
        Self::from(source.to_json())
    }
}

impl From<Value> for Parsed<JobOptions> {
    fn from(json: Value) -> Self {
        let value = JobOptions::from_json(&json).map_err(|error| error.to_string());
        Self { json, value }
    }
}

impl From<JobOptions> for Parsed<JobOptions> {
    /// Returns the options as they are read from a row, in canonical form.
    fn from(options: JobOptions) -> Self {
        Self::from(options.to_json())
    }
}
