//! Messages in, results out: receive → validate → claim → work → commit → notify.
//!
//! A [`Processor`] takes messages from the input queue and works on the jobs that they are about. The
//! protocol's promise: every accepted job becomes terminal exactly once and is told of at least once,
//! whatever dies on the way. One step a file, in the order of the steps:
//!
//! 1. [`Processor::run`] receives, only with a slot free and nothing broken that it needs;
//! 2. `accept` turns a message into its jobs, or buries it;
//! 3. `attempt` holds the claimed job by its heartbeat, has the work done, and writes the outcome down;
//! 4. `work` looks, extracts and writes the archive under a key that no other claim writes;
//! 5. `relay` brings what the outbox holds to its queues, `sweep` sees after what nobody looks after.

mod accept;
mod adopt;
mod attempt;
mod circuit;
mod config;
mod drained;
mod fault;
mod heartbeat;
mod leftovers;
mod mark;
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
pub use relay::{Relayed, relay};
pub use retry::RetryPolicy;

use self::circuit::{Circuits, Dependency};
use self::drained::Drained;
use self::rate::Rates;
use self::slot::Slot;
use crate::compress::Compressor;
use crate::error::chain;
use crate::extract::FrameExtractor;
use crate::jobs::{JobRepo, Rules};
use crate::pipeline::Scratch;
use crate::queue::Queue;
use crate::storage::{ObjectKey, Storage, Stores};

/// What a processor works with.
pub struct Parts {
    /// Where messages come from.
    input: Arc<dyn Queue>,
    /// Where clients are told.
    notifier: Arc<dyn Queue>,
    /// Where jobs are kept.
    repo: Arc<dyn JobRepo>,
    /// Where sources are and results go.
    stores: Stores,
    /// What turns frames into pictures.
    extractor: Arc<dyn FrameExtractor>,
    /// What makes compressed videos, if anything does.
    compressor: Option<Arc<dyn Compressor>>,
    /// Where copies of sources go that a decoder needs as files.
    scratch: Scratch,
    /// What is asked of new objects.
    rules: Rules,
    outbox: Notify,
    rates: Rates,
    circuits: Circuits,
    probe_key: Option<ObjectKey>,
    drained: Drained,
}

impl Parts {
    /// All of them, with scratch in the system's folder.
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
            probe_key: probe::key(),
            drained: Drained::default(),
        }
    }

    /// The same with more than one store.
    pub fn with_stores(self, stores: Stores) -> Self {
        Self { stores, ..self }
    }

    /// The same with what makes renditions. Without it, jobs that ask for some are left to other workers.
    pub fn with_compressor(self, compressor: Arc<dyn Compressor>) -> Self {
        Self {
            compressor: Some(compressor),
            ..self
        }
    }

    /// The same with another place for copies of sources.
    pub fn with_scratch(self, scratch: Scratch) -> Self {
        Self { scratch, ..self }
    }

    /// The same with rules for events of new objects. Without any, nothing is asked of them.
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }
}

/// When [`Processor::run`] ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never.
    Stopped,
    /// When every job is terminal, the outbox is empty and no message can be received.
    Idle,
}

/// How long the end waits for a queue.
const PATIENCE: Duration = Duration::from_secs(5);

/// Works on jobs until it is told to stop.
#[derive(Clone)]
pub struct Processor {
    parts: Arc<Parts>,
    config: Arc<ProcessorConfig>,
}

/// What the loops of a processor share.
struct Shared {
    parts: Arc<Parts>,
    config: Arc<ProcessorConfig>,
    /// No new work.
    stopping: CancellationToken,
    /// No work at all.
    hand_back: CancellationToken,
    /// No work is left.
    ended: CancellationToken,
}

impl Processor {
    /// A processor of these parts. It does nothing before [`Processor::run`].
    pub fn new(mut parts: Parts, config: ProcessorConfig) -> Self {
        parts.rates = Rates::new(&config);
        Self {
            parts: Arc::new(parts),
            config: Arc::new(config),
        }
    }

    /// Works until `stop` is cancelled, or as `until` says. Then begins nothing new, lets running jobs
    /// go on for [`Timing::drain`], hands back those that are not done by then, and tells of what is.
    ///
    /// Dropping the future instead is safe and rude: jobs and messages come back when their leases end.
    pub async fn run(&self, until: Until, stop: &CancellationToken) {
        tracing::info!(
            owner = self.config.owner,
            concurrency = self.config.concurrency,
            "working"
        );
        while !self.work(until, stop).await {}
        self.flush().await;
        tracing::info!("stopped");
    }

    /// Works until there is a reason to stop; `false` where there was none after all.
    async fn work(&self, until: Until, stop: &CancellationToken) -> bool {
        let shared = Arc::new(Shared {
            parts: Arc::clone(&self.parts),
            config: Arc::clone(&self.config),
            stopping: stop.child_token(),
            hand_back: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        let relay = shared.keep("relay", Shared::relay);
        let mut helpers = JoinSet::new();
        helpers.spawn(shared.keep("sweep", Shared::sweep));
        helpers.spawn(shared.keep("sweep of results", Shared::sweep_results));
        if until == Until::Idle {
            helpers.spawn(shared.keep("watch", Shared::watch_idle));
        }
        let mut slots = JoinSet::new();
        for _ in 0..self.config.concurrency.max(1) {
            slots.spawn(Slot::new(Arc::clone(&shared)).run());
        }
        shared.stopping.cancelled().await;
        tracing::info!("no new work");
        let drained = async { while slots.join_next().await.is_some() {} };
        if tokio::time::timeout(self.config.timing.drain, drained)
            .await
            .is_err()
        {
            shared.hand_back.cancel();
            // What cannot even be handed back comes back by itself when its lease ends.
            let patience = PATIENCE.max(self.config.timing.fence_margin);
            let handed_back = async { while slots.join_next().await.is_some() {} };
            if tokio::time::timeout(patience, handed_back).await.is_err() {
                slots.shutdown().await;
            }
        }
        helpers.shutdown().await;
        // What the relay has taken is its own for a while: it is let finish.
        shared.ended.cancel();
        if tokio::time::timeout(PATIENCE, relay).await.is_err() {
            tracing::warn!("a queue does not answer; what was to be sent is sent later");
        }
        // What a slot had just received was not seen by whoever looked whether anything is left.
        stop.is_cancelled() || until != Until::Idle || shared.is_idle().await
    }

    /// Tells of what was done last.
    async fn flush(&self) {
        let relayed = tokio::time::timeout(PATIENCE, self.parts.relay(self.config.timing.relay_hold));
        if !matches!(relayed.await, Ok(Ok(_))) {
            tracing::warn!("not all notifications were sent; another worker sends them");
        }
    }
}

impl Shared {
    /// Runs a loop that has to go on: a panic costs one round of it.
    fn keep<F>(self: &Arc<Self>, what: &'static str, work: fn(Arc<Self>) -> F) -> AbortOnDropHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let round = AbortOnDropHandle::new(tokio::spawn(work(Arc::clone(&shared))));
                match round.await {
                    Err(error) if error.is_panic() => {
                        tracing::error!(what, %error, "a defect of the worker; it starts again");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    _ => return,
                }
            }
        }))
    }

    async fn relay(self: Arc<Self>) {
        let mut backoff = retry::Backoff::default();
        loop {
            let pause = match self.parts.relay(self.config.timing.relay_hold).await {
                Ok(relayed) if relayed.failed == 0 => {
                    backoff.succeeded();
                    self.parts.circuits.succeeded(&Dependency::Outbox);
                    self.config.timing.relay
                }
                Ok(_) => backoff.failed(),
                Err(error) => {
                    self.parts.circuits.failed(&Dependency::Outbox, &chain(&error));
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
        loop {
            match sweep::sweep_jobs(&self.parts, &self.config).await {
                Ok(()) => self.parts.outbox.notify_one(),
                Err(error) => tracing::warn!(error = chain(&error), "the jobs cannot be swept"),
            }
            self.pause(self.config.timing.sweep).await;
        }
    }

    /// Every result is looked at: seldom, and without holding up what looks after jobs.
    async fn sweep_results(self: Arc<Self>) {
        let timing = self.config.timing;
        loop {
            sweep::sweep_results(&self.parts, timing.orphan).await;
            self.pause(timing.sweep.max(timing.orphan / 24)).await;
        }
    }

    /// Workers that were started together drift apart.
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
