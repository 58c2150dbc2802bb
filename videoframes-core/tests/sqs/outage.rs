//! Queues that disappear and come back, as after a restart of a server that keeps them in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use videoframes_core::clock::SystemClock;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::jobs::{JobRepo, JobStatus, MemoryJobRepo};
use videoframes_core::processor::{Parts, Processor, ProcessorConfig, Queues, Timing, Until};
use videoframes_core::queue::{
    Depth, Message, Outgoing, Queue, QueueError, ReceiptHandle, SqsOptions, SqsQueue,
};
use videoframes_core::storage::MemoryStorage;

use crate::Server;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn errors_of_a_missing_queue_are_retryable() {
    let Some(server) = Server::of_tests() else {
        return;
    };
    let (queue, _) = server.fresh("").await;
    queue.check().await.unwrap();
    queue.send(&[Outgoing::new("a")]).await.unwrap();
    let message = queue.receive(1, PATIENCE, PATIENCE).await.unwrap().remove(0);
    server
        .client
        .delete_queue()
        .queue_url(queue.url())
        .send()
        .await
        .unwrap();

    let second = Duration::from_secs(1);
    let gone = [
        queue.check().await.unwrap_err(),
        queue.receive(1, second, second).await.unwrap_err(),
        queue.set_visibility(&message.receipt, second).await.unwrap_err(),
        queue.send(&[Outgoing::new("b")]).await.unwrap_err(),
        queue
            .delete(std::slice::from_ref(&message.receipt))
            .await
            .unwrap()
            .remove(0)
            .unwrap_err(),
        queue.depth().await.unwrap_err(),
    ];
    for error in gone {
        assert!(matches!(error, QueueError::Unavailable { .. }), "{error:?}");
        assert!(format!("{error:?}").contains("NonExistentQueue"), "{error:?}");
    }
    let options = SqsOptions::default();
    let missing = SqsQueue::connect(&server.config, queue.name(), &options).await;
    assert!(matches!(missing, Err(QueueError::Unavailable { .. })));

    server.make(queue.name(), None).await;
    queue.check().await.unwrap();
    let held = queue.set_visibility(&message.receipt, second).await;
    assert!(
        matches!(held, Err(QueueError::ReceiptLost)),
        "of the queue's earlier life: {held:?}"
    );
    assert!(matches!(
        queue.delete(&[message.receipt]).await.unwrap()[..],
        [Ok(())]
    ));
}

/// A queue that counts failed polls.
struct Watched {
    inner: SqsQueue,
    failed: AtomicUsize,
}

#[async_trait]
impl Queue for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.inner.send(messages).await
    }

    async fn receive(
        &self,
        most: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        let received = self.inner.receive(most, visibility, wait).await;
        self.failed
            .fetch_add(usize::from(received.is_err()), Ordering::SeqCst);
        received
    }

    async fn set_visibility(&self, receipt: &ReceiptHandle, timeout: Duration) -> Result<(), QueueError> {
        self.inner.set_visibility(receipt, timeout).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.inner.delete(receipts).await
    }

    async fn dead_letter(&self, message: &Message, reason: &str) -> Result<(), QueueError> {
        self.inner.dead_letter(message, reason).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.inner.depth().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_continues_when_its_queue_is_back() {
    let Some(server) = Server::of_tests() else {
        return;
    };
    let (input, _) = server.fresh("").await;
    let (notifier, _) = server.fresh("").await;
    let repo = Arc::new(MemoryJobRepo::new(Arc::new(SystemClock)));
    let watched = Arc::new(Watched {
        inner: input.clone(),
        failed: AtomicUsize::new(0),
    });
    let parts = Parts::new(
        Queues {
            input: Arc::clone(&watched).into(),
            notifier: Arc::new(notifier.clone()),
        },
        repo.clone(),
        Arc::new(MemoryStorage::default()),
        Arc::new(FfmpegExtractor::default()),
    );
    let timing = Timing::default().long_poll(Duration::from_secs(1));
    let config = ProcessorConfig::default().timing(timing);
    let stop = CancellationToken::new();
    let working = tokio::spawn({
        let (processor, stop) = (Processor::new(parts, config), stop.clone());
        async move { processor.run(Until::Stopped, &stop).await }
    });
    let ask = |key: &str| Outgoing::new(format!(r#"{{"version": 1, "source": {{"key": "{key}"}}}}"#));
    let reported = async || {
        let received = notifier
            .receive(1, PATIENCE, Duration::from_secs(20))
            .await
            .unwrap();
        received.into_iter().next().expect("a notification").body
    };
    input.send(&[ask("before.mp4")]).await.unwrap();
    assert!(reported().await.contains("before.mp4"));

    server
        .client
        .delete_queue()
        .queue_url(input.url())
        .send()
        .await
        .unwrap();
    while watched.failed.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    server.make(input.name(), None).await;
    input.send(&[ask("after.mp4")]).await.unwrap();
    assert!(reported().await.contains("after.mp4"));

    stop.cancel();
    working.await.unwrap();
    let jobs = repo.list(&Default::default()).await.unwrap().jobs;
    let failed = jobs.iter().filter(|job| job.status == JobStatus::Failed);
    assert_eq!(failed.count(), 2, "neither source is there: {jobs:?}");
}
