//! The loops of a processor: relay, sweeps, and the check whether the processor is idle.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::config::ProcessorConfig;
use super::monitor::{LoopGuard, max_age};
use super::parts::Parts;
use super::retry::Backoff;
use super::subject::Subject;
use super::sweep;
use crate::error::chain;
use crate::jobs::JobRepoError;

/// Maximum interval between checks whether the restore of the database was accepted.
const RESTORE_PAUSE: Duration = Duration::from_secs(5);

/// State that the loops of a processor share.
pub(super) struct Shared {
    pub(super) parts: Arc<Parts>,
    pub(super) config: Arc<ProcessorConfig>,
    /// Cancelled when no new work may start.
    pub(super) stopping: CancellationToken,
    /// Cancelled when running work has to be released.
    pub(super) release: CancellationToken,
    /// Cancelled when no work is left.
    pub(super) ended: CancellationToken,
    /// Start of the loops.
    pub(super) started: Instant,
}

impl Shared {
    /// Registers a loop with a period.
    pub(super) fn watch(&self, name: &'static str, period: Duration) -> LoopGuard {
        self.parts.monitor.watch(name, max_age(period))
    }

    /// Runs a loop and restarts it after a panic.
    pub(super) fn supervise<F>(
        self: &Arc<Self>,
        what: &'static str,
        work: fn(Arc<Self>) -> F,
    ) -> AbortOnDropHandle<()>
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

    pub(super) async fn relay(self: Arc<Self>) {
        let pulse = self.watch("relay", self.config.timing.relay);
        let mut backoff = Backoff::default();
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

    pub(super) async fn sweep(self: Arc<Self>) {
        let pulse = self.watch("sweep", self.config.timing.sweep);
        loop {
            pulse.beat();
            if !self.parts.check_restore(self.config.timing.sweep).await {
                self.pause(self.config.timing.sweep.min(RESTORE_PAUSE)).await;
                continue;
            }
            if !self.parts.monitor.role().may_claim() {
                self.pause(self.config.timing.sweep).await;
                continue;
            }
            match sweep::sweep_jobs(&self.parts, &self.config).await {
                Ok(()) => self.parts.outbox.notify_one(),
                Err(JobRepoError::Restored) => self.parts.restored().await,
                Err(error) => tracing::warn!(error = chain(&error), "failed to sweep jobs"),
            }
            self.pause(self.config.timing.sweep).await;
        }
    }

    /// Checks every result, rarely and without delaying the sweep of jobs.
    pub(super) async fn sweep_results(self: Arc<Self>) {
        let timing = self.config.timing;
        loop {
            self.parts.monitor.current().await;
            if self.parts.monitor.role().may_claim() {
                sweep::sweep_results(&self.parts, &timing).await;
            }
            self.pause(timing.sweep.max(timing.orphan / 24)).await;
        }
    }

    /// Waits for a random time around `about`, so that workers that started together diverge.
    async fn pause(&self, about: Duration) {
        tokio::time::sleep(about.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
    }

    pub(super) async fn watch_idle(self: Arc<Self>) {
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

    pub(super) async fn is_idle(&self) -> bool {
        let waiting = self.parts.input.depth().await;
        // A restored database may lack unfinished jobs.
        self.parts.monitor.may_change_jobs()
            && waiting.is_ok_and(|depth| depth.visible == 0)
            && self
                .parts
                .repo
                .unfinished()
                .await
                .is_ok_and(|jobs| jobs.total() == 0)
            && self
                .parts
                .repo
                .outbox_backlog()
                .await
                .is_ok_and(|outbox| outbox.pending == 0)
    }
}
