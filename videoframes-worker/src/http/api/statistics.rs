//! Statistics, and the workers.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use videoframes_core::fleet::FleetRegistry;
use videoframes_core::jobs::{JobFilter, JobStatus};

use super::Api;
use crate::http::problem::Problem;
use crate::stats::Stats;
use crate::workers::WorkerList;

pub(crate) async fn stats(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let read = async {
        // The numbers of the database are useful without the queue.
        let depth = api.queues.input.depth().await.ok();
        let repo = api.repo().await?;
        Ok(Stats::read(&*repo, depth).await?)
    };
    api.statistics.get("stats", read).await
}

pub(crate) async fn workers(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let read = async {
        let filter = JobFilter::default().statuses([JobStatus::Processing]);
        let repo = api.repo().await?;
        let page = repo.list(&filter).await?;
        let workers = api.fleet.workers().await?;
        let list = WorkerList::new(&workers, &page.jobs, api.lease);
        serde_json::to_value(&list).map_err(|error| Problem::internal(&error))
    };
    api.statistics.get("workers", read).await
}
