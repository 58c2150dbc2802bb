//! Checks of the logs that all tests produce.

use std::sync::LazyLock;

use serde_json::Value;

static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema = include_str!("../../../docs/log.schema.json");
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
});

/// Fields of log lines, with their documentation in the schema.
static DOCUMENTED: LazyLock<Value> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/log.schema.json")).unwrap();
    schema["properties"].clone()
});

/// Parses a log and fails if a line does not match `docs/log.schema.json`. Text logs are not checked.
pub(super) fn check(log: &str) -> Vec<Value> {
    if !log.starts_with('{') {
        return Vec::new();
    }
    let parse = |line: &str| {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in log line {line}"));
        let errors: Vec<_> = SCHEMA
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?} in log line {line}");
        for name in value.as_object().unwrap().keys() {
            // Dotted names are for readers of several programs, and have to be documented.
            let documented = !name.contains('.') || DOCUMENTED.get(name).is_some();
            assert!(documented, "{name} is not in docs/log.schema.json: {line}");
        }
        value
    };
    log.lines().map(parse).collect()
}
