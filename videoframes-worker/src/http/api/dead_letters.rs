//! Dead-letter messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use videoframes_console::Failure;

use super::extract::{JsonBody, Params};
use super::{Api, to_the_end};
use crate::dlq::{DeadLetterMessage, DeadLetters, Redriven};
use crate::http::identity::Actor;
use crate::http::problem::Problem;

/// Default and maximum number of messages of a list or a request.
const LIMITS: [usize; 2] = [100, 1000];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListParams {
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(crate) struct List {
    messages: Vec<DeadLetterMessage>,
    /// Approximate number of all messages.
    depth: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redrive {
    ids: BTreeSet<String>,
}

pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Params(params): Params<ListParams>,
) -> Result<Json<List>, Problem> {
    let limit = params.limit.unwrap_or(LIMITS[0]);
    if !(1..=LIMITS[1]).contains(&limit) {
        return Err(Problem::bad_request(format!("limit: must be 1 to {}", LIMITS[1])));
    }
    // A list hides messages in SQS for a while: concurrent lists would each see a part.
    let read = async move |letters: &DeadLetters| {
        let depth = letters.depth().await?;
        let messages = letters.list(limit).await?;
        Ok(List { messages, depth })
    };
    api.on_dead_letter_messages(read).await.map(Json)
}

pub(crate) async fn redrive(
    State(api): State<Arc<Api>>,
    actor: Actor,
    JsonBody(request): JsonBody<Redrive>,
) -> Result<Json<Redriven>, Problem> {
    if !(1..=LIMITS[1]).contains(&request.ids.len()) {
        return Err(Problem::bad_request(format!(
            "ids: must have 1 to {} ids",
            LIMITS[1]
        )));
    }
    let subject = format!("{} dead-letter messages", request.ids.len());
    let redrive = async move |letters: &DeadLetters| letters.redrive(request.ids).await;
    to_the_end(async move {
        let redriven = api.on_dead_letter_messages(redrive).await?;
        actor.changed("redrive", &subject);
        Ok(Json(redriven))
    })
    .await
}

impl Api {
    /// Calls `work` with the queue of dead-letter messages, for one request at a time.
    ///
    /// The futures of these rare operations cannot move between threads.
    async fn on_dead_letter_messages<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&DeadLetters) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Problem> {
        let letters = Arc::clone(&self.dead_letters).lock_owned().await;
        let runtime = Handle::current();
        let done = tokio::task::spawn_blocking(move || runtime.block_on(work(&letters)));
        Ok(done.await.map_err(|error| Problem::internal(&error))??)
    }
}
