//! Statistics, and the workers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::Mutex;
use videoframes_core::fleet::FleetRegistry;
use videoframes_core::jobs::{JobFilter, JobStatus};

use super::Api;
use crate::http::problem::Problem;
use crate::stats::Stats;
use crate::workers::WorkerList;

/// Time for which all clients get the same numbers.
const FRESH: Duration = Duration::from_secs(1);

/// The latest numbers, as JSON.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    stats: Cached,
    workers: Cached,
}

/// A text that is read again when it is no longer fresh.
#[derive(Debug, Default)]
struct Cached(Mutex<Option<(Instant, Arc<str>)>>);

impl Cached {
    /// Returns the text. Clients that wait for the same text share one call of `read`.
    async fn get(&self, read: impl Future<Output = Result<String, Problem>>) -> Result<Arc<str>, Problem> {
        let mut cached = self.0.lock().await;
        if let Some((at, text)) = &*cached
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(text));
        }
        let text: Arc<str> = read.await?.into();
        *cached = Some((Instant::now(), Arc::clone(&text)));
        Ok(text)
    }
}

pub(crate) async fn stats(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let read = async {
        // The numbers of the database are useful without the queue.
        let depth = api.queues.input.queue().depth().await.ok();
        let repo = api.repo().await?;
        json(&Stats::read(&*repo, depth).await?)
    };
    Ok(response(&api.statistics.stats.get(read).await?))
}

pub(crate) async fn workers(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let read = async {
        let filter = JobFilter::default().statuses([JobStatus::Processing]);
        let repo = api.repo().await?;
        let page = repo.list(&filter).await?;
        let workers = api.fleet.workers().await?;
        json(&WorkerList::new(&workers, &page.jobs, api.lease))
    };
    Ok(response(&api.statistics.workers.get(read).await?))
}

fn json(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value).map_err(|error| Problem::internal(&error))
}

fn response(json: &str) -> Response {
    let mut response = json.to_owned().into_response();
    let media_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}
