//! Changes of jobs by operators: cancel, retry, keep and release.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use videoframes_core::jobs::{Hold, JobId, VideoJob};

use super::extract::{JobInPath, JsonBody};
use super::{Api, to_the_end};
use crate::http::identity::Actor;
use crate::http::problem::Problem;
use crate::http::request::{ChangeMany, MAX_CHANGES};
use crate::jobs::{Change, Tally, change_job, change_jobs, count_jobs};

/// Maximum number of jobs that a dry run counts.
const MAX_COUNTED: u64 = 10_000;

pub(crate) async fn cancel(
    State(api): State<Arc<Api>>,
    actor: Actor,
    JobInPath(id): JobInPath,
) -> Result<Json<VideoJob>, Problem> {
    to_the_end(api.change_one(actor, id, Change::Cancel)).await
}

pub(crate) async fn retry(
    State(api): State<Arc<Api>>,
    actor: Actor,
    JobInPath(id): JobInPath,
) -> Result<Json<VideoJob>, Problem> {
    to_the_end(api.change_one(actor, id, Change::Retry)).await
}

pub(crate) async fn keep(
    State(api): State<Arc<Api>>,
    actor: Actor,
    JobInPath(id): JobInPath,
) -> Result<Json<VideoJob>, Problem> {
    to_the_end(api.hold(actor, id, Hold::Keep)).await
}

pub(crate) async fn release(
    State(api): State<Arc<Api>>,
    actor: Actor,
    JobInPath(id): JobInPath,
) -> Result<Json<VideoJob>, Problem> {
    to_the_end(api.hold(actor, id, Hold::Release)).await
}

#[derive(Debug, Serialize)]
pub(crate) struct ChangedMany {
    #[serde(flatten)]
    tally: Tally,
    /// Whether a repetition of the request would change further jobs.
    more: bool,
}

pub(crate) async fn cancel_all(
    State(api): State<Arc<Api>>,
    actor: Actor,
    JsonBody(request): JsonBody<ChangeMany>,
) -> Result<Json<ChangedMany>, Problem> {
    to_the_end(api.change_many(actor, request, Change::Cancel)).await
}

pub(crate) async fn retry_all(
    State(api): State<Arc<Api>>,
    actor: Actor,
    JsonBody(request): JsonBody<ChangeMany>,
) -> Result<Json<ChangedMany>, Problem> {
    to_the_end(api.change_many(actor, request, Change::Retry)).await
}

impl Api {
    async fn change_one(
        self: Arc<Self>,
        actor: Actor,
        id: JobId,
        change: Change,
    ) -> Result<Json<VideoJob>, Problem> {
        let job = change_job(&*self.repo().await?, id, change).await?;
        let job = job.ok_or_else(|| Problem::no_job(id))?;
        self.lists.forget();
        actor.changed_job(name(change), id);
        if change == Change::Retry {
            self.relay();
        }
        Ok(Json(job))
    }

    async fn hold(self: Arc<Self>, actor: Actor, id: JobId, hold: Hold) -> Result<Json<VideoJob>, Problem> {
        let job = self.repo().await?.hold(id, hold).await?;
        let job = job.ok_or_else(|| Problem::no_job(id))?;
        self.lists.forget();
        let action = match hold {
            Hold::Keep => "keep",
            Hold::Release => "release",
        };
        actor.changed_job(action, id);
        Ok(Json(job))
    }

    async fn change_many(
        self: Arc<Self>,
        actor: Actor,
        request: ChangeMany,
        change: Change,
    ) -> Result<Json<ChangedMany>, Problem> {
        let dry_run = request.dry_run;
        let filter = request.filter(&change.statuses())?;
        let mut tally = Tally::default();
        if filter.ids.is_empty() && filter.statuses.is_empty() {
            // No job has a status to which the change applies.
            return Ok(Json(ChangedMany { tally, more: false }));
        }
        let busy = |_| Problem::unavailable("another operation on many jobs is in progress");
        let _turn = self.bulk.try_acquire().map_err(busy)?;
        let repo = self.repo.as_ref();
        if dry_run {
            let go_on = |_, tally: &Tally| tally.total() < MAX_COUNTED;
            let complete = count_jobs(repo, filter, change, &mut tally, go_on).await?;
            return Ok(Json(ChangedMany {
                tally,
                more: !complete,
            }));
        }
        let go_on = |tally: &Tally| tally.total() < MAX_CHANGES as u64;
        let ended = change_jobs(repo, filter, change, &mut tally, go_on).await;
        // Also after an error in the middle.
        if tally.total() > 0 {
            self.lists.forget();
            actor.changed(name(change), &tally.summary(change));
            if change == Change::Retry {
                self.relay();
            }
        }
        Ok(Json(ChangedMany { more: !ended?, tally }))
    }
}

fn name(change: Change) -> &'static str {
    match change {
        Change::Cancel => "cancel",
        Change::Retry => "retry",
    }
}
