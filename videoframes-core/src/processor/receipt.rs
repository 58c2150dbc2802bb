//! The ownership of a received message.

use std::sync::Arc;
use std::time::Duration;

use super::telemetry;
use crate::queue::{Message, Queue, QueueError, Received};

/// A received message, which one owner at a time extends, returns or deletes.
#[derive(Clone)]
pub(super) struct Receipt {
    queue: Arc<dyn Queue>,
    message: Arc<Message>,
}

impl Receipt {
    pub(super) fn new(received: Received) -> Self {
        Self {
            queue: received.queue,
            message: Arc::new(received.message),
        }
    }

    /// Returns the identifier of the message among those of all queues.
    pub(super) fn message_id(&self) -> String {
        format!("{}/{}", self.queue.name(), self.message.id)
    }

    pub(super) fn message(&self) -> &Message {
        &self.message
    }

    /// Sets the visibility timeout to `time` from now. Callers do not learn the result, since a success
    /// proves nothing.
    pub(super) async fn extend_visibility(&self, time: Duration) {
        let result = match self.queue.set_visibility(&self.message.receipt, time).await {
            Ok(()) => "ok",
            Err(QueueError::ReceiptLost) => "lost",
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to extend the visibility of a message"
                );
                "error"
            }
        };
        telemetry::visibility_extended(result);
    }

    /// Deletes the message. If that fails, the message is redelivered for a terminal job.
    pub(super) async fn delete(&self) {
        let receipts = [self.message.receipt.clone()];
        let deleted = self.queue.delete(&receipts).await;
        if let Err(error) = deleted.and_then(|each| each.into_iter().next().unwrap_or(Ok(()))) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to delete a message; it will be redelivered"
            );
        }
    }

    /// Sends the message to the dead-letter queue.
    pub(super) async fn dead_letter(&self, kind: &'static str, reason: &str) {
        tracing::warn!(reason, "dead-lettering an invalid message");
        match self.queue.dead_letter(&self.message, reason).await {
            Ok(()) => telemetry::dead_letter(kind),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to dead-letter a message; it will be redelivered"
            ),
        }
    }
}
