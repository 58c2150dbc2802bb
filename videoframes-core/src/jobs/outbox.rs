//! Outbox messages, written in the same transaction as the change that they report.

use std::time::Duration;

use uuid::Uuid;

use super::JobId;
use crate::tenant::{Priority, Share, Tenant};
use crate::trace::TraceContext;

/// The queue that a message is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutboxDestination {
    /// Queue of the clients.
    Notifier,
    /// Queue of the workers.
    Input,
}

impl OutboxDestination {
    /// Returns the name of the destination in rows and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notifier => "notifier",
            Self::Input => "input",
        }
    }
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Identifier of the message. The same event has the same identifier, however often it is sent.
    pub id: Uuid,
    /// Destination of the message.
    pub destination: OutboxDestination,
    /// Identifier of the job that the message is about.
    pub job: JobId,
    /// Body of the message.
    pub body: String,
    /// Trace context of the job's producer.
    pub trace: Option<TraceContext>,
    /// Tenant of the job.
    pub tenant: Tenant,
    /// Priority of the job.
    pub priority: Priority,
    /// Whether a message about the job was received before: see [`Share::redelivery`](crate::tenant::Share::redelivery).
    pub redelivery: bool,
}

impl OutboxMessage {
    /// Marks the message as a redelivery, which does not wait for the other messages of its tenant and priority.
    #[must_use]
    pub(crate) fn redelivery(self) -> Self {
        Self {
            redelivery: true,
            ..self
        }
    }

    /// Returns the share of the message, without the weight of the tenant.
    pub(crate) fn share(&self) -> Share {
        Share::new(self.tenant.clone(), self.priority).redelivery(self.redelivery)
    }
}

/// The number of unsent messages in the outbox, and the age of the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Number of unsent messages.
    pub pending: u64,
    /// Age of the oldest unsent message.
    pub oldest: Duration,
    /// Number of further messages that their queue rejected permanently.
    pub refused: u64,
}
