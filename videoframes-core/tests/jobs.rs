//! In-memory queues and repositories pass the conformance suites of their traits.
#![cfg(feature = "jobs")]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use videoframes_core::clock::{Clock, ManualClock};
use videoframes_core::jobs::{Enqueue, Hold, JobError, JobId, JobRepo, MemoryJobRepo, NewJob, SweepTerms};
use videoframes_core::processor::{Relayed, relay};
use videoframes_core::queue::{
    Depth, InputQueue, InputQueues, MemoryQueue, Message, Outgoing, Queue, QueueError, ReceiptHandle,
};
use videoframes_core::tenant::{Priority, Tenant, Tenants};
use videoframes_core::testing::{
    JobRepoHarness, MockQueue, QueueAbilities, QueueHarness, job_repo_conformance, queue_conformance,
};

#[derive(Default)]
struct InMemory {
    clock: Arc<ManualClock>,
}

impl InMemory {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }
}

#[async_trait]
impl QueueHarness for InMemory {
    async fn fresh(&self) -> (Arc<dyn Queue>, Arc<dyn Queue>) {
        let dead = MemoryQueue::new("dead-letter queue", self.clock());
        let queue = MemoryQueue::new("work", self.clock()).with_dead_letter_queue(dead.clone(), 4);
        (Arc::new(queue), Arc::new(dead))
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn unit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn in_real_time(&self) -> bool {
        false
    }

    fn abilities(&self) -> QueueAbilities {
        QueueAbilities {
            fair: true,
            deduplicates: true,
            keeps_order: false,
            delays: true,
            detects_stale_receipts: true,
            counts_exactly: true,
            max_receives: Some(4),
        }
    }
}

#[async_trait]
impl JobRepoHarness for InMemory {
    async fn fresh(&self) -> Arc<dyn JobRepo> {
        Arc::new(MemoryJobRepo::new(self.clock()))
    }

    async fn fresh_with(&self, tenants: Tenants) -> Arc<dyn JobRepo> {
        Arc::new(MemoryJobRepo::new(self.clock()).with_tenants(tenants))
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory_queues_conform() {
    queue_conformance(&InMemory::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory_repositories_conform() {
    job_repo_conformance(&InMemory::default()).await;
}

/// A queue that permanently rejects some messages.
struct Refusing {
    inner: MemoryQueue,
    word: String,
    /// Whether a rejection applies to the whole request.
    whole: bool,
}

#[async_trait]
impl Queue for Refusing {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let refuses = |message: &Outgoing| message.body.contains(&self.word);
        let refused = || QueueError::Refused("InvalidMessageContents".to_owned());
        if self.whole && messages.iter().any(refuses) {
            return Err(refused());
        }
        let good: Vec<Outgoing> = messages
            .iter()
            .filter(|message| !refuses(message))
            .cloned()
            .collect();
        self.inner.send(&good).await?;
        let answer = |message| match refuses(message) {
            true => Err(refused()),
            false => Ok(()),
        };
        Ok(messages.iter().map(answer).collect())
    }

    async fn receive(
        &self,
        limit: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        self.inner.receive(limit, visibility, wait).await
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

#[tokio::test]
async fn a_permanently_rejected_message_does_not_block_others() {
    for whole in [false, true] {
        let setup = InMemory::default();
        let repo = MemoryJobRepo::new(setup.clock());
        let jobs = ["a", "b", "c"].map(new_job);
        repo.submit(&jobs, Enqueue::ThroughOutbox).await.unwrap();
        let notifier = MemoryQueue::new("notifier", setup.clock());
        let input = Arc::new(Refusing {
            inner: MemoryQueue::new("input", setup.clock()),
            word: jobs[1].id.to_string(),
            whole,
        });
        let inputs = InputQueues::from(Arc::clone(&input));
        let hold = Duration::from_secs(30);
        let relayed = relay(&repo, &inputs, &notifier, &Tenants::default(), hold)
            .await
            .unwrap();
        assert_eq!((relayed.sent, relayed.failed, relayed.refused), (2, 0, 1));
        assert_eq!(input.depth().await.unwrap().visible, 2);
        for _ in 0..3 {
            setup.clock.advance(hold * 2);
            let relayed = relay(&repo, &inputs, &notifier, &Tenants::default(), hold)
                .await
                .unwrap();
            assert_eq!(relayed, Relayed::default(), "the message is not retried");
        }
        let refused = repo.refused(10).await.unwrap();
        assert_eq!((refused.len(), refused[0].message.job), (1, jobs[1].id));
        assert!(
            refused[0].reason.contains("InvalidMessageContents"),
            "{refused:?}"
        );
        assert_eq!(repo.outbox_backlog().await.unwrap().refused, 1);
        // The queue is reconfigured.
        repo.resend_refused().await.unwrap();
        let inputs = InputQueues::from(Arc::new(input.inner.clone()));
        let relayed = relay(&repo, &inputs, &notifier, &Tenants::default(), hold)
            .await
            .unwrap();
        assert_eq!((relayed.sent, relayed.refused), (1, 0));
    }
}

#[tokio::test]
async fn a_job_is_deleted_after_exactly_its_retention() {
    let clock = Arc::new(ManualClock::default());
    let repo = MemoryJobRepo::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let terms = SweepTerms {
        overdue: Duration::from_secs(120),
        drained: None,
        crashes: 3,
        retention: Duration::from_secs(3600),
        most: 100,
    };
    let mut ids = Vec::new();
    for kept in [false, true] {
        let rejection = JobError {
            code: "INVALID_REQUEST".to_owned(),
            message: String::new(),
        };
        let job = NewJob {
            rejection: Some(rejection),
            ..new_job(&format!("{kept}"))
        };
        ids.push(job.id);
        repo.submit(&[job], Enqueue::AlreadyQueued).await.unwrap();
    }
    repo.hold(ids[1], Hold::Keep).await.unwrap();
    let messages = repo.take_outbox(10, Duration::ZERO).await.unwrap();
    let messages: Vec<_> = messages.iter().map(|message| message.id).collect();
    repo.outbox_sent(&messages).await.unwrap();
    clock.advance(terms.retention);
    assert_eq!(
        repo.sweep(&terms).await.unwrap().forgotten,
        0,
        "the retention ends now"
    );
    clock.advance(Duration::from_millis(1));
    assert_eq!(repo.sweep(&terms).await.unwrap().forgotten, 1);
    assert!(repo.get(ids[0]).await.unwrap().is_none());
    assert!(repo.get(ids[1]).await.unwrap().is_some(), "a kept job stays");
}

fn new_job(key: &str) -> NewJob {
    NewJob {
        id: JobId::random(),
        idempotency_key: key.to_owned(),
        payload_hash: String::new(),
        source: serde_json::json!({"key": "v.mp4"}).into(),
        options: serde_json::json!({}).into(),
        output_key: None,
        client_metadata: None,
        sequencer: None,
        message_id: None,
        time_limit: None,
        work_limit: None,
        rejection: None,
        trace: None,
        tenant: Tenant::default(),
        priority: Priority::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_input_queue_does_not_block_others() {
    let works = Arc::new(MemoryQueue::new("works", InMemory::default().clock()));
    let mut fails = MockQueue::new();
    fails.expect_name().return_const("fails".to_owned());
    fails.expect_receive().returning(|_, _, _| {
        Err(QueueError::Unavailable {
            action: "receive from",
            queue: "fails".to_owned(),
            source: "denied".into(),
        })
    });
    let fails = InputQueue::new(Arc::new(fails));
    let inputs = InputQueues::new(fails, [InputQueue::new(Arc::<MemoryQueue>::clone(&works))]);
    let visibility = Duration::from_secs(60);
    works.send(&vec![Outgoing::new("message"); 3]).await.unwrap();
    for _ in 0..3 {
        let received = inputs.receive(visibility, Duration::ZERO).await.unwrap().unwrap();
        assert_eq!(received.queue.name(), "works");
    }
    let unknown = inputs
        .receive(visibility, Duration::from_secs(20))
        .await
        .unwrap_err();
    assert!(unknown.is_retryable(), "not all queues are known to be empty");
}
