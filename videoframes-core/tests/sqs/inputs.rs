//! Several queues of SQS as the input of one processor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;
use videoframes_core::queue::{
    Depth, InputQueue, InputQueues, Message, Outgoing, Queue, QueueError, ReceiptHandle, SqsQueue,
};
use videoframes_core::tenant::Weight;

use crate::Server;

const VISIBILITY: Duration = Duration::from_secs(60);

/// A queue that reports the begin of each long poll.
struct Reporting {
    queue: SqsQueue,
    polls: Arc<Notify>,
}

#[async_trait]
impl Queue for Reporting {
    fn name(&self) -> &str {
        self.queue.name()
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.queue.send(messages).await
    }

    async fn receive(
        &self,
        max_messages: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        if !wait.is_zero() {
            self.polls.notify_one();
        }
        self.queue.receive(max_messages, visibility, wait).await
    }

    async fn set_visibility(&self, receipt: &ReceiptHandle, timeout: Duration) -> Result<(), QueueError> {
        self.queue.set_visibility(receipt, timeout).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.queue.delete(receipts).await
    }

    async fn dead_letter(&self, message: &Message, reason: &str) -> Result<(), QueueError> {
        self.queue.dead_letter(message, reason).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.queue.depth().await
    }
}

#[tokio::test]
async fn a_message_ends_the_long_polls_of_all_queues() {
    let Some(server) = Server::of_tests() else {
        return;
    };
    let (high, _) = server.fresh("").await;
    let (low, _) = server.fresh("").await;
    let weight = |weight| Weight::new(weight).unwrap();
    let [high_polls, low_polls] = [(); 2].map(|()| Arc::new(Notify::new()));
    let input = |queue: &SqsQueue, polls: &Arc<Notify>| {
        InputQueue::new(Arc::new(Reporting {
            queue: queue.clone(),
            polls: Arc::clone(polls),
        }))
    };
    let inputs = InputQueues::new(
        input(&high, &high_polls).weight(weight(16)),
        [input(&low, &low_polls).weight(weight(1))],
    );
    for (queue, polls) in [(&low, &low_polls), (&high, &high_polls)] {
        let began = Instant::now();
        let (received, sent) = tokio::join!(inputs.receive(VISIBILITY, Duration::from_secs(10)), async {
            polls.notified().await;
            queue.send(&[Outgoing::new("message")]).await
        });
        sent.unwrap();
        let received = received.unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(received.queue.name(), queue.name());
        let deleted = received.queue.delete(&[received.message.receipt]).await.unwrap();
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    }
    assert_eq!(inputs.depth().await.unwrap().visible, 0);
    let none = inputs.receive(VISIBILITY, Duration::from_secs(1)).await.unwrap();
    assert!(none.is_none(), "{none:?}");
}
