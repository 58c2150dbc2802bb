//! Filters and positions of lists, from queries and bodies.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use videoframes_console::options::wall_time;
use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::{ErrorCode, JobCursor, JobFilter, JobStatus};

use crate::http::problem::Problem;

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
    pub(super) fn from_json(fields: Map<String, Value>) -> Result<Self, Problem> {
        if let Some(unknown) = fields.keys().find(|name| !Self::NAMES.contains(&name.as_str())) {
            return Err(Problem::bad_request(format!(
                "filter: has the unknown field '{unknown}'"
            )));
        }
        let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
        if let Some((name, _)) = fields.iter().find(|(_, value)| is_empty(value)) {
            return Err(Problem::bad_request(format!("filter.{name}: must not be empty")));
        }
        serde_json::from_value(Value::Object(fields))
            .map_err(|error| Problem::bad_request(format!("filter: {error}")))
    }

    /// Converts the fields to a filter.
    pub(super) fn filter(&self) -> Result<JobFilter, Problem> {
        let statuses: Result<Vec<JobStatus>, Problem> =
            self.status.0.iter().map(|name| status(name)).collect();
        let codes: Result<Vec<&str>, Problem> =
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

fn status(name: &str) -> Result<JobStatus, Problem> {
    let names: Vec<&str> = JobStatus::ALL.into_iter().map(JobStatus::as_str).collect();
    name.parse()
        .map_err(|_| Problem::bad_request(format!("status: must be one of {}", names.join(", "))))
}

fn error_code(name: &str) -> Result<&'static str, Problem> {
    match ErrorCode::from_name(name) {
        Some(code) => Ok(code.as_str()),
        None => Err(Problem::bad_request(
            "error_code: must be a code such as NO_SPACE",
        )),
    }
}

fn duration(name: &str, text: Option<&str>) -> Result<Option<Duration>, Problem> {
    let text = text.filter(|text| !text.is_empty());
    let parsed = text.map(wall_time).transpose();
    parsed.map_err(|_| Problem::bad_request(format!("{name}: must be a duration such as 90s, 15m, 2h or 7d")))
}

/// A position in a list, as clients send it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position(pub(super) JobCursor);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.0.created_at.get(), self.0.id)
    }
}

impl FromStr for Position {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let invalid = || Problem::bad_request("after: must be the value of 'next' of a list");
        let (created_at, id) = text.split_once('_').ok_or_else(invalid)?;
        Ok(Self(JobCursor {
            created_at: UnixMillis::new(created_at.parse().map_err(|_| invalid())?),
            id: id.parse().map_err(|_| invalid())?,
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;
    use videoframes_core::jobs::JobId;

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

    #[test]
    fn positions_round_trip() {
        let position = Position(JobCursor {
            created_at: UnixMillis::new(1_764_470_000_123),
            id: JobId::random(),
        });
        assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        for text in ["", "1", "1_", "_1", "x_0192d5f2-7c1e-7cc2-8f5e-000000000000"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
