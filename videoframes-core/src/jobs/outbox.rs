//! What has to be told to the world, written with the change that it tells of.

use std::time::Duration;

use uuid::Uuid;

use super::JobId;

/// Which queue a message goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutboxDestination {
    /// The one that clients listen to.
    Notifier,
    /// The one that workers listen to.
    Input,
}

impl OutboxDestination {
    /// The name in rows and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notifier => "notifier",
            Self::Input => "input",
        }
    }
}

/// A message that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Its name. The same event has the same name, however often it is sent.
    pub id: Uuid,
    /// Where it goes.
    pub destination: OutboxDestination,
    /// The job that it is about.
    pub job: JobId,
    /// What is sent.
    pub body: String,
}

/// What waits to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// How many messages.
    pub pending: u64,
    /// How long the oldest has waited.
    pub oldest: Duration,
    /// How many messages were given up beside these, since their queue refused them for good.
    pub refused: u64,
}
