//! Filters of jobs, from queries and bodies.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use videoframes_core::jobs::{ErrorCode, JobFilter, JobStatus};
use videoframes_core::units::{approximate_duration, parse_time};

use super::invalid::InvalidRequest;

/// The filters of a list, and of changes of many jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct FilterFields {
    pub(super) status: Names,
    pub(super) error_code: Names,
    pub(super) older_than: Option<String>,
    pub(super) newer_than: Option<String>,
    pub(super) source_bucket: Option<String>,
    pub(super) source_prefix: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) text: Option<String>,
    pub(super) kept: bool,
}

/// Names: a list in JSON, or a text with commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            List(Vec<String>),
            Text(String),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::List(names) => names,
            Form::Text(text) => text
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        }))
    }
}

impl FilterFields {
    /// Names of the fields.
    pub(super) const NAMES: [&str; 9] = [
        "status",
        "error_code",
        "older_than",
        "newer_than",
        "source_bucket",
        "source_prefix",
        "tenant",
        "text",
        "kept",
    ];

    /// Reads the fields of a body. An unknown field is an error: without its condition, more jobs would match.
    pub(super) fn from_json(fields: Map<String, Value>) -> Result<Self, InvalidRequest> {
        if let Some(unknown) = fields.keys().find(|name| !Self::NAMES.contains(&name.as_str())) {
            return Err(InvalidRequest::new(format!(
                "filter: has the unknown field '{unknown}'"
            )));
        }
        let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
        if let Some((name, _)) = fields.iter().find(|(_, value)| is_empty(value)) {
            return Err(InvalidRequest::new(format!("filter.{name}: must not be empty")));
        }
        serde_json::from_value(Value::Object(fields))
            .map_err(|error| InvalidRequest::new(format!("filter: {error}")))
    }

    /// Converts the fields to a filter.
    pub(super) fn filter(&self) -> Result<JobFilter, InvalidRequest> {
        let statuses: Result<Vec<JobStatus>, InvalidRequest> =
            self.status.0.iter().map(|name| status(name)).collect();
        let codes: Result<Vec<&str>, InvalidRequest> =
            self.error_code.0.iter().map(|name| error_code(name)).collect();
        let mut filter = JobFilter::default().statuses(statuses?).error_codes(codes?);
        filter.older_than = duration("older_than", self.older_than.as_deref())?;
        filter.newer_than = duration("newer_than", self.newer_than.as_deref())?;
        filter.source_bucket = some(self.source_bucket.as_ref());
        filter.source_prefix = some(self.source_prefix.as_ref());
        filter.tenant = some(self.tenant.as_ref());
        filter.text = some(self.text.as_ref());
        filter.kept = self.kept;
        Ok(filter)
    }
}

/// Returns a text that is not empty.
fn some(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn status(name: &str) -> Result<JobStatus, InvalidRequest> {
    let names: Vec<&str> = JobStatus::ALL.into_iter().map(JobStatus::as_str).collect();
    name.parse()
        .map_err(|_| InvalidRequest::new(format!("status: must be one of {}", names.join(", "))))
}

fn error_code(name: &str) -> Result<&'static str, InvalidRequest> {
    match ErrorCode::from_name(name) {
        Some(code) => Ok(code.as_str()),
        None => Err(InvalidRequest::new("error_code: must be a code such as NO_SPACE")),
    }
}

fn duration(name: &str, text: Option<&str>) -> Result<Option<Duration>, InvalidRequest> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let duration = parse_time(text).ok().and_then(approximate_duration);
    match duration.filter(|duration| !duration.is_zero()) {
        Some(duration) => Ok(Some(duration)),
        None => Err(InvalidRequest::new(format!(
            "{name}: must be a duration such as 90s, 15m, 2h or 7d"
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_are_the_same_in_queries_and_bodies() {
        let body = json!({"status": ["failed", "cancelled"], "error_code": ["NO_SPACE"], "older_than": "2h", "kept": true});
        let body: FilterFields = serde_json::from_value(body).unwrap();
        let uri = "/?status=failed,cancelled&error_code=NO_SPACE&older_than=2h&kept=true&text=";
        let query = axum::extract::Query::<FilterFields>::try_from_uri(&uri.parse().unwrap()).unwrap();
        let filter = body.filter().unwrap();
        assert_eq!(query.0.filter().unwrap(), filter);
        assert_eq!(filter.statuses, [JobStatus::Failed, JobStatus::Cancelled]);
        assert_eq!(filter.older_than, Some(Duration::from_secs(7200)));
        let Value::Object(unknown) = json!({"state": "failed"}) else {
            unreachable!()
        };
        assert!(FilterFields::from_json(unknown).is_err());
        for empty in [json!({"source_prefix": ""}), json!({"text": null})] {
            let Value::Object(empty) = empty else {
                unreachable!()
            };
            assert!(FilterFields::from_json(empty).is_err());
        }
        for invalid in [
            json!({"status": "done"}),
            json!({"error_code": "nothing"}),
            json!({"newer_than": "soon"}),
        ] {
            let fields: FilterFields = serde_json::from_value(invalid.clone()).unwrap();
            assert!(fields.filter().is_err(), "{invalid}");
        }
    }
}
