//! SQS passes the conformance suite of its trait.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use videoframes_core::queue::Queue;
use videoframes_core::testing::{QueueAbilities, QueueHarness, queue_conformance};

use crate::Server;

struct InSqs {
    server: Server,
    fifo: bool,
}

#[async_trait]
impl QueueHarness for InSqs {
    async fn fresh(&self) -> (Arc<dyn Queue>, Arc<dyn Queue>) {
        let (queue, dead) = self.server.fresh(if self.fifo { ".fifo" } else { "" }).await;
        (Arc::new(queue), Arc::new(dead))
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    fn unit(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn in_real_time(&self) -> bool {
        true
    }

    /// Abilities of the server for tests. SQS itself guarantees less for counts and stale receipts.
    fn abilities(&self) -> QueueAbilities {
        QueueAbilities {
            fair: false,
            deduplicates: self.fifo,
            keeps_order: self.fifo,
            delays: !self.fifo,
            detects_stale_receipts: true,
            counts_exactly: true,
            max_receives: Some(4),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_queues_conform() {
    if let Some(server) = Server::of_tests() {
        queue_conformance(&InSqs { server, fifo: false }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifo_queues_conform() {
    if let Some(server) = Server::of_tests() {
        queue_conformance(&InSqs { server, fifo: true }).await;
    }
}
