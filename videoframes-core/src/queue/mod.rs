//! Messages that come again until they are deleted.

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

/// Longest time for which a message can be hidden or delayed, as SQS has it.
pub const LONGEST_VISIBILITY: Duration = Duration::from_secs(12 * 3600);
/// Attribute of a dead letter that says why it is one.
pub const DEAD_LETTER_REASON: &str = "reason";

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outgoing {
    /// What is sent.
    pub body: String,
    /// Short facts beside the body.
    pub attributes: BTreeMap<String, String>,
    /// How long until it can be received. SQS takes at most 15 minutes, and none in FIFO queues.
    pub delay: Duration,
    /// Of two messages with the same id, a queue that can tell keeps one.
    pub deduplication_id: Option<String>,
    /// A queue that keeps order keeps it among the messages of a group.
    pub group: Option<String>,
}

impl Outgoing {
    /// A message that can be received at once.
    pub fn new(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    /// Bytes that count towards [`MESSAGE_BYTES`].
    pub fn bytes(&self) -> usize {
        let attributes = self.attributes.iter();
        self.body.len()
            + attributes
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>()
    }
}

/// What a received message is deleted and held by. Changes with every receipt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReceiptHandle(pub String);

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The queue's name for it; another one after a redrive.
    pub id: String,
    /// What was sent.
    pub body: String,
    /// Short facts beside the body.
    pub attributes: BTreeMap<String, String>,
    /// By what this receipt is answered.
    pub receipt: ReceiptHandle,
    /// How often it has been received, this time included.
    pub receive_count: u32,
}

/// How many messages wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// That can be received now.
    pub visible: u64,
    /// That were received and may come back.
    pub in_flight: u64,
    /// That were sent with a delay which is not over.
    pub delayed: u64,
}

/// Why a queue did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The receipt is no longer the message's: it was received again, deleted, or its time is over.
    #[error("the message is no longer held by this receipt")]
    ReceiptLost,
    /// A message that no queue would take.
    #[error("the message has {bytes} bytes, more than the {limit} that the queue takes")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The most that are taken.
        limit: usize,
    },
    /// A message that this queue never takes as it is.
    #[error("the message is none that the queue takes: {0}")]
    Refused(String),
    /// The queue cannot be reached, or does not answer as it should.
    #[error("cannot {action} the queue '{queue}'")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// The queue.
        queue: String,
        /// What its client said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl QueueError {
    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the server is silent, unreachable or busy, which may pass by itself. An answer that the queue is missing or
    /// that the caller is refused is none.
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
/// Callers may rely on a sent message being received again and again, each time hidden for as long
/// as was asked, until it is deleted by the handle of its latest receipt; never on its order or on its
/// coming only once.
///
/// Implementers count receipts, and treat any doubt about a handle as [`QueueError::ReceiptLost`] or
/// as success, never as another error. A queue with a limit on receipts moves the message to its dead
/// letters instead of delivering it once more.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// What the queue is called, for people.
    fn name(&self) -> &str;

    /// Sends messages; one answer for each, in order. Not idempotent, not atomic: some may be sent.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] where not even that is known. Then any of them may have been sent.
    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<(), QueueError>>, QueueError>;

    /// Up to `most` (1 to 10) messages, hidden from others for `visibility`; waits up to `wait` for the
    /// first one. Cancel-safe: what was received by a dropped call comes again.
    async fn receive(
        &self,
        most: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError>;

    /// Hides a received message for `timeout` from now; zero gives it back at once. Idempotent. A success
    /// proves nothing: some queues accept stale handles.
    ///
    /// # Errors
    /// [`QueueError::ReceiptLost`] where a queue can tell that the handle is stale.
    async fn set_visibility(&self, receipt: &ReceiptHandle, timeout: Duration) -> Result<(), QueueError>;

    /// Deletes received messages; one answer for each, in order. Idempotent: a message that is gone is
    /// no error. A stale handle deletes nothing, and may be answered by success.
    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<Vec<Result<(), QueueError>>, QueueError>;

    /// Puts a received message among the dead letters with the reason, then deletes it. Not atomic: it
    /// may be in both places for a while, never in neither.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] also where the queue has no dead letters. Then the message is as it was.
    async fn dead_letter(&self, message: &Message, reason: &str) -> Result<(), QueueError>;

    /// About how many messages wait.
    async fn depth(&self) -> Result<Depth, QueueError>;
}
