//! Processes messages into results: receive → validate → claim → work → commit → notify.
//!
//! A [`Processor`] receives messages from the input queue and processes their jobs. The protocol guarantees
//! that every submitted job becomes terminal exactly once, and that its notification is delivered at least
//! once, whichever component crashes. Each step has a file:
//!
//! 1. [`Processor::run`] receives messages, only with a free slot and without an outage of a required
//!    dependency;
//! 2. `accept` turns a message into its jobs, or dead-letters it;
//! 3. `attempt` holds the claimed job by a heartbeat, runs the work, and records the outcome;
//! 4. `work` checks the source, extracts, and writes the archive under a key that no other claim uses;
//! 5. `relay` sends the messages of the outbox, `sweep` handles abandoned jobs.

mod accept;
mod adopt;
mod attempt;
mod circuit;
mod config;
mod drained;
mod fault;
mod heartbeat;
mod monitor;
mod orphans;
mod ownership;
mod probe;
mod rate;
mod receipt;
mod relay;
mod renditions;
mod retry;
mod slot;
mod stop;
mod sweep;
mod telemetry;
mod verdict;
mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use config::{ProcessorConfig, Timing};
pub use monitor::{Dependency, LoopGuard, LoopStatus, Monitor, Phase, ProcessorStatus};
pub use relay::{Relayed, relay};
pub use retry::RetryPolicy;

use self::circuit::{Circuits, Subject};
use self::drained::Drained;
use self::monitor::max_age;
use self::rate::Rates;
use self::slot::Slot;
use crate::compress::Compressor;
use crate::error::chain;
use crate::extract::FrameExtractor;
use crate::jobs::{JobRepo, Rules};
use crate::pipeline::Scratch;
use crate::queue::Queue;
use crate::storage::{ObjectKey, Storage, Stores};

/// The dependencies of a processor.
pub struct Parts {
    /// Queue of incoming messages.
    input: Arc<dyn Queue>,
    /// Queue of the notifications for clients.
    notifier: Arc<dyn Queue>,
    /// Repository of the jobs.
    repo: Arc<dyn JobRepo>,
    /// Stores of the sources and results.
    stores: Stores,
    /// Extractor of pictures.
    extractor: Arc<dyn FrameExtractor>,
    /// Encoder of renditions, if any.
    compressor: Option<Arc<dyn Compressor>>,
    /// Directory for local copies of sources, for decoders that need files.
    scratch: Scratch,
    /// Rules for new objects.
    rules: Rules,
    outbox: Notify,
    rates: Rates,
    circuits: Circuits,
    monitor: Monitor,
    probe_key: Option<ObjectKey>,
    drained: Drained,
}

impl Parts {
    /// Returns parts with a scratch directory in the system's temporary directory.
    pub fn new(
        input: Arc<dyn Queue>,
        notifier: Arc<dyn Queue>,
        repo: Arc<dyn JobRepo>,
        storage: Arc<dyn Storage>,
        extractor: Arc<dyn FrameExtractor>,
    ) -> Self {
        Self {
            input,
            notifier,
            repo,
            stores: Stores::one(storage),
            extractor,
            compressor: None,
            scratch: Scratch::default(),
            rules: Rules::default(),
            outbox: Notify::new(),
            rates: Rates::default(),
            circuits: Circuits::default(),
            monitor: Monitor::default(),
            probe_key: probe::key(),
            drained: Drained::default(),
        }
    }

    /// Replaces the store with several stores.
    pub fn with_stores(self, stores: Stores) -> Self {
        Self { stores, ..self }
    }

    /// Adds an encoder of renditions. Without an encoder, jobs with renditions are left to other workers.
    pub fn with_compressor(self, compressor: Arc<dyn Compressor>) -> Self {
        Self {
            compressor: Some(compressor),
            ..self
        }
    }

    /// Replaces the scratch directory.
    pub fn with_scratch(self, scratch: Scratch) -> Self {
        Self { scratch, ..self }
    }

    /// Replaces the monitor of the processor, for a program that reports the state before the processor exists.
    pub fn with_monitor(self, monitor: Monitor) -> Self {
        let circuits = Circuits::new(monitor.clone());
        Self {
            monitor,
            circuits,
            ..self
        }
    }

    /// Replaces the rules for new objects. Without rules, new objects create no jobs.
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }
}

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

/// State that the loops of a processor share.
struct Shared {
    parts: Arc<Parts>,
    config: Arc<ProcessorConfig>,
    /// Cancelled when no new work may start.
    stopping: CancellationToken,
    /// Cancelled when running work has to be released.
    release: CancellationToken,
    /// Cancelled when no work is left.
    ended: CancellationToken,
}

impl Processor {
    /// Returns a processor with these parts, which does nothing before [`Processor::run`].
    pub fn new(mut parts: Parts, config: ProcessorConfig) -> Self {
        parts.rates = Rates::new(&config);
        Self {
            parts: Arc::new(parts),
            config: Arc::new(config),
        }
    }

    /// Processes jobs until `stop` is cancelled, or until the condition of `until` holds.
    ///
    /// Then starts no new jobs, waits for running jobs up to [`Timing::drain`], releases unfinished jobs, and
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
        });
        let relay = shared.supervise("relay", Shared::relay);
        let mut helpers = JoinSet::new();
        helpers.spawn(shared.supervise("sweep", Shared::sweep));
        helpers.spawn(shared.supervise("sweep of results", Shared::sweep_results));
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
            tracing::warn!("queue does not answer; leaving messages in the outbox");
        }
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

impl Shared {
    /// Registers a loop with a period.
    fn watch(&self, name: &'static str, period: Duration) -> LoopGuard {
        self.parts.monitor.watch(name, max_age(period))
    }

    /// Runs a loop and restarts it after a panic.
    fn supervise<F>(self: &Arc<Self>, what: &'static str, work: fn(Arc<Self>) -> F) -> AbortOnDropHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let round = AbortOnDropHandle::new(tokio::spawn(work(Arc::clone(&shared))));
                match round.await {
                    Err(error) if error.is_panic() => {
                        tracing::error!(what, %error, "task panicked; restarting it");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    _ => return,
                }
            }
        }))
    }

    async fn relay(self: Arc<Self>) {
        let pulse = self.watch("relay", self.config.timing.relay);
        let mut backoff = retry::Backoff::default();
        loop {
            pulse.beat();
            let pause = match self.parts.relay(self.config.timing.relay_hold).await {
                Ok(relayed) if relayed.failed == 0 => {
                    backoff.succeeded();
                    self.parts.circuits.succeeded(&Subject::Outbox);
                    self.config.timing.relay
                }
                Ok(_) => backoff.failed(),
                Err(error) => {
                    self.parts.circuits.failed(&Subject::Outbox, &chain(&error));
                    backoff.failed()
                }
            };
            tokio::select! {
                biased;
                () = self.ended.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.parts.outbox.notified() => {}
            }
        }
    }

    async fn sweep(self: Arc<Self>) {
        let pulse = self.watch("sweep", self.config.timing.sweep);
        loop {
            pulse.beat();
            match sweep::sweep_jobs(&self.parts, &self.config).await {
                Ok(()) => self.parts.outbox.notify_one(),
                Err(error) => tracing::warn!(error = chain(&error), "failed to sweep jobs"),
            }
            self.pause(self.config.timing.sweep).await;
        }
    }

    /// Checks every result, rarely and without delaying the sweep of jobs.
    async fn sweep_results(self: Arc<Self>) {
        let timing = self.config.timing;
        loop {
            sweep::sweep_results(&self.parts, timing.orphan).await;
            self.pause(timing.sweep.max(timing.orphan / 24)).await;
        }
    }

    /// Waits for a random time around `about`, so that workers that started together diverge.
    async fn pause(&self, about: Duration) {
        tokio::time::sleep(about.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
    }

    async fn watch_idle(self: Arc<Self>) {
        let mut pause = Duration::from_millis(50);
        loop {
            if self.is_idle().await {
                self.stopping.cancel();
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    async fn is_idle(&self) -> bool {
        let waiting = self.parts.input.depth().await;
        waiting.is_ok_and(|depth| depth.visible == 0)
            && self.parts.repo.unfinished().await.is_ok_and(|jobs| jobs == 0)
            && self
                .parts
                .repo
                .outbox_backlog()
                .await
                .is_ok_and(|outbox| outbox.pending == 0)
    }
}
