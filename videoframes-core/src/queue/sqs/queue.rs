//! A queue in SQS.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;

use super::age::Age;
use super::batch::BATCH;
use super::calls::{Address, Calls};
use super::dead_letter::dead_letter;
use super::deletes::Deletes;
use super::failure::Failure;
use super::options::SqsOptions;
use crate::clock::{Clock, SystemClock};
use crate::queue::{Depth, MESSAGE_BYTES, Message, Outgoing, Queue, QueueError, ReceiptHandle};

/// Maximum size of a message in any SQS queue.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

impl SqsOptions {
    /// Sets the name or URL of the dead-letter queue.
    #[must_use]
    pub fn dead_letter_queue(mut self, dead_letter_queue: impl Into<String>) -> Self {
        self.dead_letter_queue = Some(dead_letter_queue.into());
        self
    }

    /// Sets the maximum time of one attempt at a request, in addition to the wait of a receive.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// A [`Queue`] in SQS; clones share connections.
///
/// A queue whose name ends with `.fifo` preserves order within a group. In a FIFO queue, a message without a
/// group forms its own group, messages have no delay, and a deduplication id applies for five minutes. Other
/// queues ignore both ids. Messages that SQS would reject fail with [`QueueError::Refused`] before they are
/// sent.
///
/// SQS counts in seconds: times are rounded up. A receive that waits does so for at least a second: SQS
/// queries all servers of a queue only for such receives.
///
/// The queue itself defines how often messages are delivered before they are dead-lettered. Only the client
/// retries requests, as configured. Receives have separate connections, so other requests do not wait for
/// them.
#[derive(Clone)]
pub struct SqsQueue {
    name: Arc<str>,
    calls: Calls,
    age: Arc<Age>,
    dead_letter_queue: Option<Calls>,
    deletes: Deletes,
}

impl SqsQueue {
    /// Connects to the queue with this name or URL.
    ///
    /// A name is resolved, a URL is used as it is: see [`SqsQueue::check`]. Needs a tokio runtime, and must
    /// be used within that runtime.
    ///
    /// # Errors
    /// Returns [`QueueError::Unavailable`] if a name cannot be resolved.
    pub async fn connect(config: &SdkConfig, queue: &str, options: &SqsOptions) -> Result<Self, QueueError> {
        let address = Address::find(config, queue, options.timeout).await?;
        let dead_letter_queue = match &options.dead_letter_queue {
            Some(queue) => {
                let address = Address::find(config, queue, options.timeout).await?;
                Some(Calls::new(config, address, options.timeout))
            }
            None => None,
        };
        let calls = Calls::new(config, address, options.timeout);
        let deleting = calls.clone();
        Ok(Self {
            name: calls.name().into(),
            calls,
            age: Arc::default(),
            dead_letter_queue,
            deletes: Deletes::new(move |receipts| {
                let calls = deleting.clone();
                async move { calls.delete(&receipts).await }
            }),
        })
    }

    /// Returns the URL of the queue.
    pub fn url(&self) -> &str {
        self.calls.url()
    }

    /// Checks that the queue and its dead-letter queue exist and are accessible with these credentials.
    ///
    /// # Errors
    /// Returns [`QueueError::Unavailable`] with the error of the server.
    pub async fn check(&self) -> Result<(), QueueError> {
        self.calls.depth("find").await?;
        if let Some(dead_letter_queue) = &self.dead_letter_queue {
            dead_letter_queue.depth("find").await?;
        }
        Ok(())
    }

    fn receipt_error(&self, action: &'static str, failure: Failure) -> QueueError {
        if failure.is_stale_receipt() {
            QueueError::ReceiptLost
        } else {
            QueueError::unavailable(action, &self.name, failure)
        }
    }

    /// A stale handle is not an error: the message was deleted or received again.
    fn deleted(&self, answer: Result<(), Failure>) -> Result<(), QueueError> {
        match answer {
            Err(failure) if !failure.is_stale_receipt() => {
                Err(QueueError::unavailable("delete from", &self.name, failure))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueue")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Queue for SqsQueue {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.calls.send(messages).await
    }

    async fn receive(
        &self,
        max_messages: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        let asked_at = SystemClock.now();
        let received = self
            .calls
            .receive(max_messages.clamp(1, BATCH), visibility, wait)
            .await?;
        // Only a receive that waits queries all servers of a queue.
        match received.iter().filter_map(|message| message.sent_at).max() {
            Some(sent_at) => self.age.nothing_sent_before(sent_at, asked_at),
            // A FIFO queue holds messages back while another message of their group is in flight.
            None if received.is_empty() && !wait.is_zero() && !self.calls.is_fifo() => {
                self.age.nothing_sent_before(asked_at, asked_at);
            }
            None => {}
        }
        Ok(received)
    }

    async fn set_visibility(&self, receipt: &ReceiptHandle, timeout: Duration) -> Result<(), QueueError> {
        let set = self.calls.set_visibility(receipt, timeout).await;
        set.map_err(|failure| self.receipt_error("change the visibility of a message in", failure))
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        if let [receipt] = receipts {
            let answer = self.deletes.delete(receipt.clone()).await;
            return Ok(vec![self.deleted(answer)]);
        }
        let mut answers = Vec::with_capacity(receipts.len());
        for receipts in receipts.chunks(BATCH) {
            let each = self.calls.delete(receipts).await;
            answers.extend(each.into_iter().map(|answer| self.deleted(answer)));
        }
        Ok(answers)
    }

    async fn dead_letter(&self, message: &Message, reason: &str) -> Result<(), QueueError> {
        let Some(dead_letter_queue) = &self.dead_letter_queue else {
            let none = Failure::new("", "there is none");
            let action = "move a message to the dead-letter queue of";
            return Err(QueueError::unavailable(action, &self.name, none));
        };
        // The whole message if the queue accepts that size, else truncated to the size that every queue
        // accepts.
        match dead_letter_queue
            .send_one(&dead_letter(message, reason, MAX_MESSAGE_BYTES))
            .await
        {
            Err(failure) if failure.is_invalid_message() => {
                let cut = dead_letter(message, reason, MESSAGE_BYTES);
                dead_letter_queue.send_one(&cut).await
            }
            sent => sent,
        }
        .map_err(|failure| QueueError::unavailable("send to", dead_letter_queue.name(), failure))?;
        self.deleted(self.deletes.delete(message.receipt.clone()).await)
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let asked_at = SystemClock.now();
        let mut depth = self.calls.depth("measure").await?;
        match depth.visible {
            0 => self.age.nothing_sent_before(asked_at, asked_at),
            _ => depth.oldest = self.age.at(asked_at),
        }
        Ok(depth)
    }
}
