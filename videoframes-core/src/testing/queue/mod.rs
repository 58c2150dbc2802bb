//! What every [`Queue`] must do.

/// One check after the other, or all at the same time where time is real.
macro_rules! checks {
    ($harness:expr, $($check:path),+ $(,)?) => {
        if $harness.in_real_time() {
            tokio::join!($($check($harness)),+);
        } else {
            $($check($harness).await;)+
        }
    };
}

mod dead_letters;
mod delivery;
mod receipts;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::queue::{Message, Outgoing, Queue, QueueError, ReceiptHandle};

/// How long the suite waits, in real time, for a message that has to be there.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a queue can do beyond its contract. The suite checks what it is said to be able to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueAbilities {
    /// It keeps one of two messages with the same deduplication id.
    pub deduplicates: bool,
    /// Of the messages of a group it gives the oldest, and no other while that one is held.
    pub keeps_order: bool,
    /// A message can be delayed by itself.
    pub delays: bool,
    /// It answers [`Queue::set_visibility`] by [`QueueError::ReceiptLost`] for a handle that is not that of the
    /// latest receipt, and changes nothing.
    pub detects_stale_receipts: bool,
    /// Its [`Queue::depth`] is exact and of this moment.
    pub counts_exactly: bool,
    /// How often it delivers a message before that becomes a dead letter; at least 3.
    pub max_receives: Option<u32>,
}

/// What the suite looks at, and how it lets time pass for it.
#[async_trait]
pub trait QueueHarness: Send + Sync {
    /// An empty queue, and the one that its dead letters go to, empty too.
    async fn fresh(&self) -> (Arc<dyn Queue>, Arc<dyn Queue>);

    /// Lets time pass for the queues: by a clock that can be moved, or by waiting.
    async fn advance(&self, by: Duration);

    /// The time by which the suite counts: whole seconds. Longer than what it does between two advances
    /// takes, short enough to be waited for where waiting is the only way.
    fn unit(&self) -> Duration;

    /// Whether time passes for all queues by itself. Then checks go on at the same time, each with queues
    /// of its own.
    fn in_real_time(&self) -> bool;

    /// What these queues can do.
    fn abilities(&self) -> QueueAbilities;
}

/// Checks the contract of [`Queue`].
///
/// # Panics
/// Where the contract is broken.
pub async fn queue_conformance(harness: &dyn QueueHarness) {
    checks!(
        harness,
        delivery::check,
        receipts::check,
        dead_letters::check,
        waiting::check
    );
}

/// Sends one message.
async fn send(queue: &dyn Queue, message: Outgoing) {
    let answers = queue.send(&[message]).await.expect("sending");
    assert!(matches!(answers[..], [Ok(())]), "{answers:?}");
}

/// One message that has to be there.
async fn receive(queue: &dyn Queue, visibility: Duration) -> Message {
    let mut messages = queue.receive(1, visibility, PATIENCE).await.expect("receiving");
    assert_eq!(messages.len(), 1, "one message can be received");
    messages.remove(0)
}

/// Whatever can be received at once.
async fn receive_now(queue: &dyn Queue, visibility: Duration) -> Vec<Message> {
    let received = queue.receive(10, visibility, Duration::ZERO).await;
    received.expect("receiving")
}

/// Checks that nothing can be received.
async fn nothing(queue: &dyn Queue, why: &str) {
    let messages = receive_now(queue, Duration::ZERO).await;
    assert_eq!(messages, [], "{why}");
}

/// Deletes one message.
async fn delete(queue: &dyn Queue, receipt: &ReceiptHandle) {
    let answers = queue
        .delete(std::slice::from_ref(receipt))
        .await
        .expect("deleting");
    assert!(matches!(answers[..], [Ok(())]), "{answers:?}");
}

/// Checks that a handle was taken, or found to be stale: all that a queue may make of a doubtful one.
fn taken_or_lost(answer: &Result<(), QueueError>) {
    assert!(
        matches!(answer, Ok(()) | Err(QueueError::ReceiptLost)),
        "{answer:?}"
    );
}
