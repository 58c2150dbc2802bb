//! Lists of jobs, and single jobs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;
use videoframes_core::jobs::{JobId, JobPage, VideoJob};

use super::Api;
use super::extract::JobInPath;
use crate::http::problem::Problem;
use crate::http::request::{Position, list_filter};
use crate::jobs::JobDetails;

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

pub(crate) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let filter = list_filter(&uri)?;
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
