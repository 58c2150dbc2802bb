//! The heartbeat of an attempt: renews the lease, then the visibility timeout of the message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::config::Timing;
use super::fault::{self, Point};
use super::monitor::LoopGuard;
use super::receipt::Receipt;
use super::stop::{Reason, Stop};
use super::telemetry;
use crate::jobs::{JobProgress, JobRepo, JobRepoError, Lease, Stage, StageTime};
use crate::limits::MAX_STAGES;

/// State of an attempt, written by the work and read by the heartbeat.
#[derive(Debug)]
pub(super) struct State {
    inner: Mutex<Inner>,
    attempt: Span,
}

#[derive(Debug)]
struct Inner {
    progress: JobProgress,
    /// Start of the current stage.
    entered: Instant,
    /// Durations of the earlier stages. A stage that was entered twice is listed twice.
    left: Vec<StageTime>,
    /// Open while the stage lasts; not entered, since several threads work on a stage.
    _span: Span,
}

impl State {
    /// Returns the state of a new attempt, whose span is the current one.
    pub(super) fn new() -> Self {
        let attempt = Span::current();
        Self {
            inner: Mutex::new(Inner {
                progress: JobProgress {
                    stage: Stage::Prepare,
                    frames_done: 0,
                    frames_total: 0,
                },
                entered: Instant::now(),
                left: Vec::new(),
                _span: stage_span(&attempt, Stage::Prepare),
            }),
            attempt,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> JobProgress {
        self.inner().progress
    }

    pub(super) fn enter(&self, stage: Stage) {
        let mut inner = self.inner();
        if inner.progress.stage == stage {
            return;
        }
        telemetry::stage_took(inner.progress.stage.as_str(), inner.entered.elapsed());
        let left = inner.stage_time();
        // The current stage is listed too.
        if inner.left.len() < MAX_STAGES - 1 {
            inner.left.push(left);
        }
        inner.progress.stage = stage;
        inner.entered = Instant::now();
        inner._span = stage_span(&self.attempt, stage);
        tracing::debug!(stage = stage.as_str(), "entered stage");
    }

    /// Returns the durations of the stages so far, in the order in which they were entered.
    pub(super) fn stages(&self) -> Vec<StageTime> {
        let inner = self.inner();
        let current = inner.stage_time();
        inner.left.iter().copied().chain([current]).collect()
    }

    /// Records the frames of the current stage.
    pub(super) fn progress(&self, done: u64, total: u64) {
        let mut inner = self.inner();
        inner.progress.frames_done = done;
        inner.progress.frames_total = total;
    }
}

impl Inner {
    /// Returns the duration of the current stage so far.
    fn stage_time(&self) -> StageTime {
        let millis = self.entered.elapsed().as_millis();
        StageTime::new(self.progress.stage, u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

fn stage_span(attempt: &Span, stage: Stage) -> Span {
    tracing::info_span!(parent: attempt, "stage", otel.name = stage.as_str())
}

impl Drop for State {
    fn drop(&mut self) {
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        telemetry::stage_took(inner.progress.stage.as_str(), inner.entered.elapsed());
    }
}

/// The heartbeat of one attempt.
pub(super) struct Heartbeat {
    pub(super) repo: Arc<dyn JobRepo>,
    pub(super) lease: Lease,
    pub(super) receipt: Receipt,
    pub(super) state: Arc<State>,
    /// Stops the work.
    pub(super) stop: Stop,
    pub(super) timing: Timing,
    pub(super) pulse: LoopGuard,
}

/// Stops the work when the heartbeat ends, even by a panic: a job without a lease must not be processed.
struct StopUnlessDone<'a> {
    stop: &'a Stop,
    done: &'a CancellationToken,
}

impl Drop for StopUnlessDone<'_> {
    fn drop(&mut self) {
        if !self.done.is_cancelled() {
            self.stop.request(Reason::Defect);
        }
    }
}

impl Heartbeat {
    /// Renews the lease until `done` or until the lease is lost.
    ///
    /// Waits for a renewal in flight before it returns. Stops the work if the lease is lost or cannot be
    /// renewed in time, or on a request to cancel the job. `claimed` is the time of the claim request.
    pub(super) async fn beat(&self, claimed: Instant, done: &CancellationToken) {
        let (stop, timing) = (&self.stop, &self.timing);
        let _stop = StopUnlessDone { stop, done };
        let mut held_from = claimed;
        let mut next = held_from + timing.heartbeat;
        loop {
            tokio::select! {
                biased;
                () = done.cancelled() => return,
                () = tokio::time::sleep_until(next) => {}
            }
            self.pulse.beat();
            fault::reached(Point::Heartbeat);
            let asked_at = Instant::now();
            let fence = held_from + timing.lease.saturating_sub(timing.fence_margin);
            let renewal = self.repo.renew(&self.lease, timing.lease, self.state.read());
            let renewed = tokio::time::timeout_at(fence, renewal).await.ok();
            // After the outcome has been recorded, the state of the lease is irrelevant.
            if done.is_cancelled() {
                return;
            }
            match renewed {
                Some(Ok(renewal)) => {
                    telemetry::lease_renewed("ok");
                    held_from = asked_at;
                    next = asked_at + timing.heartbeat;
                    if renewal.cancel_requested {
                        stop.request(Reason::Cancelled);
                    }
                    // A queue that hangs must not delay the next renewal.
                    let extension = self.receipt.extend_visibility(timing.visibility());
                    if tokio::time::timeout_at(next, extension).await.is_err() {
                        telemetry::visibility_extended("timeout");
                    }
                }
                Some(Err(JobRepoError::LeaseLost)) => {
                    telemetry::lease_renewed("lost");
                    telemetry::lease_lost("taken");
                    tracing::warn!("lost the lease to another claim; stopping the attempt");
                    stop.request(Reason::LeaseLost);
                    return;
                }
                failed => {
                    telemetry::lease_renewed("error");
                    match failed {
                        Some(Err(error)) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(error, "failed to renew lease");
                        }
                        _ => tracing::warn!("failed to renew lease: the database did not respond in time"),
                    }
                    if Instant::now() >= fence {
                        telemetry::lease_lost("fenced");
                        tracing::warn!("stopping the attempt before its lease expires");
                        stop.request(Reason::Fenced);
                        return;
                    }
                    next = (Instant::now() + timing.heartbeat / 8).min(fence);
                }
            }
        }
    }
}
