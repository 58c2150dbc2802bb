//! Dead-letter messages in the database.

use std::time::Duration;

use videoframes_console::{Failure, exit};
use videoframes_core::queue::{
    Arrival, DEAD_LETTER_REASON, DatabaseQueue, Message, Outgoing, Queue, QueueError, Waiting,
};
use videoframes_core::tenant::Tenants;

use super::message::{DeadLetterMessage, share};
use super::queue::DeadLetterQueue;

/// Visibility timeout of a message while others are received.
const VISIBILITY: Duration = Duration::from_secs(120);
/// Number of messages per page.
const PAGE: u32 = 500;

/// The queue of dead-letter messages in the database.
pub(crate) struct DatabaseDeadLetterQueue(pub(super) DatabaseQueue);

fn unavailable(error: &QueueError) -> Failure {
    Failure::because(exit::UNAVAILABLE, error)
}

impl DatabaseDeadLetterQueue {
    /// Reads pages from the first message on, until `enough` returns true.
    async fn browse(
        &self,
        mut enough: impl FnMut(&[DeadLetterMessage]) -> bool,
    ) -> Result<Vec<DeadLetterMessage>, Failure> {
        let mut messages = Vec::new();
        let mut after: Option<Arrival> = None;
        while !enough(&messages) {
            let page = self.0.browse(after, PAGE).await.map_err(|e| unavailable(&e))?;
            let Some(last) = page.last() else { break };
            after = Some(last.arrival);
            messages.extend(page.into_iter().map(dead_letter));
        }
        Ok(messages)
    }
}

fn dead_letter(waiting: Waiting) -> DeadLetterMessage {
    let mut attributes = waiting.attributes;
    DeadLetterMessage {
        id: waiting.arrival.get().to_string(),
        reason: attributes.remove(DEAD_LETTER_REASON),
        receive_count: waiting.receive_count,
        sent_at: Some(waiting.sent_at),
        attributes,
        body: waiting.body,
    }
}

/// The destination of redriven messages.
pub(crate) struct DatabaseDestination {
    pub(super) queue: DatabaseQueue,
    /// Weights of tenants.
    pub(super) tenants: Tenants,
}

impl DeadLetterQueue for DatabaseDeadLetterQueue {
    type Held = Message;
    type Destination = DatabaseDestination;

    fn dead_letter(&self, held: &Message) -> DeadLetterMessage {
        let mut attributes = held.attributes.clone();
        DeadLetterMessage {
            id: held.id.clone(),
            reason: attributes.remove(DEAD_LETTER_REASON),
            receive_count: held.receive_count,
            sent_at: None,
            attributes,
            body: held.body.clone(),
        }
    }

    async fn take(&self) -> Result<Vec<Message>, Failure> {
        let taken = self.0.receive(10, VISIBILITY, Duration::ZERO).await;
        taken.map_err(|e| unavailable(&e))
    }

    async fn give_back(&self, held: &Message) -> Result<(), Failure> {
        let done = self.0.set_visibility(&held.receipt, Duration::ZERO).await;
        done.map_err(|e| unavailable(&e))
    }

    async fn delete(&self, held: &Message) -> Result<(), Failure> {
        let done = self.0.delete(std::slice::from_ref(&held.receipt)).await;
        for answer in done.map_err(|e| unavailable(&e))? {
            answer.map_err(|e| unavailable(&e))?;
        }
        Ok(())
    }

    async fn copy(&self, held: &Message, to: &DatabaseDestination) -> Result<(), Failure> {
        let share = share(&held.body);
        let share = to.tenants.share(&share.tenant, share.priority);
        let mut message = Outgoing::new(held.body.clone()).share(share);
        message.attributes = held.attributes.clone();
        message.attributes.remove(DEAD_LETTER_REASON);
        // A repeated send is deduplicated as long as the first copy has not been received.
        message.deduplication_id = Some(format!("redrive-{}", held.id));
        for answer in to.queue.send(&[message]).await.map_err(|e| unavailable(&e))? {
            answer.map_err(|e| unavailable(&e))?;
        }
        Ok(())
    }

    async fn list(&self, max: usize) -> Result<Vec<DeadLetterMessage>, Failure> {
        let mut messages = self.browse(|messages| messages.len() >= max).await?;
        messages.truncate(max);
        Ok(messages)
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetterMessage>, Failure> {
        let Some(before) = id.parse::<i64>().ok().and_then(|id| id.checked_sub(1)) else {
            return Ok(None);
        };
        let next = self.0.browse(Some(Arrival::new(before)), 1).await;
        let next = next
            .map_err(|e| unavailable(&e))?
            .into_iter()
            .map(dead_letter)
            .next();
        Ok(next.filter(|message| message.id == id))
    }

    async fn depth(&self) -> Result<u64, Failure> {
        let depth = self.0.depth().await.map_err(|e| unavailable(&e))?;
        Ok(depth.visible + depth.in_flight + depth.delayed)
    }

    async fn purge(&self) -> Result<(), Failure> {
        self.0.purge().await.map_err(|e| unavailable(&e))?;
        Ok(())
    }
}
