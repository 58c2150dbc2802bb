//! Messages in SQS, and in what speaks as it does.

mod calls;
mod deletes;
mod failure;
mod letter;
mod takes;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;

use self::calls::{Address, Calls};
use self::deletes::Deletes;
pub(super) use self::failure::Failure;
use self::letter::letter;
use super::{Depth, MESSAGE_BYTES, Message, Outgoing, Queue, QueueError, ReceiptHandle};

/// Most entries of one request.
const BATCH: usize = 10;
/// Largest message that any SQS queue takes.
const LETTER_BYTES: usize = 1 << 20;

/// How an SQS queue is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqsOptions {
    /// Name or URL of the queue for dead letters; without one, none are sent there. That of a FIFO queue
    /// is a FIFO queue.
    pub dead_letters: Option<String>,
    /// How long one attempt at a request may take, besides what a receive waits for messages.
    pub timeout: Duration,
}

impl Default for SqsOptions {
    fn default() -> Self {
        Self {
            dead_letters: None,
            timeout: Duration::from_secs(15),
        }
    }
}

/// An SQS queue as a [`Queue`]; clones share connections.
///
/// A queue whose name ends with `.fifo` keeps order within a group. There a message without a group is one
/// by itself, no message has a delay of its own, and a deduplication id holds for five minutes; elsewhere
/// both ids are ignored. What SQS would refuse is [`QueueError::Refused`] before it is sent. SQS counts in
/// seconds: times are rounded up, and a receive that waits at all waits for a second at least, since only
/// then all of a queue's servers are asked.
///
/// How often messages are delivered before they become dead letters is a setting of the queue itself.
/// Requests are tried again by the client as its configuration says, and by nobody else. Receives have
/// connections of their own: nothing waits behind them.
#[derive(Clone)]
pub struct SqsQueue {
    name: Arc<str>,
    calls: Calls,
    dead_letters: Option<Calls>,
    deletes: Deletes,
}

impl SqsQueue {
    /// The queue of this name or URL. A name is looked up, a URL is taken as it is: see
    /// [`SqsQueue::check`]. Needs a tokio runtime, and is used in that one.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] where a name cannot be looked up.
    pub async fn connect(config: &SdkConfig, queue: &str, options: &SqsOptions) -> Result<Self, QueueError> {
        let address = Address::find(config, queue, options.timeout).await?;
        let dead_letters = match &options.dead_letters {
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
            dead_letters,
            deletes: Deletes::new(move |receipts| {
                let calls = deleting.clone();
                async move { calls.delete(&receipts).await }
            }),
        })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        self.calls.url()
    }

    /// Asks whether the queue, and that of its dead letters, are there and may be used with these
    /// credentials.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`], with what the server said.
    pub async fn check(&self) -> Result<(), QueueError> {
        self.calls.depth("find").await?;
        if let Some(dead_letters) = &self.dead_letters {
            dead_letters.depth("find").await?;
        }
        Ok(())
    }

    fn of_receipt(&self, action: &'static str, failure: Failure) -> QueueError {
        if failure.is_of_receipt() {
            QueueError::ReceiptLost
        } else {
            failure.unavailable(action, &self.name)
        }
    }

    /// That a handle is stale is no failure: the message is gone, or someone else's.
    fn deleted(&self, answer: Result<(), Failure>) -> Result<(), QueueError> {
        match answer {
            Err(failure) if !failure.is_of_receipt() => Err(failure.unavailable("delete from", &self.name)),
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
        most: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        self.calls.receive(most.clamp(1, BATCH), visibility, wait).await
    }

    async fn set_visibility(&self, receipt: &ReceiptHandle, timeout: Duration) -> Result<(), QueueError> {
        let set = self.calls.set_visibility(receipt, timeout).await;
        set.map_err(|failure| self.of_receipt("hold a message of", failure))
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
        let Some(dead_letters) = &self.dead_letters else {
            let none = Failure::new("", "it has none");
            return Err(none.unavailable("move a message to the dead letters of", &self.name));
        };
        // Whole where the queue takes it, else what every queue takes.
        match dead_letters
            .send_one(&letter(message, reason, LETTER_BYTES))
            .await
        {
            Err(failure) if failure.is_of_message() => {
                let cut = letter(message, reason, MESSAGE_BYTES);
                dead_letters.send_one(&cut).await
            }
            sent => sent,
        }
        .map_err(|failure| failure.unavailable("send to", dead_letters.name()))?;
        self.deleted(self.deletes.delete(message.receipt.clone()).await)
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.calls.depth("measure").await
    }
}
