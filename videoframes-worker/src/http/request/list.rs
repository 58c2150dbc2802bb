//! Queries of lists of jobs.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::{JobCursor, JobFilter};

use super::filter::FilterFields;
use super::invalid::InvalidRequest;

/// Default and maximum number of jobs of a list.
const LIMITS: [u32; 2] = [50, 200];

/// Names of the fields of [`Page`].
const PAGE: [&str; 2] = ["limit", "after"];

/// The page of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    limit: Option<u32>,
    after: Option<String>,
}

/// Parses the parameters of a query.
pub(crate) fn parameters<T: DeserializeOwned>(uri: &Uri) -> Result<T, InvalidRequest> {
    match Query::try_from_uri(uri) {
        Ok(Query(parameters)) => Ok(parameters),
        Err(error) => Err(InvalidRequest::new(format!(
            "invalid query: {}",
            error.body_text()
        ))),
    }
}

/// Parses the query of a list of jobs. An unknown parameter is an error: without its condition, more jobs would match.
pub(crate) fn list_filter(uri: &Uri) -> Result<JobFilter, InvalidRequest> {
    let fields: FilterFields = parameters(uri)?;
    let page: Page = parameters(uri)?;
    let all: BTreeMap<String, String> = parameters(uri)?;
    let is_known =
        |name: &&String| FilterFields::NAMES.contains(&name.as_str()) || PAGE.contains(&name.as_str());
    if let Some(unknown) = all.keys().find(|name| !is_known(name)) {
        return Err(InvalidRequest::new(format!(
            "the parameter '{unknown}' is unknown"
        )));
    }
    let limit = page.limit.unwrap_or(LIMITS[0]);
    if !(1..=LIMITS[1]).contains(&limit) {
        return Err(InvalidRequest::new(format!("limit: must be 1 to {}", LIMITS[1])));
    }
    let after = page.after.as_deref().filter(|after| !after.is_empty());
    let after = after.map(str::parse::<Position>).transpose()?;
    let mut filter = fields.filter()?.limit(limit);
    filter.after = after.map(|Position(cursor)| cursor);
    Ok(filter)
}

/// A position in a list, as clients send it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) JobCursor);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.0.created_at.get(), self.0.id)
    }
}

impl FromStr for Position {
    type Err = InvalidRequest;

    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let invalid = || InvalidRequest::new("after: must be the value of 'next' of a list");
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
    use videoframes_core::jobs::{JobId, JobStatus};

    use super::*;

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

    #[test]
    fn a_query_is_a_filter_with_a_page() {
        let of = |query: &str| list_filter(&format!("/api/v1/jobs?{query}").parse().unwrap());
        let after = "1764470000123_0192d5f2-7c1e-7cc2-8f5e-000000000000";
        let filter = of(&format!("status=failed&limit=200&after={after}")).unwrap();
        assert_eq!(filter.statuses, [JobStatus::Failed]);
        assert_eq!((filter.limit, of("after=").unwrap().limit), (Some(200), Some(50)));
        assert_eq!(
            filter.after,
            after.parse::<Position>().ok().map(|Position(cursor)| cursor)
        );
        for (query, expected) in [
            ("limit=0", "limit: must be 1 to 200"),
            ("limit=201", "limit: must be 1 to 200"),
            ("state=failed", "the parameter 'state' is unknown"),
            ("after=1", "after: must be the value of 'next' of a list"),
            ("limit=x", "invalid query"),
        ] {
            let InvalidRequest(detail) = of(query).unwrap_err();
            assert!(detail.contains(expected), "{query}: {detail}");
        }
    }
}
