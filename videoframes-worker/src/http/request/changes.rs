//! Bodies that select jobs to change.

use serde::Deserialize;
use serde_json::{Map, Value};
use videoframes_core::jobs::{JobFilter, JobId, JobStatus};

use super::filter::FilterFields;
use super::invalid::InvalidRequest;

/// Maximum number of jobs that one request names or changes.
pub(crate) const MAX_CHANGES: usize = 1000;

/// Which jobs to change: either by identifiers or by a filter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeMany {
    ids: Option<Vec<JobId>>,
    filter: Option<Map<String, Value>>,
    #[serde(default)]
    pub(crate) dry_run: bool,
}

impl ChangeMany {
    /// Returns the filter, which selects only jobs with a status to which the change applies.
    pub(crate) fn filter(self, applicable: &[JobStatus]) -> Result<JobFilter, InvalidRequest> {
        match (self.ids, self.filter) {
            (Some(ids), None) if !ids.is_empty() && ids.len() <= MAX_CHANGES => {
                Ok(JobFilter::default().ids(ids))
            }
            (Some(_), None) => Err(InvalidRequest::new(format!(
                "ids: must have 1 to {MAX_CHANGES} ids"
            ))),
            (None, Some(fields)) => {
                let filter = FilterFields::from_json(fields)?.filter()?;
                let statuses = match filter.statuses.is_empty() {
                    true => applicable.to_vec(),
                    false => {
                        // Jobs with other statuses may be many, and none of them can be changed.
                        let requested = filter.statuses.iter().copied();
                        requested.filter(|status| applicable.contains(status)).collect()
                    }
                };
                Ok(filter.statuses(statuses))
            }
            _ => Err(InvalidRequest::new("the body must have either ids or a filter")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_selects_only_jobs_that_it_applies_to() {
        let applicable = [JobStatus::Failed, JobStatus::Cancelled];
        let of = |body: Value| {
            serde_json::from_value::<ChangeMany>(body)
                .unwrap()
                .filter(&applicable)
        };
        for (filter, expected) in [
            (json!({}), &applicable[..]),
            (json!({"status": "failed,completed"}), &[JobStatus::Failed]),
            (json!({"status": ["completed"]}), &[]),
        ] {
            let found = of(json!({"filter": filter})).unwrap();
            assert_eq!(found.statuses, expected, "{filter}");
        }
        let id = JobId::random();
        assert_eq!(of(json!({"ids": [id]})).unwrap().ids, [id]);
        for body in [
            json!({}),
            json!({"ids": []}),
            json!({"ids": vec![id; MAX_CHANGES + 1]}),
            json!({"ids": [id], "filter": {}}),
            json!({"filter": {"state": "failed"}}),
        ] {
            assert!(of(body.clone()).is_err(), "{body}");
        }
    }
}
