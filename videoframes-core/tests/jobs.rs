//! Queues and repositories in memory pass their traits' suites.
#![cfg(feature = "jobs")]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use videoframes_core::clock::{Clock, ManualClock};
use videoframes_core::jobs::{JobRepo, MemoryJobRepo};
use videoframes_core::queue::{MemoryQueue, Queue};
use videoframes_core::testing::{
    JobRepoHarness, QueueAbilities, QueueHarness, job_repo_conformance, queue_conformance,
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
        let dead = MemoryQueue::new("dead letters", self.clock());
        let queue = MemoryQueue::new("work", self.clock()).with_dead_letters(dead.clone(), 4);
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

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_in_memory_conform() {
    queue_conformance(&InMemory::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_in_memory_conform() {
    job_repo_conformance(&InMemory::default()).await;
}
