//! The trait of all queues.

use std::ops::Add;
use std::time::Duration;

use async_trait::async_trait;

use super::{Message, Outgoing, QueueError, ReceiptHandle};

/// Maximum visibility timeout and delay of a message, as in SQS.
pub const MAX_VISIBILITY: Duration = Duration::from_secs(12 * 3600);

/// The number of messages in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Depth {
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that were received and may be redelivered.
    pub in_flight: u64,
    /// Messages whose delay has not passed.
    pub delayed: u64,
    /// Time since the oldest visible message was sent; an estimate for SQS. `None` without visible messages, or
    /// if it is unknown.
    pub oldest: Option<Duration>,
}

/// The messages of both queues.
impl Add for Depth {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            visible: self.visible + other.visible,
            in_flight: self.in_flight + other.in_flight,
            delayed: self.delayed + other.delayed,
            oldest: self.oldest.max(other.oldest),
        }
    }
}

/// A queue with at-least-once delivery.
///
/// A sent message is redelivered until it is deleted with the handle of its latest receipt, each time after
/// the visibility timeout. Callers may not rely on order or on exactly-once delivery.
///
/// A fair queue serves tenants and priorities in proportion to their [`Share`](crate::tenant::Share): the messages of
/// one tenant do not delay those of another, however many they are. Within a tenant and priority, it delivers messages
/// in the order in which they were sent. A message that is returned with a visibility timeout of zero keeps its
/// position. Other redelivered messages form a separate flow per tenant and priority.
///
/// Implementers count receipts. In any doubt about a handle they return [`QueueError::ReceiptLost`] or
/// success, never another error. A queue with a limit on receipts moves a message to its dead-letter queue
/// instead of exceeding the limit.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Returns the human-readable name of the queue.
    fn name(&self) -> &str;

    /// Sends messages and returns one answer per message, in order. Neither idempotent nor atomic: some
    /// messages may be sent.
    ///
    /// # Errors
    /// Returns [`QueueError::Unavailable`] if the answers are unknown. Any of the messages may have been
    /// sent.
    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<(), QueueError>>, QueueError>;

    /// Receives up to `max_messages` (1 to 10) messages, and hides them from others for `visibility`.
    ///
    /// Waits up to `wait` for the first message. Cancel-safe: messages received by a dropped call are
    /// redelivered.
    async fn receive(
        &self,
        max_messages: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError>;

    /// Changes the visibility timeout of a received message to `timeout` from now; zero makes the message
    /// visible at once.
    ///
    /// Idempotent. A success does not prove that the handle is valid: some queues accept stale handles.
    ///
    /// # Errors
    /// Returns [`QueueError::ReceiptLost`] if the queue detects a stale handle.
    async fn set_visibility(&self, receipt: &ReceiptHandle, timeout: Duration) -> Result<(), QueueError>;

    /// Deletes received messages and returns one answer per message, in order.
    ///
    /// Idempotent: a missing message is not an error. A stale handle deletes nothing, and may be answered
    /// with success.
    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<Vec<Result<(), QueueError>>, QueueError>;

    /// Sends a received message to the dead-letter queue with the reason, then deletes the message.
    ///
    /// Not atomic: the message may be in both queues for a while, but is never lost.
    ///
    /// # Errors
    /// Returns [`QueueError::Unavailable`] also if there is no dead-letter queue. The message is unchanged
    /// then.
    async fn dead_letter(&self, message: &Message, reason: &str) -> Result<(), QueueError>;

    /// Returns the approximate number of messages.
    async fn depth(&self) -> Result<Depth, QueueError>;
}
