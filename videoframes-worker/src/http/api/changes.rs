//! Changes of jobs by operators: cancel, retry, keep and release.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use videoframes_core::jobs::{Hold, JobFilter, JobId, VideoJob};

use super::extract::{JobInPath, JsonBody};
use super::filter::FilterFields;
use super::{Api, to_the_end};
use crate::http::identity::Actor;
use crate::http::problem::Problem;
use crate::jobs::{Change, Tally, change_job, change_jobs, count_jobs};

/// Maximum number of jobs that one request names or changes.
const MAX_CHANGES: usize = 1000;
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

/// Which jobs to change: either by identifiers or by a filter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeMany {
    ids: Option<Vec<JobId>>,
    filter: Option<Map<String, Value>>,
    #[serde(default)]
    dry_run: bool,
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

impl ChangeMany {
    /// Returns the filter, whose default statuses are those that the change applies to.
    fn filter(self, change: Change) -> Result<JobFilter, Problem> {
        match (self.ids, self.filter) {
            (Some(ids), None) if !ids.is_empty() && ids.len() <= MAX_CHANGES => {
                Ok(JobFilter::default().ids(ids))
            }
            (Some(_), None) => Err(Problem::bad_request(format!(
                "ids: must have 1 to {MAX_CHANGES} ids"
            ))),
            (None, Some(fields)) => {
                let filter = FilterFields::from_json(fields)?.filter()?;
                let applicable = change.statuses();
                let statuses = match filter.statuses.is_empty() {
                    true => applicable,
                    false => {
                        // Jobs with other statuses may be many, and none of them can be changed.
                        let requested = filter.statuses.iter().copied();
                        requested.filter(|status| applicable.contains(status)).collect()
                    }
                };
                Ok(filter.statuses(statuses))
            }
            _ => Err(Problem::bad_request("the body must have either ids or a filter")),
        }
    }
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
        let filter = request.filter(change)?;
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
