//! The one hand that holds a message.

use std::sync::Arc;
use std::time::Duration;

use super::telemetry;
use crate::queue::{Message, Queue, QueueError};

/// A received message: extended, given back or deleted by one owner at a time.
#[derive(Clone)]
pub(super) struct Receipt {
    queue: Arc<dyn Queue>,
    message: Arc<Message>,
}

impl Receipt {
    pub(super) fn new(queue: Arc<dyn Queue>, message: Message) -> Self {
        Self {
            queue,
            message: Arc::new(message),
        }
    }

    pub(super) fn message(&self) -> &Message {
        &self.message
    }

    /// Keeps it hidden for `time` from now. That it worked proves nothing, so nobody is told.
    pub(super) async fn hide(&self, time: Duration) {
        let result = match self.queue.set_visibility(&self.message.receipt, time).await {
            Ok(()) => "ok",
            Err(QueueError::ReceiptLost) => "lost",
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the message cannot be held"
                );
                "error"
            }
        };
        telemetry::visibility_extended(result);
    }

    /// Deletes it. Where that fails it comes again, to a job that is over.
    pub(super) async fn delete(&self) {
        let receipts = [self.message.receipt.clone()];
        let deleted = self.queue.delete(&receipts).await;
        if let Err(error) = deleted.and_then(|each| each.into_iter().next().unwrap_or(Ok(()))) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the message cannot be deleted; it comes again"
            );
        }
    }

    /// Puts it among the dead letters.
    pub(super) async fn bury(&self, kind: &'static str, reason: &str) {
        tracing::warn!(
            reason,
            "a message that cannot be worked on goes to the dead letters"
        );
        match self.queue.dead_letter(&self.message, reason).await {
            Ok(()) => telemetry::dead_letter(kind),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the dead letters do not take it; it comes again"
            ),
        }
    }
}
