//! The outbox, brought to its queues.

use std::time::Duration;

use uuid::Uuid;

use super::Parts;
use super::fault::{self, Point};
use super::telemetry;
use crate::jobs::{JobRepo, JobRepoError, OutboxDestination, OutboxMessage};
use crate::queue::{Outgoing, Queue, QueueError};

/// Messages that are sent together.
const BATCH: u32 = 10;

/// What one pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relayed {
    /// Messages that were sent.
    pub sent: u64,
    /// Messages that no queue took; they wait until nobody holds them any more.
    pub failed: u64,
}

/// Sends what waits in the outbox, until nothing does. A message is marked only after it was sent, so
/// it may be sent twice, under the same id.
///
/// # Errors
/// Of the repository. What a queue does not take is counted.
pub async fn relay(
    repo: &dyn JobRepo,
    input: &dyn Queue,
    notifier: &dyn Queue,
    hold: Duration,
) -> Result<Relayed, JobRepoError> {
    let mut done = Relayed::default();
    loop {
        let messages = repo.take_outbox(BATCH, hold).await?;
        if messages.is_empty() {
            return Ok(done);
        }
        fault::reached(Point::RelayTaken);
        let mut sent: Vec<Uuid> = Vec::with_capacity(messages.len());
        for (destination, queue) in [
            (OutboxDestination::Notifier, notifier),
            (OutboxDestination::Input, input),
        ] {
            let batch = messages
                .iter()
                .filter(|message| message.destination == destination);
            let batch: Vec<&OutboxMessage> = batch.collect();
            if !batch.is_empty() {
                sent.extend(send(queue, &batch).await);
            }
        }
        fault::reached(Point::RelaySent);
        let failed = messages.len() - sent.len();
        if !sent.is_empty() {
            repo.outbox_sent(&sent).await?;
        }
        done.sent += sent.len() as u64;
        done.failed += failed as u64;
        telemetry::published("ok", sent.len() as u64);
        telemetry::published("error", failed as u64);
        if failed > 0 {
            return Ok(done);
        }
    }
}

/// The ids of those that were sent.
async fn send(queue: &dyn Queue, batch: &[&OutboxMessage]) -> Vec<Uuid> {
    let outgoing: Vec<Outgoing> = batch
        .iter()
        .map(|message| Outgoing {
            deduplication_id: Some(message.id.to_string()),
            group: Some(message.job.to_string()),
            ..Outgoing::new(message.body.clone())
        })
        .collect();
    let complain = |error: &QueueError| {
        let error = error as &dyn std::error::Error;
        tracing::warn!(
            error,
            queue = queue.name(),
            "a message of the outbox was not sent"
        );
    };
    match queue.send(&outgoing).await {
        Err(error) => {
            complain(&error);
            Vec::new()
        }
        Ok(each) => {
            each.iter()
                .filter_map(|answer| answer.as_ref().err())
                .for_each(complain);
            let sent = batch.iter().zip(&each).filter(|(_, answer)| answer.is_ok());
            sent.map(|(message, _)| message.id).collect()
        }
    }
}

impl Parts {
    pub(super) async fn relay(&self, hold: Duration) -> Result<Relayed, JobRepoError> {
        let repo = self.repo.as_ref();
        relay(repo, self.input.as_ref(), self.notifier.as_ref(), hold).await
    }
}
