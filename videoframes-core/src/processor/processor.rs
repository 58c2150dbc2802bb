//! The processor: slots, loops and their shutdown.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::ProcessorConfig;
use super::monitor::Phase;
use super::parts::Parts;
use super::rate::Rates;
use super::shared::Shared;
use super::slot::Slot;
use crate::fleet::{Role, WorkerState};

/// The condition on which [`Processor::run`] ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Runs until stopped.
    Stopped,
    /// Runs until every job is terminal, the outbox is empty, and no message can be received.
    Idle,
}

/// Maximum wait for a queue during shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Processes jobs until it is stopped.
#[derive(Clone)]
pub struct Processor {
    parts: Arc<Parts>,
    config: Arc<ProcessorConfig>,
}

impl fmt::Debug for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processor")
            .field("config", &self.config)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl Processor {
    /// Returns a processor with these parts, which does nothing before [`Processor::run`].
    pub fn new(mut parts: Parts, config: ProcessorConfig) -> Self {
        parts.rates = Rates::new(&config);
        if parts.revision().is_some() {
            // Until the first read of the registry.
            parts.monitor.set_role(Role::Standby);
        }
        Self {
            parts: Arc::new(parts),
            config: Arc::new(config),
        }
    }

    /// Processes jobs until `stop` is cancelled, or until the condition of `until` holds.
    ///
    /// Then starts no new jobs, waits for running jobs up to [`Timing::drain`](super::Timing::drain), releases unfinished jobs, and
    /// sends the notifications of finished jobs.
    ///
    /// Dropping the future instead is safe but slow: other workers get the jobs and messages when their
    /// leases expire.
    pub async fn run(&self, until: Until, stop: &CancellationToken) {
        tracing::info!(
            owner = self.config.owner,
            concurrency = self.config.concurrency,
            "processor started"
        );
        while !self.work(until, stop).await {}
        self.flush().await;
        tracing::info!("processor stopped");
    }

    /// Works until there is a reason to stop; returns `false` if that reason no longer holds.
    async fn work(&self, until: Until, stop: &CancellationToken) -> bool {
        let shared = Arc::new(Shared {
            parts: Arc::clone(&self.parts),
            config: Arc::clone(&self.config),
            stopping: stop.child_token(),
            release: CancellationToken::new(),
            ended: CancellationToken::new(),
            started: Instant::now(),
        });
        let relay = shared.supervise("relay", Shared::relay);
        let mut helpers = JoinSet::new();
        helpers.spawn(shared.supervise("sweep", Shared::sweep));
        helpers.spawn(shared.supervise("sweep of results", Shared::sweep_results));
        let reports = shared.supervise("fleet", Shared::report);
        if until == Until::Idle {
            helpers.spawn(shared.supervise("watch", Shared::watch_idle));
        }
        let mut slots = JoinSet::new();
        let concurrency = self.config.concurrency.max(1);
        self.parts.monitor.enter(Phase::Running, concurrency);
        for _ in 0..concurrency {
            slots.spawn(Slot::new(Arc::clone(&shared)).run());
        }
        shared.stopping.cancelled().await;
        self.parts.monitor.enter(Phase::Stopping, concurrency);
        self.parts.report_soon();
        tracing::info!("accepting no new work");
        let drained = async { while slots.join_next().await.is_some() {} };
        if tokio::time::timeout(self.config.timing.drain, drained)
            .await
            .is_err()
        {
            shared.release.cancel();
            // A job that cannot even be released is claimed again when its lease expires.
            let patience = SHUTDOWN_TIMEOUT.max(self.config.timing.fence_margin);
            let released = async { while slots.join_next().await.is_some() {} };
            if tokio::time::timeout(patience, released).await.is_err() {
                slots.shutdown().await;
            }
        }
        helpers.shutdown().await;
        // The relay holds the messages that it took, and gets time to send them.
        shared.ended.cancel();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, relay).await.is_err() {
            tracing::warn!("queue does not respond; leaving messages in the outbox");
        }
        reports.abort();
        // Not after an outage: the row of the worker then expires.
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, shared.report_state(WorkerState::Stopped)).await;
        // The idle check did not see a message that a slot had just received.
        stop.is_cancelled() || until != Until::Idle || shared.is_idle().await
    }

    /// Sends the last notifications.
    async fn flush(&self) {
        let relayed = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.parts.relay(self.config.timing.relay_hold));
        if !matches!(relayed.await, Ok(Ok(_))) {
            tracing::warn!("failed to send all notifications; leaving them to another worker");
        }
    }
}
