//! The OpenAPI document: the operations, with the schema of job messages from the library.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use videoframes_core::jobs::MESSAGE_SCHEMA;

/// The operations, without the schema of a request for a job.
const OPERATIONS: &str = include_str!("openapi.json");
/// Path of the schemas in the document.
const SCHEMAS: &str = "#/components/schemas";

/// Returns the document as JSON.
pub(super) fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        let document = compose(OPERATIONS, MESSAGE_SCHEMA);
        // A test shows that both parts are valid.
        document.map_or_else(|_| String::new(), |document| document.to_string())
    });
    &DOCUMENT
}

/// Adds the schema of job messages and its definitions to the schemas of the operations.
fn compose(operations: &str, message_schema: &str) -> serde_json::Result<Value> {
    let mut document: Value = serde_json::from_str(operations)?;
    let mut request: Map<String, Value> = serde_json::from_str(message_schema)?;
    let definitions = match request.remove("$defs") {
        Some(Value::Object(definitions)) => definitions,
        _ => Map::new(),
    };
    for name in ["$schema", "$id"] {
        request.remove(name);
    }
    request.insert("required".to_owned(), serde_json::json!(["source"]));
    let mut added: Vec<(String, Value)> = vec![("JobRequest".to_owned(), request.into())];
    added.extend(
        definitions
            .into_iter()
            .map(|(name, schema)| (format!("JobRequest.{name}"), schema)),
    );
    for (name, mut schema) in added {
        move_references(&mut schema);
        document["components"]["schemas"][name] = schema;
    }
    Ok(document)
}

/// Changes references within the schema of job messages to references within the document.
fn move_references(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref") {
                if let Some(name) = target.strip_prefix("#/$defs/") {
                    *target = format!("{SCHEMAS}/JobRequest.{name}");
                } else if let Some(path) = target.strip_prefix("#/") {
                    *target = format!("{SCHEMAS}/JobRequest/{path}");
                }
            }
            fields.values_mut().for_each(move_references);
        }
        Value::Array(items) => items.iter_mut().for_each(move_references),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn all_references_of_the_document_resolve() {
        let document: Value = serde_json::from_str(document()).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(
            found.iter().any(|target| target.contains("JobRequest.")),
            "{found:?}"
        );
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn the_document_accepts_the_requests_that_clients_send() {
        let document: Value = serde_json::from_str(document()).unwrap();
        let schema = serde_json::json!({"$ref": format!("{SCHEMAS}/JobRequest"), "components": document["components"]});
        let validator = jsonschema::validator_for(&schema).unwrap();
        let request = serde_json::json!({"source": {"key": "v.mp4"}, "selection": {"fps": 2}, "outputs": {"sheet": {}}});
        assert!(validator.is_valid(&request));
        assert!(!validator.is_valid(&serde_json::json!({"selection": {"fps": 2}})));
    }
}
