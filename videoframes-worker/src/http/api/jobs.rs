//! Lists of jobs, and single jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use videoframes_core::jobs::{JobId, JobPage, VideoJob};

use super::Api;
use super::extract::{JobInPath, Params};
use super::filter::{FilterFields, Position};
use crate::http::problem::Problem;
use crate::jobs::JobDetails;

/// Default and maximum number of jobs of a list.
const LIMITS: [u32; 2] = [50, 200];

/// Names of the fields of [`PageParams`].
const PAGE_PARAMS: [&str; 2] = ["limit", "after"];

/// The page of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PageParams {
    limit: Option<u32>,
    after: Option<String>,
}

#[derive(Debug, Serialize)]
struct JobList {
    jobs: Vec<VideoJob>,
    unreadable: Vec<Unreadable>,
    /// Position of the next list.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Unreadable {
    id: JobId,
    reason: String,
}

pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    uri: Uri,
    Params(fields): Params<FilterFields>,
    Params(page): Params<PageParams>,
    Params(all): Params<BTreeMap<String, String>>,
) -> Result<Response, Problem> {
    let is_known =
        |name: &String| FilterFields::NAMES.contains(&name.as_str()) || PAGE_PARAMS.contains(&name.as_str());
    if let Some(unknown) = all.keys().find(|name| !is_known(name)) {
        return Err(Problem::bad_request(format!(
            "the parameter '{unknown}' is unknown"
        )));
    }
    let limit = page.limit.unwrap_or(LIMITS[0]);
    if !(1..=LIMITS[1]).contains(&limit) {
        return Err(Problem::bad_request(format!("limit: must be 1 to {}", LIMITS[1])));
    }
    let after = page.after.as_deref().filter(|after| !after.is_empty());
    let after = after.map(str::parse::<Position>).transpose()?;
    let mut filter = fields.filter()?.limit(limit);
    filter.after = after.map(|Position(cursor)| cursor);
    let read = async { Ok(JobList::from(api.repo().await?.list(&filter).await?)) };
    api.lists.get(uri.query().unwrap_or_default(), read).await
}

impl From<JobPage> for JobList {
    fn from(page: JobPage) -> Self {
        let unreadable = page.unreadable.into_iter().map(|job| Unreadable {
            id: job.id,
            reason: job.reason,
        });
        Self {
            jobs: page.jobs,
            unreadable: unreadable.collect(),
            next: page.next.map(|cursor| Position(cursor).to_string()),
        }
    }
}

pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    JobInPath(id): JobInPath,
) -> Result<Json<JobDetails>, Problem> {
    let job = api.job(id).await?;
    let history = api.repo().await?.attempts(id).await?;
    Ok(Json(JobDetails { job, history }))
}

impl Api {
    /// Returns an existing job.
    pub(super) async fn job(&self, id: JobId) -> Result<VideoJob, Problem> {
        let job = self.repo().await?.get(id).await?;
        job.ok_or_else(|| Problem::no_job(id))
    }
}
