//! One attempt at a claimed job, from the claim to the recorded outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span};

use super::config::ProcessorConfig;
use super::fault::{self, Point};
use super::heartbeat::{Heartbeat, State};
use super::monitor::max_age;
use super::orphans;
use super::parts::Parts;
use super::receipt::Receipt;
use super::retry::Backoff;
use super::stages::EndedStages;
use super::stop::{Reason, Stop};
use super::subject::{Operation, StoreUse};
use super::telemetry;
use super::verdict::{Suspect, Verdict};
use super::work::{Done, Work};
use crate::error::chain;
use crate::fleet::EndedAttempts;
use crate::jobs::{ErrorCode, JobError, JobRepoError, JobStatus, Lease, Outcome, Stage, VideoJob};
use crate::storage::ObjectKey;

/// Maximum time for which a fenced worker tries to release its job.
const RELEASE_TIME: Duration = Duration::from_secs(300);

/// What happens to the message after the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageAction {
    /// The job is terminal: delete the message.
    Delete,
    /// Redeliver the message after this time.
    Redeliver(Duration),
    /// Another worker is responsible for the message.
    Leave,
}

/// The change that the outcome of an attempt requires.
enum Ending {
    Finish(Outcome, Vec<ObjectKey>),
    RetryLater(JobError, Duration),
    /// Like `RetryLater` without counting the attempt: a dependency has an outage.
    Defer(JobError, Duration),
    Release,
    Nothing,
}

impl Ending {
    /// Returns the error of a failed attempt.
    fn error(&self) -> Option<&JobError> {
        match self {
            Self::Finish(Outcome::Failed(error), _) | Self::RetryLater(error, _) | Self::Defer(error, _) => {
                Some(error)
            }
            Self::Finish(..) | Self::Release | Self::Nothing => None,
        }
    }

    /// Returns the count of this attempt alone. Neither an outage nor a release is a fault of the worker.
    fn count(&self) -> EndedAttempts {
        let mut ended = EndedAttempts::default();
        match self {
            Self::Finish(Outcome::Completed(..), _) => ended.completed = 1,
            Self::Finish(Outcome::Failed(error), _) | Self::RetryLater(error, _) if is_fault(error) => {
                ended.faults = 1;
            }
            Self::Finish(Outcome::Failed(_), _) => ended.failed = 1,
            _ => {}
        }
        ended
    }
}

fn is_fault(error: &JobError) -> bool {
    ErrorCode::from_name(&error.code).is_none_or(ErrorCode::is_system_fault)
}

pub(super) struct Attempt {
    pub(super) parts: Arc<Parts>,
    pub(super) config: Arc<ProcessorConfig>,
    pub(super) job: VideoJob,
    pub(super) lease: Lease,
    /// Time of the claim request, which is the earliest start of the lease.
    pub(super) claimed: Instant,
    pub(super) receipt: Receipt,
    pub(super) stop: Stop,
}

impl Attempt {
    /// Processes the job and records the outcome, holding the lease until then. An early end, even by a
    /// panic, also ends heartbeat and work. The caller records the stages after the action.
    pub(super) async fn run(self) -> (MessageAction, EndedStages) {
        fault::reached(Point::Claimed);
        let _counted = telemetry::InFlight::new();
        let began = Instant::now();
        if self.job.attempts == 1 {
            // A job of an event is created when a worker receives the event.
            let sent_at = self.receipt.message().sent_at.unwrap_or(self.job.created_at);
            telemetry::waited(self.job.updated_at.since(self.job.created_at.min(sent_at)));
        }
        let state = Arc::new(State::new());
        let done = CancellationToken::new();
        let heartbeat = self.start_heartbeat(&state, &done);
        let _deadline = self.watch_deadline();
        let outcome = match self.blocked().await {
            Some(suspect) => Err(Verdict::from_outage(suspect)),
            None => self.work(&state).await,
        };
        let outage = match &outcome {
            Ok(_) => false,
            Err(verdict) => self.is_outage(verdict).await,
        };
        state.enter(Stage::Commit);
        let ending = self.ending(outcome, outage);
        let action = self.write(&ending, began).await;
        let stages = EndedStages::new(self.lease.clone(), &state);
        fault::reached(Point::Committed);
        // Waits for a renewal in flight, so that nothing changes the message after the end of the attempt.
        done.cancel();
        let _ = heartbeat.await;
        (action, stages)
    }

    fn bucket(&self) -> Option<&str> {
        self.job.source.get().ok()?.bucket.as_deref()
    }

    /// Returns a required dependency with an outage, if any.
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

    /// Returns whether the failure affects every job rather than this one alone.
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

    fn start_heartbeat(&self, state: &Arc<State>, done: &CancellationToken) -> AbortOnDropHandle<()> {
        let heartbeat = Heartbeat {
            repo: Arc::clone(&self.parts.repo),
            lease: self.lease.clone(),
            receipt: self.receipt.clone(),
            state: Arc::clone(state),
            stop: self.stop.clone(),
            timing: self.config.timing,
            pulse: self
                .parts
                .monitor
                .watch("heartbeat", max_age(self.config.timing.heartbeat)),
        };
        let (claimed, done) = (self.claimed, done.clone());
        let beating = async move { heartbeat.beat(claimed, &done).await };
        AbortOnDropHandle::new(tokio::spawn(beating.in_current_span()))
    }

    fn watch_deadline(&self) -> Option<AbortOnDropHandle<()>> {
        let deadline = self.job.deadline_at?;
        // The claim has just set `updated_at`: both times are from the repository's clock.
        let left = deadline.since(self.job.updated_at);
        let stop = self.stop.clone();
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(left).await;
            stop.request(Reason::Deadline);
        })))
    }

    /// Runs the work in a separate task: a panic costs only this attempt.
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
                let message = format!("an internal error of the worker ended the attempt: {error}");
                tracing::error!("{message}");
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
                let error = JobError::new(ErrorCode::Cancelled, "the job was cancelled on request");
                return Ending::Finish(Outcome::Cancelled(error), Vec::new());
            }
            (Err(_), Some(Reason::Deadline)) => {
                let message = "the deadline of the job passed";
                let error = JobError::new(ErrorCode::DeadlineExceeded, message);
                return Ending::Finish(Outcome::Failed(error), Vec::new());
            }
            (Err(_), Some(Reason::Shutdown)) => return Ending::Release,
            (Err(_), Some(Reason::Defect)) => {
                let message = "an internal error of the worker ended the heartbeat";
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
                error.message = verdict.error.message,
                error.retryable = true,
                ?pause,
                "deferred job because of an outage, without counting the attempt"
            );
            return Ending::Defer(verdict.error, pause);
        }
        let pause = self.config.retry.pause(self.job.attempts, fastrand::f64());
        match pause.filter(|_| verdict.retryable) {
            Some(pause) => {
                tracing::warn!(
                    error.r#type = code,
                    error.message = verdict.error.message,
                    error.retryable = true,
                    ?pause,
                    "attempt failed; scheduled another"
                );
                Ending::RetryLater(verdict.error, pause)
            }
            None => Ending::Finish(Outcome::Failed(verdict.error), verdict.discard),
        }
    }

    /// Records the ending, with retries while the repository does not respond.
    ///
    /// After the lease has expired, the job is released instead, unless another worker holds it. This way no
    /// crash is counted.
    async fn write(&self, mut ending: &Ending, began: Instant) -> MessageAction {
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
                    return self.report(ending, began);
                }
                Err(error) => error,
            };
            // Another holder, or an own change whose answer was lost: the row distinguishes the two.
            if matches!(error, JobRepoError::LeaseLost) {
                let row = self.parts.repo.get(self.lease.job).await;
                return match row {
                    Ok(Some(job)) if job.lease_epoch == self.lease.epoch && job.status.is_terminal() => {
                        if job.status != JobStatus::Completed {
                            self.discard(ending).await;
                        }
                        MessageAction::Delete
                    }
                    _ => {
                        telemetry::stale_commit();
                        self.lost()
                    }
                };
            }
            if matches!(error, JobRepoError::Restored) {
                self.parts.restored().await;
            }
            if self.stop.is_fenced() {
                ending = &Ending::Release;
                if *until.get_or_insert_with(|| Instant::now() + RELEASE_TIME) <= Instant::now() {
                    return self.lost();
                }
            }
            if self.stop.is_lost() {
                return self.lost();
            }
            tracing::warn!(error = chain(&error), "failed to record the outcome; retrying");
            tokio::time::sleep(backoff.failed()).await;
        }
    }

    /// Removes the outputs of a failed job.
    async fn discard(&self, ending: &Ending) {
        let Ending::Finish(outcome, keys) = ending else {
            return;
        };
        for key in keys {
            if let Err(error) = self.parts.stores.results().delete(key).await {
                tracing::warn!(error = chain(&error), %key, "failed to delete an invalid object");
            }
        }
        if !matches!(outcome, Outcome::Completed(..)) {
            orphans::remove(&self.parts, &self.job).await;
        }
    }

    fn report(&self, ending: &Ending, began: Instant) -> MessageAction {
        let took = began.elapsed();
        if let Some(error) = ending.error() {
            let span = Span::current();
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", error.code.as_str());
        }
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.parts.monitor.ended(ending.count());
        // A notification, or a message about a parked job.
        self.parts.outbox.notify_one();
        match ending {
            Ending::Finish(outcome, _) => {
                let (name, error) = match outcome {
                    Outcome::Completed(result, _) => {
                        tracing::info!(
                            duration_ms,
                            output.key = result.key,
                            frames = result.frames,
                            bytes = result.size,
                            "job completed"
                        );
                        ("completed", None)
                    }
                    Outcome::Failed(error) => {
                        let code = error.code.as_str();
                        tracing::warn!(
                            duration_ms,
                            error.r#type = code,
                            error.message = error.message,
                            error.retryable = false,
                            "job failed"
                        );
                        ("failed", Some(code))
                    }
                    Outcome::Cancelled(error) => {
                        tracing::info!(duration_ms, "job cancelled");
                        ("cancelled", Some(error.code.as_str()))
                    }
                };
                telemetry::job_ended(name, error, took);
                MessageAction::Delete
            }
            Ending::RetryLater(error, pause) => {
                telemetry::job_ended("retried", Some(&error.code), took);
                MessageAction::Redeliver(*pause)
            }
            Ending::Defer(error, pause) => {
                telemetry::job_ended("deferred", Some(&error.code), took);
                MessageAction::Redeliver(*pause)
            }
            Ending::Release => {
                tracing::info!("released job");
                telemetry::job_ended("released", None, took);
                MessageAction::Redeliver(Duration::ZERO)
            }
            Ending::Nothing => MessageAction::Leave,
        }
    }

    fn lost(&self) -> MessageAction {
        tracing::warn!("lost the lease; discarding this attempt");
        MessageAction::Leave
    }
}
