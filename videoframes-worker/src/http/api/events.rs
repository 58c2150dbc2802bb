//! Progress of a job as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Api;
use super::extract::JobInPath;
use super::feed::Followed;
use crate::http::problem::Problem;

/// Interval of comments that keep the connection open, and show a lost client.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Maximum duration of a response: clients reconnect, with a token that may be revoked since.
const MAX_DURATION: Duration = Duration::from_secs(300);

/// What to send next.
enum Next {
    /// The latest state.
    State(watch::Receiver<Followed>),
    /// The state after the next change.
    Change(watch::Receiver<Followed>),
    End,
    Nothing,
}

pub(crate) async fn follow(
    State(api): State<Arc<Api>>,
    JobInPath(id): JobInPath,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    api.job(id).await?;
    let states = api.feed.follow(id);
    let stop = api.stop.clone();
    let end = Instant::now() + MAX_DURATION;
    let events = stream::unfold((Next::State(states), stop, end), async |(next, stop, end)| {
        let next = tokio::time::timeout_at(end, stop.run_until_cancelled(event(next)));
        let (event, next) = next.await.ok()???;
        Some((Ok(event), (next, stop, end)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Returns the next event of a job. The last event is `end`, when the job is terminal or deleted.
async fn event(next: Next) -> Option<(Event, Next)> {
    let mut states = match next {
        Next::State(states) => states,
        Next::Change(mut states) => {
            states.changed().await.ok()?;
            states
        }
        Next::End => return Some((Event::default().event("end").data(""), Next::Nothing)),
        Next::Nothing => return None,
    };
    loop {
        let state = states.borrow_and_update().clone();
        match state {
            Followed::Job(job) => {
                let event = Event::default().event("job").json_data(&*job).ok()?;
                let next = match job.status.is_terminal() {
                    true => Next::End,
                    false => Next::Change(states),
                };
                return Some((event, next));
            }
            Followed::Deleted => return Some((Event::default().event("end").data(""), Next::Nothing)),
            Followed::Unread => states.changed().await.ok()?,
        }
    }
}
