//! Holds a job while it is worked on: the lease first, then the message.

use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::Timing;
use super::fault::{self, Point};
use super::receipt::Receipt;
use super::stop::{Reason, Stop};
use super::telemetry;
use crate::jobs::{JobRepo, JobRepoError, Lease, Stage};
use crate::pipeline::Progress;

/// How far work on a job is; written by the work, read by the heartbeat.
#[derive(Debug)]
pub(super) struct State {
    inner: Mutex<(Stage, Progress, Instant)>,
}

impl State {
    pub(super) fn new() -> Self {
        let nothing = Progress {
            frames: 0,
            total: 0,
            bytes: 0,
        };
        Self {
            inner: Mutex::new((Stage::Prepare, nothing, Instant::now())),
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
        tracing::debug!(stage = stage.as_str(), "entered");
    }

    pub(super) fn progress(&self, progress: Progress) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).1 = progress;
    }
}

/// What is held.
pub(super) struct Held<'a> {
    pub(super) repo: &'a dyn JobRepo,
    pub(super) lease: &'a Lease,
    pub(super) receipt: &'a Receipt,
    pub(super) state: &'a State,
}

/// Ends the work with the heartbeat, also where a panic ends that: what nobody holds must not go on.
struct StopUnlessDone<'a> {
    stop: &'a Stop,
    done: &'a CancellationToken,
}

impl Drop for StopUnlessDone<'_> {
    fn drop(&mut self) {
        if !self.done.is_cancelled() {
            self.stop.because(Reason::Defect);
        }
    }
}

/// Renews until `done` or until the lease is lost; what is on its way is always waited for. Ends the work
/// by `stop` where the lease is lost, cannot be renewed in time, or where someone asked for the job to be
/// stopped. `claimed` is when the claim was asked for.
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
        fault::reached(Point::Heartbeat);
        let asked_at = Instant::now();
        let fence = held_from + timing.lease.saturating_sub(timing.fence_margin);
        let (stage, progress) = held.state.read();
        let renewal = held.repo.renew(held.lease, timing.lease, stage, progress);
        let renewed = tokio::time::timeout_at(fence, renewal).await.ok();
        // Once the outcome is written, what the lease says no longer matters.
        if done.is_cancelled() {
            return;
        }
        match renewed {
            Some(Ok(renewal)) => {
                telemetry::lease_renewed("ok");
                held_from = asked_at;
                next = asked_at + timing.heartbeat;
                if renewal.cancel_requested {
                    stop.because(Reason::Cancelled);
                }
                // A queue that hangs must not hold up the next renewal.
                let hiding = held.receipt.hide(timing.visibility());
                if tokio::time::timeout_at(next, hiding).await.is_err() {
                    telemetry::visibility_extended("timeout");
                }
            }
            Some(Err(JobRepoError::LeaseLost)) => {
                telemetry::lease_renewed("lost");
                telemetry::lease_lost("taken");
                stop.because(Reason::LeaseLost);
                return;
            }
            failed => {
                telemetry::lease_renewed("error");
                if let Some(Err(error)) = failed {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the lease cannot be renewed for now");
                }
                if Instant::now() >= fence {
                    telemetry::lease_lost("fenced");
                    stop.because(Reason::Fenced);
                    return;
                }
                next = (Instant::now() + timing.heartbeat / 8).min(fence);
            }
        }
    }
}
