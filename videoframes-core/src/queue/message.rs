//! Messages, before they are sent and after they are received.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::tenant::Share;

/// Attribute with the reason why a message was dead-lettered.
pub const DEAD_LETTER_REASON: &str = "reason";

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
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
    /// Tenant and priority: a fair queue serves tenants in turn. SQS gets the name of the tenant as the message group
    /// of a standard queue, whose fair delivery has no weights and no priorities.
    pub share: Share,
}

impl Outgoing {
    /// Returns a message without delay.
    pub fn new(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    /// Returns the number of bytes that count towards [`MESSAGE_BYTES`](super::MESSAGE_BYTES).
    pub fn bytes(&self) -> usize {
        let attributes = self.attributes.iter();
        self.body.len()
            + attributes
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>()
    }

    /// Sets the attributes of the message.
    #[must_use]
    pub fn attributes(mut self, attributes: BTreeMap<String, String>) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets the delay before the message can be received.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets the identifier for deduplication.
    #[must_use]
    pub fn deduplication_id(mut self, deduplication_id: impl Into<String>) -> Self {
        self.deduplication_id = Some(deduplication_id.into());
        self
    }

    /// Sets the message group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Sets tenant and priority.
    #[must_use]
    pub fn share(mut self, share: Share) -> Self {
        self.share = share;
        self
    }
}

/// Handle with which a received message is deleted or its visibility changed; every receipt has a new handle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReceiptHandle(pub(crate) String);

impl ReceiptHandle {
    /// Returns a handle with the name that the queue gave.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Returns the name that the queue gave.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
    /// Time at which the message was sent, if the queue reports it.
    pub sent_at: Option<UnixMillis>,
    /// X-Ray trace header of the producer, if the queue keeps one.
    pub aws_trace_header: Option<String>,
}

impl Message {
    /// Returns a message without attributes.
    pub fn new(
        id: impl Into<String>,
        body: impl Into<String>,
        receipt: ReceiptHandle,
        receive_count: u32,
    ) -> Self {
        Self {
            id: id.into(),
            body: body.into(),
            attributes: BTreeMap::new(),
            receipt,
            receive_count,
            sent_at: None,
            aws_trace_header: None,
        }
    }
}
