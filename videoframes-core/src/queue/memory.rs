//! Messages in memory, for tests and small embedded uses.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    DEAD_LETTER_REASON, Depth, MAX_VISIBILITY, MESSAGE_BYTES, Message, Outgoing, Queue, QueueError,
    ReceiptHandle,
};
use crate::clock::{Clock, UnixMillis};
use crate::tenant::{next_rank, virtual_time};

/// Maximum number of messages per receive.
const MAX_RECEIVE: usize = 10;
/// Interval at which a waiting receive checks for due messages: a clock does not notify when it advances.
const POLL: Duration = Duration::from_millis(10);

/// A [`Queue`] in memory; clones share their messages.
///
/// Serves tenants and priorities fairly. Redelivers, counts and delays messages as SQS does, with time from a [`Clock`]; only the wait in `receive`
/// is real time. Limits visibility timeouts to [`MAX_VISIBILITY`]. Detects stale receipts. Of messages
/// with the same deduplication id, the queue keeps the first until it is deleted.
#[derive(Clone)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// In order of arrival.
    entries: Vec<Entry>,
    /// Last rank of each flow.
    flows: HashMap<String, i64>,
    dead_letter_queue: Option<DeadLetterQueue>,
}

#[derive(Clone)]
struct DeadLetterQueue {
    queue: MemoryQueue,
    max_receives: u32,
}

struct Entry {
    id: String,
    message: Outgoing,
    /// Time from which the message can be received.
    due: UnixMillis,
    receipt: Option<ReceiptHandle>,
    receive_count: u32,
    sent_at: UnixMillis,
    /// Order among the messages that can be received.
    rank: i64,
    /// Whether the message has a rank and was not received since.
    ready: bool,
}

impl MemoryQueue {
    /// Returns an empty queue without a dead-letter queue.
    pub fn new(name: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::new(Shared {
                name: name.into(),
                clock,
                state: Mutex::default(),
                changed: Notify::new(),
            }),
        }
    }

    /// Moves messages to `queue` after `max_receives` receipts (at least one) instead of redelivering them.
    ///
    /// `queue` must be a different queue. Applies to all clones.
    #[must_use]
    pub fn with_dead_letter_queue(self, queue: Self, max_receives: u32) -> Self {
        self.state().dead_letter_queue = Some(DeadLetterQueue {
            queue,
            max_receives: max_receives.max(1),
        });
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> UnixMillis {
        self.shared.clock.now()
    }

    /// Adds a message, unless the queue holds a message with the same deduplication id.
    fn push(&self, message: Outgoing) {
        let now = self.now();
        let due = now.after(message.delay.min(MAX_VISIBILITY));
        let mut state = self.state();
        let id = &message.deduplication_id;
        if id.is_some() && state.entries.iter().any(|e| e.message.deduplication_id == *id) {
            return;
        }
        state.entries.push(Entry {
            id: Uuid::new_v4().to_string(),
            message,
            due,
            receipt: None,
            receive_count: 0,
            sent_at: now,
            rank: 0,
            ready: false,
        });
        state.rank_due(now);
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// Receives messages that are due, and returns whether any messages are left that may become due.
    fn take(&self, max_messages: usize, visibility: Duration) -> (Vec<Message>, bool) {
        let now = self.now();
        let mut state = self.state();
        state.dead_letter_exhausted(now);
        state.rank_due(now);
        let due = state.entries.iter_mut().filter(|entry| entry.ready);
        let mut due: Vec<&mut Entry> = due.collect();
        // Stable: the order of arrival within a rank.
        due.sort_by_key(|entry| entry.rank);
        let taken = due
            .into_iter()
            .take(max_messages.clamp(1, MAX_RECEIVE))
            .map(|entry| entry.receive(now.after(visibility.min(MAX_VISIBILITY))))
            .collect();
        (taken, !state.entries.is_empty())
    }

    fn unavailable(&self, action: &'static str, reason: &'static str) -> QueueError {
        QueueError::Unavailable {
            action,
            queue: self.shared.name.clone(),
            source: reason.into(),
        }
    }
}

impl State {
    fn find(&mut self, receipt: &ReceiptHandle) -> Option<&mut Entry> {
        let mut entries = self.entries.iter_mut();
        entries.find(|entry| entry.receipt.as_ref() == Some(receipt))
    }

    /// Gives a rank to messages whose time has come, in the order of their times.
    fn rank_due(&mut self, now: UnixMillis) {
        let due = |entry: &(usize, &Entry)| !entry.1.ready && entry.1.due <= now;
        let due = self.entries.iter().enumerate().filter(due);
        let mut due: Vec<(UnixMillis, usize)> = due.map(|(n, entry)| (entry.due, n)).collect();
        due.sort_unstable();
        for (_, n) in due {
            let (ready, other): (Vec<&Entry>, Vec<&Entry>) =
                self.entries.iter().partition(|entry| entry.ready);
            let first = ready.into_iter().min_by_key(|entry| entry.rank);
            let virtual_time = virtual_time(
                other.into_iter().map(|entry| entry.rank).max(),
                first.map(|entry| entry.rank - entry.message.share.step()),
                self.flows.values().max().copied(),
            );
            let entry = &mut self.entries[n];
            let share = &entry.message.share;
            let flow = match entry.receive_count {
                0 => share.flow(),
                _ => share.flow_of_redelivery(),
            };
            entry.rank = next_rank(self.flows.get(&flow).copied(), virtual_time, share.step());
            entry.ready = true;
            self.flows.insert(flow, entry.rank);
        }
    }

    fn delete(&mut self, receipt: &ReceiptHandle) {
        self.entries
            .retain(|entry| entry.receipt.as_ref() != Some(receipt));
    }

    /// Moves messages that have been delivered too often to the dead-letter queue.
    fn dead_letter_exhausted(&mut self, now: UnixMillis) {
        let Some(dead) = self.dead_letter_queue.clone() else {
            return;
        };
        // Both queues are locked here, so that such a message is always visible in one of them.
        self.entries.retain(|entry| {
            let exhausted = entry.due <= now && entry.receive_count >= dead.max_receives;
            if exhausted {
                let reason = format!("received {} times", entry.receive_count);
                dead.queue.push(dead_letter(&entry.message, &reason));
            }
            !exhausted
        });
    }
}

impl Entry {
    fn receive(&mut self, due: UnixMillis) -> Message {
        self.due = due;
        self.ready = false;
        self.receive_count += 1;
        let receipt = ReceiptHandle(format!("{}/{}", self.id, self.receive_count));
        self.receipt = Some(receipt.clone());
        Message {
            id: self.id.clone(),
            body: self.message.body.clone(),
            attributes: self.message.attributes.clone(),
            receipt,
            receive_count: self.receive_count,
            sent_at: Some(self.sent_at),
            aws_trace_header: None,
        }
    }
}

/// Returns the message for the dead-letter queue, without its deduplication id so that it is always kept.
fn dead_letter(message: &Outgoing, reason: &str) -> Outgoing {
    let mut attributes = message.attributes.clone();
    attributes.insert(DEAD_LETTER_REASON.to_owned(), reason.to_owned());
    Outgoing {
        body: message.body.clone(),
        attributes,
        ..Outgoing::default()
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueue")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    fn name(&self) -> &str {
        &self.shared.name
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let send = |message: &Outgoing| match message.bytes() {
            bytes if bytes > MESSAGE_BYTES => Err(QueueError::TooLarge {
                bytes,
                limit: MESSAGE_BYTES,
            }),
            _ => {
                self.push(message.clone());
                Ok(())
            }
        };
        Ok(messages.iter().map(send).collect())
    }

    async fn receive(
        &self,
        max_messages: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        // No await point between taking messages and returning them: a call that is dropped while it waits
        // has taken none.
        let arrival = async {
            loop {
                let changed = self.shared.changed.notified();
                let (messages, more) = self.take(max_messages, visibility);
                if !messages.is_empty() {
                    return messages;
                }
                if more {
                    let _ = timeout(POLL, changed).await;
                } else {
                    changed.await;
                }
            }
        };
        Ok(timeout(wait, arrival).await.unwrap_or_default())
    }

    async fn set_visibility(&self, receipt: &ReceiptHandle, duration: Duration) -> Result<(), QueueError> {
        let now = self.now();
        let mut state = self.state();
        let held = state.find(receipt).filter(|entry| entry.due > now);
        let held = held.ok_or(QueueError::ReceiptLost)?;
        held.due = now.after(duration.min(MAX_VISIBILITY));
        held.ready = duration.is_zero();
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let mut state = self.state();
        Ok(receipts
            .iter()
            .map(|receipt| {
                state.delete(receipt);
                Ok(())
            })
            .collect())
    }

    async fn dead_letter(&self, message: &Message, reason: &str) -> Result<(), QueueError> {
        let mut state = self.state();
        let Some(dead) = state.dead_letter_queue.clone() else {
            return Err(self.unavailable("move a message to the dead-letter queue of", "there is none"));
        };
        let entry = state.find(&message.receipt).ok_or(QueueError::ReceiptLost)?;
        dead.queue.push(dead_letter(&entry.message, reason));
        state.delete(&message.receipt);
        Ok(())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let now = self.now();
        let mut depth = Depth::default();
        for entry in &self.state().entries {
            let count = match (&entry.receipt, entry.due > now) {
                (_, false) => &mut depth.visible,
                (Some(_), true) => &mut depth.in_flight,
                (None, true) => &mut depth.delayed,
            };
            *count += 1;
            if entry.due <= now {
                depth.oldest = depth.oldest.max(Some(now.since(entry.sent_at)));
            }
        }
        Ok(depth)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const HOUR: Duration = Duration::from_secs(3600);
    const TIMEOUT: Duration = Duration::from_secs(20);

    fn queue(clock: &Arc<ManualClock>) -> MemoryQueue {
        MemoryQueue::new("work", Arc::clone(clock) as Arc<dyn Clock>)
    }

    async fn receive(queue: &MemoryQueue, visibility: Duration) -> Option<Message> {
        queue.receive(1, visibility, Duration::ZERO).await.unwrap().pop()
    }

    #[tokio::test]
    async fn visibility_timeouts_are_limited_to_twelve_hours() {
        let clock = Arc::new(ManualClock::default());
        let queue = queue(&clock);
        queue.send(&[Outgoing::new("a")]).await.unwrap();
        let message = receive(&queue, 100 * HOUR).await.unwrap();
        queue.set_visibility(&message.receipt, 100 * HOUR).await.unwrap();
        clock.advance(11 * HOUR);
        assert_eq!(receive(&queue, HOUR).await, None);
        clock.advance(HOUR);
        assert!(receive(&queue, HOUR).await.is_some());
    }

    #[tokio::test]
    async fn an_exhausted_message_is_dead_lettered_with_the_reason() {
        let clock = Arc::new(ManualClock::default());
        let dead = queue(&clock);
        let queue = queue(&clock).with_dead_letter_queue(dead.clone(), 2);
        queue.send(&[Outgoing::new("a")]).await.unwrap();
        for _ in 0..2 {
            assert!(receive(&queue, Duration::ZERO).await.is_some());
        }
        assert_eq!(receive(&queue, Duration::ZERO).await, None);
        let dead_letter = receive(&dead, HOUR).await.unwrap();
        assert_eq!(dead_letter.attributes[DEAD_LETTER_REASON], "received 2 times");
    }

    #[tokio::test]
    async fn without_a_dead_letter_queue_a_message_stays() {
        let clock = Arc::new(ManualClock::default());
        let queue = queue(&clock);
        queue.send(&[Outgoing::new("a")]).await.unwrap();
        let message = receive(&queue, HOUR).await.unwrap();
        let error = queue.dead_letter(&message, "why").await.unwrap_err();
        assert!(matches!(error, QueueError::Unavailable { .. }));
        assert_eq!(queue.depth().await.unwrap().in_flight, 1);
    }

    #[tokio::test]
    async fn an_expired_receipt_is_lost() {
        let clock = Arc::new(ManualClock::default());
        let queue = queue(&clock);
        queue.send(&[Outgoing::new("a")]).await.unwrap();
        let message = receive(&queue, HOUR).await.unwrap();
        clock.advance(HOUR);
        let held = queue.set_visibility(&message.receipt, HOUR).await;
        assert!(matches!(held, Err(QueueError::ReceiptLost)));
        assert!(receive(&queue, HOUR).await.is_some());
    }

    #[tokio::test]
    async fn a_waiting_receive_notices_when_the_clock_advances() {
        let clock = Arc::new(ManualClock::default());
        let queue = queue(&clock);
        let delayed = Outgoing {
            delay: HOUR,
            ..Outgoing::new("a")
        };
        queue.send(&[delayed]).await.unwrap();
        let (received, ()) = tokio::join!(queue.receive(1, HOUR, TIMEOUT), async { clock.advance(HOUR) });
        assert_eq!(received.unwrap().len(), 1);
    }
}
