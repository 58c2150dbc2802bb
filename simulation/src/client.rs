//! The client: submits jobs, repeats requests without an answer, cancels, retries and holds.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use videoframes_core::jobs::{Enqueue, Hold, JobFilter, JobId, JobMessage, JobRepo, JobRepoError};
use videoframes_core::queue::Outgoing;

use crate::faults::{Actor, Millis};
use crate::life::Life;
use crate::plan::{Request, Route};
use crate::queue::{Which, shared};
use crate::repo::SimulatedRepo;
use crate::world::{World, now, until};

/// Pause before a request is repeated.
const PAUSE: Duration = Duration::from_secs(2);

/// Returns the message that requests a job.
fn message(world: &World, job: usize, conflicting: bool) -> Value {
    let plan = &world.plan.scenario.jobs[job];
    let mut body = json!({
        "version": 1,
        "source": {"key": plan.source},
        "selection": {"count": plan.pictures + u64::from(conflicting)},
        "limits": {"deadline_s": plan.deadline_s},
        "client_metadata": {"job": job},
    });
    if plan.has_key {
        body["idempotency_key"] = json!(format!("key {job}"));
    }
    if let Some(key) = plan.output {
        body["output"] = json!({"key": key});
    }
    body
}

/// Performs a request at its time.
pub(crate) async fn request(world: Arc<World>, at: Millis, request: Request) {
    until(&world, at).await;
    let life = Life::new(&world, Actor::Client);
    let repo = SimulatedRepo { life: life.clone() };
    match request {
        Request::Submit {
            job,
            route: Route::Message,
            conflicting,
        } => {
            let body = [Outgoing::new(message(&world, job, conflicting).to_string())];
            let queue = shared(&life, Which::Input);
            while queue.send(&body).await.is_err() {
                sleep(PAUSE).await;
            }
            world.state().checker.sent.insert(job);
        }
        Request::Submit { job, conflicting, .. } => submit(&world, &repo, job, conflicting).await,
        Request::Cancel { job } => {
            for job in jobs(&world, job) {
                let _ = answered(|| repo.cancel(job)).await;
            }
        }
        Request::Retry { job } => {
            for job in jobs(&world, job) {
                let _ = answered(|| repo.retry(job)).await;
            }
        }
        Request::Hold { job } => {
            for job in jobs(&world, job) {
                let _ = answered(|| repo.hold(job, Hold::Keep)).await;
            }
        }
    }
}

async fn submit(world: &World, repo: &SimulatedRepo, job: usize, conflicting: bool) {
    let body = message(world, job, conflicting).to_string();
    let Ok(JobMessage::Asked(request)) = JobMessage::parse(&body) else {
        return world.violate("the client sent an invalid request");
    };
    let new = request.into_job(None, Duration::from_secs(3 * 3600));
    let answer = answered(|| repo.submit(std::slice::from_ref(&new), Enqueue::ThroughOutbox)).await;
    if let Ok(submitted) = answer {
        let ids = submitted.into_iter().map(|submitted| submitted.id);
        world.state().checker.accepted.extend(ids);
    }
}

/// Repeats a call until it is answered.
async fn answered<T, F: Future<Output = Result<T, JobRepoError>>>(
    call: impl Fn() -> F,
) -> Result<T, JobRepoError> {
    loop {
        match call().await {
            Err(error) if error.is_retryable() => sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

/// Returns the rows of a job of the plan.
fn jobs(world: &World, job: usize) -> Vec<JobId> {
    let page = now(world.repo.list(&JobFilter::default())).and_then(Result::ok);
    let rows = page.map(|page| page.jobs).unwrap_or_default();
    let meant = json!({"job": job});
    let rows = rows
        .iter()
        .filter(|row| row.client_metadata.as_ref() == Some(&meant));
    rows.map(|row| row.id).collect()
}
