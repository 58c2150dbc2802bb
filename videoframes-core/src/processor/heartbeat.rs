//! The heartbeat of an attempt: renews the lease, then the visibility timeout of the message.

use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::Timing;
use super::fault::{self, Point};
use super::monitor::LoopGuard;
use super::receipt::Receipt;
use super::stop::{Reason, Stop};
use super::telemetry;
use crate::jobs::{JobRepo, JobRepoError, Lease, Stage};
use crate::pipeline::Progress;

/// Progress of an attempt, written by the work and read by the heartbeat.
#[derive(Debug)]
pub(super) struct State {
    inner: Mutex<(Stage, Progress, Instant)>,
}

impl State {
    pub(super) fn new() -> Self {
        let initial = Progress {
            frames: 0,
            total: 0,
            bytes: 0,
        };
        Self {
            inner: Mutex::new((Stage::Prepare, initial, Instant::now())),
        }
    }

    fn read(&self) -> (Stage, Progress) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.0, inner.1)
    }

    pub(super) fn enter(&self, stage: Stage) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.0 == stage {
            return;
        }
        telemetry::stage_took(inner.0.as_str(), inner.2.elapsed());
        (inner.0, inner.2) = (stage, Instant::now());
        tracing::debug!(stage = stage.as_str(), "entered stage");
    }

    pub(super) fn progress(&self, progress: Progress) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1 = progress;
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        telemetry::stage_took(inner.0.as_str(), inner.2.elapsed());
    }
}

/// The job and the message that a heartbeat holds.
pub(super) struct Held<'a> {
    pub(super) repo: &'a dyn JobRepo,
    pub(super) lease: &'a Lease,
    pub(super) receipt: &'a Receipt,
    pub(super) state: &'a State,
    pub(super) pulse: &'a LoopGuard,
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

/// Renews the lease until `done` or until the lease is lost.
///
/// Waits for a renewal in flight before it returns. Stops the work through `stop` if the lease is lost or
/// cannot be renewed in time, or on a request to cancel the job. `claimed` is the time of the claim request.
pub(super) async fn beat(
    held: &Held<'_>,
    claimed: Instant,
    stop: &Stop,
    timing: &Timing,
    done: &CancellationToken,
) {
    let _stop = StopUnlessDone { stop, done };
    let mut held_from = claimed;
    let mut next = held_from + timing.heartbeat;
    loop {
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            () = tokio::time::sleep_until(next) => {}
        }
        held.pulse.beat();
        fault::reached(Point::Heartbeat);
        let asked_at = Instant::now();
        let fence = held_from + timing.lease.saturating_sub(timing.fence_margin);
        let (stage, progress) = held.state.read();
        let renewal = held.repo.renew(held.lease, timing.lease, stage, progress);
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
                let extension = held.receipt.extend_visibility(timing.visibility());
                if tokio::time::timeout_at(next, extension).await.is_err() {
                    telemetry::visibility_extended("timeout");
                }
            }
            Some(Err(JobRepoError::LeaseLost)) => {
                telemetry::lease_renewed("lost");
                telemetry::lease_lost("taken");
                stop.request(Reason::LeaseLost);
                return;
            }
            failed => {
                telemetry::lease_renewed("error");
                if let Some(Err(error)) = failed {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "failed to renew lease");
                }
                if Instant::now() >= fence {
                    telemetry::lease_lost("fenced");
                    stop.request(Reason::Fenced);
                    return;
                }
                next = (Instant::now() + timing.heartbeat / 8).min(fence);
            }
        }
    }
}
