//! A queue with faults.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::Instant;
use videoframes_core::queue::{Depth, Message, Outgoing, Queue, QueueError, ReceiptHandle};

use crate::faults::Op;
use crate::life::Life;
use crate::world::{World, now};

/// Which queue of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Input,
    Notifier,
}

/// The connection of a participant to a queue.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedQueue {
    pub(crate) life: Life,
    pub(crate) which: Which,
}

impl SimulatedQueue {
    fn of<'a>(&self, world: &'a World) -> &'a dyn Queue {
        match self.which {
            Which::Input => &world.input,
            Which::Notifier => &world.notifier,
        }
    }

    /// Receives messages without a wait, and drops lost ones.
    fn take(&self, most: usize, visibility: Duration) -> Result<Vec<Message>, QueueError> {
        let world = &self.life.world;
        let queue = self.of(world);
        let received = now(queue.receive(most, visibility, Duration::ZERO));
        let mut messages = received.unwrap_or(Ok(Vec::new()))?;
        let lost_before = world.state().lost_before;
        messages.retain(|message| {
            let lost = self.which == Which::Input && message.sent_at < lost_before;
            if lost {
                let _ = now(queue.delete(std::slice::from_ref(&message.receipt)));
            }
            !lost
        });
        for message in &messages {
            world.received(message);
        }
        Ok(messages)
    }
}

fn unavailable() -> QueueError {
    QueueError::Unavailable {
        action: "reach",
        queue: "simulated".to_owned(),
        source: "simulated fault".into(),
    }
}

/// Returns the subject of a message: the job that it names.
pub(crate) fn subject(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let named = [&body["job_id"], &body["subject"], &body["client_metadata"]];
    let named = named.into_iter().find(|value| !value.is_null());
    named.map_or(String::new(), |value| match value.as_str() {
        Some(text) => text.to_owned(),
        None => format!("request {value}"),
    })
}

#[async_trait]
impl Queue for SimulatedQueue {
    fn name(&self) -> &str {
        match self.which {
            Which::Input => "input",
            Which::Notifier => "notifier",
        }
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let (own, messages) = (self.clone(), messages.to_vec());
        let subjects: Vec<String> = messages.iter().map(|message| subject(&message.body)).collect();
        let subject = format!("{} {}", self.name(), subjects.join(" "));
        let effect = move || {
            let world = &own.life.world;
            // A standard queue does not deduplicate.
            let messages: Vec<Outgoing> = messages
                .iter()
                .map(|message| {
                    Outgoing::new(message.body.clone())
                        .attributes(message.attributes.clone())
                        .delay(message.delay)
                })
                .collect();
            let sent = now(own.of(world).send(&messages)).unwrap_or_else(|| Err(unavailable()));
            if own.which == Which::Notifier {
                messages.iter().for_each(|message| world.notified(&message.body));
            }
            world.arrived.notify_waiters();
            sent
        };
        self.life.call(Op::Send, subject, unavailable, effect).await
    }

    async fn receive(
        &self,
        max_messages: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        let end = Instant::now() + wait;
        loop {
            let waiting = now(self.of(&self.life.world).depth());
            let is_visible = waiting.is_some_and(|depth| depth.is_ok_and(|depth| depth.visible > 0));
            if !is_visible && Instant::now() < end {
                self.life.arrival(end).await;
                continue;
            }
            let own = self.clone();
            let effect = move || own.take(max_messages, visibility);
            let received = self
                .life
                .call(Op::Receive, self.name(), unavailable, effect)
                .await?;
            if !received.is_empty() || Instant::now() >= end {
                return Ok(received);
            }
        }
    }

    async fn set_visibility(&self, receipt: &ReceiptHandle, duration: Duration) -> Result<(), QueueError> {
        let (own, receipt) = (self.clone(), receipt.clone());
        let effect = move || {
            let world = &own.life.world;
            let set = now(own.of(world).set_visibility(&receipt, duration));
            world.arrived.notify_waiters();
            set.unwrap_or_else(|| Err(unavailable()))
        };
        let subject = format!("{} {} s", self.name(), duration.as_secs());
        self.life
            .call(Op::SetVisibility, subject, unavailable, effect)
            .await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let (own, receipts) = (self.clone(), receipts.to_vec());
        let effect = move || {
            let world = &own.life.world;
            for receipt in &receipts {
                world.deleting(receipt);
            }
            now(own.of(world).delete(&receipts)).unwrap_or_else(|| Err(unavailable()))
        };
        self.life.call(Op::Delete, self.name(), unavailable, effect).await
    }

    async fn dead_letter(&self, message: &Message, reason: &str) -> Result<(), QueueError> {
        let (own, message, reason) = (self.clone(), message.clone(), reason.to_owned());
        let subject = format!("{} {reason}", subject(&message.body));
        let effect = move || {
            let world = &own.life.world;
            world.count("event: dead-letter message");
            now(own.of(world).dead_letter(&message, &reason)).unwrap_or_else(|| Err(unavailable()))
        };
        self.life.call(Op::DeadLetter, subject, unavailable, effect).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let own = self.clone();
        let effect = move || now(own.of(&own.life.world).depth()).unwrap_or_else(|| Err(unavailable()));
        self.life.call(Op::Depth, self.name(), unavailable, effect).await
    }
}

/// Keeps the type of shared queues.
pub(crate) fn shared(life: &Life, which: Which) -> Arc<dyn Queue> {
    Arc::new(SimulatedQueue {
        life: life.clone(),
        which,
    })
}
