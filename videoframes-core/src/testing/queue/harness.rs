//! The harness of a queue, and helpers for checks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::queue::{Message, Outgoing, Queue, QueueError, ReceiptHandle};

/// Maximum wait in real time for a message that must arrive.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// Optional abilities of a queue, which the suite checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueAbilities {
    /// The queue keeps one of two messages with the same deduplication id.
    pub deduplicates: bool,
    /// The queue delivers the messages of a group in order, and none while an earlier one is held.
    pub keeps_order: bool,
    /// The queue supports a delay per message.
    pub delays: bool,
    /// For a handle that is not of the latest receipt, [`Queue::set_visibility`] returns
    /// [`QueueError::ReceiptLost`] and changes nothing.
    pub detects_stale_receipts: bool,
    /// [`Queue::depth`] is exact and current.
    pub counts_exactly: bool,
    /// The queue serves tenants and priorities in proportion to their shares.
    pub fair: bool,
    /// Maximum number of deliveries before a message is dead-lettered; at least 3.
    pub max_receives: Option<u32>,
}

/// Provides queues and controls their time.
#[async_trait]
pub trait QueueHarness: Send + Sync {
    /// Returns an empty queue, and its empty dead-letter queue.
    async fn fresh(&self) -> (Arc<dyn Queue>, Arc<dyn Queue>);

    /// Advances the time of the queues, with a manual clock or by waiting.
    async fn advance(&self, by: Duration);

    /// Returns the unit of time of the suite, in whole seconds. Longer than the operations between two
    /// advances, and short enough to wait for.
    fn unit(&self) -> Duration;

    /// Returns whether time passes for all queues by itself. Then checks run concurrently, each with separate
    /// queues.
    fn in_real_time(&self) -> bool;

    /// Returns the abilities of these queues.
    fn abilities(&self) -> QueueAbilities;
}

/// Sends one message.
pub(super) async fn send(queue: &dyn Queue, message: Outgoing) {
    let answers = queue.send(&[message]).await.expect("sending");
    assert!(matches!(answers[..], [Ok(())]), "{answers:?}");
}

/// Receives one message that must arrive.
pub(super) async fn receive(queue: &dyn Queue, visibility: Duration) -> Message {
    let mut messages = queue.receive(1, visibility, TIMEOUT).await.expect("receiving");
    assert_eq!(messages.len(), 1, "one message can be received");
    messages.remove(0)
}

/// Receives messages without waiting.
pub(super) async fn receive_now(queue: &dyn Queue, visibility: Duration) -> Vec<Message> {
    let received = queue.receive(10, visibility, Duration::ZERO).await;
    received.expect("receiving")
}

/// Checks that nothing can be received.
pub(super) async fn nothing(queue: &dyn Queue, why: &str) {
    let messages = receive_now(queue, Duration::ZERO).await;
    assert_eq!(messages, [], "{why}");
}

/// Deletes one message.
pub(super) async fn delete(queue: &dyn Queue, receipt: &ReceiptHandle) {
    let answers = queue
        .delete(std::slice::from_ref(receipt))
        .await
        .expect("deleting");
    assert!(matches!(answers[..], [Ok(())]), "{answers:?}");
}

/// Checks that a handle was accepted or found to be stale, the two valid answers for a doubtful handle.
pub(super) fn accepted_or_lost(answer: &Result<(), QueueError>) {
    assert!(
        matches!(answer, Ok(()) | Err(QueueError::ReceiptLost)),
        "{answer:?}"
    );
}
