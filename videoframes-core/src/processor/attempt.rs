//! A claimed job, held by its heartbeat until its outcome is written down.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::Parts;
use super::circuit::{Operation, StoreUse};
use super::config::ProcessorConfig;
use super::fault::{self, Point};
use super::heartbeat::{Held, State, beat};
use super::leftovers;
use super::receipt::Receipt;
use super::retry::Backoff;
use super::stop::{Reason, Stop};
use super::telemetry;
use super::verdict::{Suspect, Verdict};
use super::work::{Done, Work};
use crate::error::chain;
use crate::jobs::{ErrorCode, JobError, JobRepoError, JobStatus, Lease, Outcome, Stage, VideoJob};
use crate::storage::ObjectKey;

/// How long a worker that was cut off tries to hand its job back.
const HAND_BACK: Duration = Duration::from_secs(300);

/// What is to become of the message when the attempt is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// The job is terminal.
    Delete,
    /// It is to come again after this time.
    Again(Duration),
    /// It is another worker's business.
    Leave,
}

/// What the attempt's outcome asks to be written.
enum Ending {
    Finish(Outcome, Vec<ObjectKey>),
    RetryLater(JobError, Duration),
    /// The same without counting the attempt: a dependency is out of order.
    Defer(JobError, Duration),
    Release,
    Nothing,
}

pub(super) struct Attempt {
    pub(super) parts: Arc<Parts>,
    pub(super) config: Arc<ProcessorConfig>,
    pub(super) job: VideoJob,
    pub(super) lease: Lease,
    /// When the claim was asked for: the lease began then at the earliest.
    pub(super) claimed: Instant,
    pub(super) receipt: Receipt,
    pub(super) stop: Stop,
}

impl Attempt {
    /// Works on the job and writes down the outcome. The lease is held until that is done. Whatever ends
    /// this early, a panic too, ends heartbeat and work.
    pub(super) async fn run(self) -> Afterwards {
        fault::reached(Point::Claimed);
        let _counted = telemetry::InFlight::new();
        let began = Instant::now();
        telemetry::waited(self.job.updated_at.since(self.job.created_at));
        let state = Arc::new(State::new());
        let done = CancellationToken::new();
        let heart = self.heart(&state, &done);
        let _deadline = self.watch_deadline();
        let outcome = match self.blocked().await {
            Some(suspect) => Err(Verdict::of_outage(suspect)),
            None => self.work(&state).await,
        };
        let outage = match &outcome {
            Ok(_) => false,
            Err(verdict) => self.is_outage(verdict).await,
        };
        state.enter(Stage::Commit);
        let ending = self.ending(outcome, outage);
        let afterwards = self.write(&ending, began).await;
        fault::reached(Point::Committed);
        // The heartbeat in flight is waited for, so that nothing touches the message behind its end.
        done.cancel();
        let _ = heart.await;
        afterwards
    }

    fn bucket(&self) -> Option<&str> {
        self.job.source["bucket"].as_str()
    }

    /// What this job needs and is known to be out of order.
    async fn blocked(&self) -> Option<Suspect> {
        let needed = [Suspect::SourceRead]
            .into_iter()
            .chain(Operation::ALL.map(Suspect::Results));
        for suspect in needed {
            let used: StoreUse = self.parts.suspected(suspect, self.bucket());
            let admits = tokio::select! {
                biased;
                () = self.stop.token().cancelled() => true,
                admits = self.parts.admits(&used) => admits,
            };
            if !admits {
                return Some(suspect);
            }
        }
        None
    }

    /// Whether what failed fails for every job, and not for this one alone.
    async fn is_outage(&self, verdict: &Verdict) -> bool {
        let Some(suspect) = verdict.suspect else {
            return false;
        };
        let used = self.parts.suspected(suspect, self.bucket());
        tokio::select! {
            biased;
            () = self.stop.token().cancelled() => false,
            outage = self.parts.is_outage(&used) => outage,
        }
    }

    fn heart(&self, state: &Arc<State>, done: &CancellationToken) -> AbortOnDropHandle<()> {
        let (repo, lease) = (Arc::clone(&self.parts.repo), self.lease.clone());
        let (receipt, state) = (self.receipt.clone(), Arc::clone(state));
        let (stop, timing) = (self.stop.clone(), self.config.timing);
        let (done, claimed) = (done.clone(), self.claimed);
        let beating = async move {
            let held = Held {
                repo: repo.as_ref(),
                lease: &lease,
                receipt: &receipt,
                state: &state,
            };
            beat(&held, claimed, &stop, &timing, &done).await;
        };
        AbortOnDropHandle::new(tokio::spawn(beating.in_current_span()))
    }

    fn watch_deadline(&self) -> Option<AbortOnDropHandle<()>> {
        let deadline = self.job.deadline_at?;
        // The claim has just set the job's time of change: both are the repository's own time.
        let left = deadline.since(self.job.updated_at);
        let stop = self.stop.clone();
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(left).await;
            stop.because(Reason::Deadline);
        })))
    }

    /// Does the work in a task of its own: a panic costs this attempt only.
    async fn work(&self, state: &Arc<State>) -> Result<Done, Verdict> {
        let work = Work {
            parts: Arc::clone(&self.parts),
            config: Arc::clone(&self.config),
            job: self.job.clone(),
            lease: self.lease.clone(),
            state: Arc::clone(state),
            stop: self.stop.clone(),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(work.run().in_current_span()));
        match task.await {
            Ok(outcome) => outcome,
            Err(error) => {
                let message = format!("a defect of the worker ended the attempt: {error}");
                tracing::error!(message);
                Err(Verdict::retryable(ErrorCode::Internal, message))
            }
        }
    }

    fn ending(&self, outcome: Result<Done, Verdict>, outage: bool) -> Ending {
        let verdict = match (outcome, self.stop.reason()) {
            _ if self.stop.is_lost() => return Ending::Nothing,
            _ if self.stop.is_fenced() => return Ending::Release,
            (Ok((result, hash)), _) => return Ending::Finish(Outcome::Completed(result, hash), Vec::new()),
            (Err(_), Some(Reason::Cancelled)) => {
                let error = JobError::new(ErrorCode::Cancelled, "someone stopped the job");
                return Ending::Finish(Outcome::Cancelled(error), Vec::new());
            }
            (Err(_), Some(Reason::Deadline)) => {
                let message = "the time for the whole job is over";
                let error = JobError::new(ErrorCode::DeadlineExceeded, message);
                return Ending::Finish(Outcome::Failed(error), Vec::new());
            }
            (Err(_), Some(Reason::Shutdown)) => return Ending::Release,
            (Err(_), Some(Reason::Defect)) => {
                let message = "a defect of the worker ended the heartbeat";
                Verdict::retryable(ErrorCode::Internal, message)
            }
            (Err(verdict), _) => verdict,
        };
        let code = verdict.error.code.as_str();
        if outage {
            let receipts = self.receipt.message().receive_count;
            let pause = self.config.retry.deferral(receipts, fastrand::f64());
            tracing::warn!(
                error.r#type = code,
                message = verdict.error.message,
                ?pause,
                "deferred until the dependency works again; the attempt is not counted"
            );
            return Ending::Defer(verdict.error, pause);
        }
        let pause = self.config.retry.pause(self.job.attempts, fastrand::f64());
        match pause.filter(|_| verdict.retryable) {
            Some(pause) => {
                tracing::warn!(
                    error.r#type = code,
                    message = verdict.error.message,
                    ?pause,
                    "to be tried again"
                );
                Ending::RetryLater(verdict.error, pause)
            }
            None => Ending::Finish(Outcome::Failed(verdict.error), verdict.discard),
        }
    }

    /// Writes the ending down, again and again while the repository does not answer. Once the lease has ended
    /// here, the job is handed back instead, unless another worker has it by then: nobody has vanished.
    async fn write(&self, mut ending: &Ending, began: Instant) -> Afterwards {
        let mut backoff = Backoff::default();
        let mut until = None;
        loop {
            let written = match ending {
                Ending::Nothing => return self.lost(),
                Ending::Finish(outcome, _) => self.parts.repo.finish(&self.lease, outcome).await.map(drop),
                Ending::RetryLater(error, pause) => {
                    self.parts.repo.retry_later(&self.lease, error, *pause).await
                }
                Ending::Defer(error, pause) => self.parts.repo.defer(&self.lease, error, *pause).await,
                Ending::Release => self.parts.repo.release(&self.lease).await,
            };
            let error = match written {
                Ok(()) => {
                    self.discard(ending).await;
                    return self.told(ending, began);
                }
                Err(error) => error,
            };
            // Another holder, or our own change whose answer was lost: the row tells which.
            if matches!(error, JobRepoError::LeaseLost) {
                let row = self.parts.repo.get(self.lease.job).await;
                return match row {
                    Ok(Some(job)) if job.lease_epoch == self.lease.epoch && job.status.is_terminal() => {
                        if job.status != JobStatus::Completed {
                            self.discard(ending).await;
                        }
                        Afterwards::Delete
                    }
                    _ => {
                        telemetry::stale_commit();
                        self.lost()
                    }
                };
            }
            if self.stop.is_fenced() {
                ending = &Ending::Release;
                if *until.get_or_insert_with(|| Instant::now() + HAND_BACK) <= Instant::now() {
                    return self.lost();
                }
            }
            if self.stop.is_lost() {
                return self.lost();
            }
            tracing::warn!(
                error = chain(&error),
                "the outcome cannot be written down for now"
            );
            tokio::time::sleep(backoff.failed()).await;
        }
    }

    /// Removes what a job has written that has failed for it.
    async fn discard(&self, ending: &Ending) {
        let Ending::Finish(outcome, keys) = ending else {
            return;
        };
        for key in keys {
            if let Err(error) = self.parts.stores.results().delete(key).await {
                tracing::warn!(error = chain(&error), %key, "an object that must not stay cannot be removed");
            }
        }
        if !matches!(outcome, Outcome::Completed(..)) {
            leftovers::remove(&self.parts, &self.job).await;
        }
    }

    fn told(&self, ending: &Ending, began: Instant) -> Afterwards {
        let took = began.elapsed();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match ending {
            Ending::Finish(outcome, _) => {
                let (name, error) = match outcome {
                    Outcome::Completed(result, _) => {
                        tracing::info!(
                            duration_ms,
                            output.key = result.key,
                            frames = result.frames,
                            bytes = result.size,
                            "completed"
                        );
                        ("completed", None)
                    }
                    Outcome::Failed(error) => {
                        let code = error.code.as_str();
                        tracing::warn!(
                            duration_ms,
                            error.r#type = code,
                            message = error.message,
                            "failed"
                        );
                        ("failed", Some(code))
                    }
                    Outcome::Cancelled(error) => {
                        tracing::info!(duration_ms, "cancelled");
                        ("cancelled", Some(error.code.as_str()))
                    }
                };
                telemetry::job_ended(name, error, took);
                self.parts.outbox.notify_one();
                Afterwards::Delete
            }
            Ending::RetryLater(error, pause) => {
                telemetry::job_ended("retried", Some(&error.code), took);
                Afterwards::Again(*pause)
            }
            Ending::Defer(error, pause) => {
                telemetry::job_ended("deferred", Some(&error.code), took);
                Afterwards::Again(*pause)
            }
            Ending::Release => {
                tracing::info!("handed back");
                telemetry::job_ended("released", None, took);
                Afterwards::Again(Duration::ZERO)
            }
            Ending::Nothing => Afterwards::Leave,
        }
    }

    fn lost(&self) -> Afterwards {
        tracing::warn!("the lease is lost: what was done here counts no more");
        Afterwards::Leave
    }
}
