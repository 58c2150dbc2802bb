//! Queues with at-least-once delivery.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod database;
mod memory;
#[cfg(feature = "sqs")]
mod sqs;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

pub use crate::limits::MESSAGE_BYTES;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use database::{Arrival, DatabaseQueue, Waiting};
pub use memory::MemoryQueue;
#[cfg(feature = "sqs")]
pub use sqs::{SqsOptions, SqsQueue};

/// Maximum visibility timeout and delay of a message, as in SQS.
pub const MAX_VISIBILITY: Duration = Duration::from_secs(12 * 3600);
/// Attribute with the reason why a message was dead-lettered.
pub const DEAD_LETTER_REASON: &str = "reason";

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outgoing {
    /// Body of the message.
    pub body: String,
    /// Attributes of the message.
    pub attributes: BTreeMap<String, String>,
    /// Delay before the message can be received. SQS allows at most 15 minutes, and no delay in FIFO queues.
    pub delay: Duration,
    /// Identifier for deduplication: a queue that supports it keeps one of two messages with the same
    /// identifier.
    pub deduplication_id: Option<String>,
    /// Message group: a queue that supports ordering preserves the order within a group.
    pub group: Option<String>,
}

impl Outgoing {
    /// Returns a message without delay.
    pub fn new(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    /// Returns the number of bytes that count towards [`MESSAGE_BYTES`].
    pub fn bytes(&self) -> usize {
        let attributes = self.attributes.iter();
        self.body.len()
            + attributes
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>()
    }
}

/// Handle with which a received message is deleted or its visibility changed; every receipt has a new handle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReceiptHandle(pub String);

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Identifier of the message in the queue, which changes with a redrive.
    pub id: String,
    /// Body of the message.
    pub body: String,
    /// Attributes of the message.
    pub attributes: BTreeMap<String, String>,
    /// Handle of this receipt.
    pub receipt: ReceiptHandle,
    /// Number of times that the message has been received, including this one.
    pub receive_count: u32,
}

/// The number of messages in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that were received and may be redelivered.
    pub in_flight: u64,
    /// Messages whose delay has not passed.
    pub delayed: u64,
}

/// Errors of a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The receipt is stale: the message was received again or deleted, or its visibility timeout expired.
    #[error("the receipt of the message is no longer valid")]
    ReceiptLost,
    /// The message exceeds the maximum size of any queue.
    #[error("the message has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Size of the message in bytes.
        bytes: usize,
        /// Maximum size in bytes.
        limit: usize,
    },
    /// The queue never accepts this message.
    #[error("the queue does not accept the message: {0}")]
    Refused(String),
    /// The queue is unreachable or returned an unexpected answer.
    #[error("failed to {action} the queue '{queue}'")]
    Unavailable {
        /// The action that failed.
        action: &'static str,
        /// Name of the queue.
        queue: String,
        /// Error of the client.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl QueueError {
    /// Returns whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Returns whether the server is silent, unreachable or busy, which may be temporary. A missing queue or
    /// denied access is not an outage.
    pub fn is_outage(&self) -> bool {
        match self {
            #[cfg(feature = "sqs")]
            Self::Unavailable { source, .. } => source
                .downcast_ref::<sqs::Failure>()
                .is_none_or(sqs::Failure::is_outage),
            #[cfg(not(feature = "sqs"))]
            Self::Unavailable { .. } => true,
            _ => false,
        }
    }
}

/// A queue with at-least-once delivery.
///
/// A sent message is redelivered until it is deleted with the handle of its latest receipt, each time after
/// the visibility timeout. Callers may not rely on order or on exactly-once delivery.
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
