//! A slot: receives a message only when it is idle.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::accept::Accepted;
use super::attempt::{Attempt, MessageAction};
use super::circuit::Admission;
use super::fault::{self, Point};
use super::monitor::{LoopGuard, max_age};
use super::orphans;
use super::owner;
use super::producer::trace_context;
use super::rate::Rate;
use super::receipt::Receipt;
use super::report::SLICE;
use super::retry::Backoff;
use super::shared::Shared;
use super::stages::EndedStages;
use super::stop::{Reason, Stop};
use super::subject::{Operation, StoreUse, Subject};
use super::telemetry;
use crate::error::chain;
use crate::fleet::Role;
use crate::jobs::{Claim, ClaimTerms, JobCopy, JobId, JobRepoError, JobStatus, Lease, VideoJob};
use crate::queue::Received;
use crate::trace::{self, TraceContext};

/// Maximum time for which a message stays hidden because of a condition that may end at any time.
const MAX_PAUSE: Duration = Duration::from_secs(900);

/// Interval at which a paused slot reports progress.
const PAUSE_CHECK: Duration = Duration::from_secs(10);

pub(super) struct Slot {
    shared: Arc<Shared>,
}

impl Slot {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) async fn run(self) {
        while !self.shared.stopping.is_cancelled() {
            // Not watched while a message is handled, which may take hours; the heartbeat is.
            let pulse = self.watch();
            if !self.ready().await {
                continue;
            }
            let Some(received) = self.receive().await else {
                continue;
            };
            drop(pulse);
            let _busy = self.shared.parts.monitor.busy();
            let receipt = Receipt::new(received);
            // The poll began before the stop, the pause, the restore of the database or the change of the role.
            let monitor = &self.shared.parts.monitor;
            if monitor.is_paused() || !monitor.may_change_jobs() || !monitor.role().may_claim() {
                receipt.extend_visibility(Duration::ZERO).await;
                self.refund_job();
                continue;
            }
            if self.shared.stopping.is_cancelled() {
                receipt.extend_visibility(Duration::ZERO).await;
                return;
            }
            let producer = trace_context(receipt.message());
            let span = tracing::info_span!(
                "receive",
                otel.kind = "consumer",
                messaging.message.id = receipt.message().id,
                receive_count = receipt.message().receive_count,
                trace_id = producer.as_ref().map(TraceContext::trace_id)
            );
            if let Some(producer) = &producer {
                trace::set_parent(&span, producer);
            }
            // A panic while a message is handled does not end the slot.
            let slot = Self::new(Arc::clone(&self.shared));
            let handling = async move { slot.handle(&receipt).await };
            let handling = AbortOnDropHandle::new(tokio::spawn(handling.instrument(span)));
            if let Err(error) = handling.await {
                tracing::error!(%error, "message handler panicked; the message will be redelivered");
            }
        }
    }

    fn watch(&self) -> LoopGuard {
        // Each wait until the next report is limited.
        let limit = max_age(self.shared.config.timing.long_poll);
        self.shared.parts.monitor.watch("slot", limit)
    }

    /// Waits until a job may start; returns `false` after a wait, to check again.
    async fn ready(&self) -> bool {
        let shared = &self.shared;
        if shared.parts.monitor.is_paused() {
            tokio::select! {
                biased;
                () = shared.parts.monitor.resumed() => {}
                // Reports progress.
                () = tokio::time::sleep(PAUSE_CHECK) => {}
                () = shared.stopping.cancelled() => {}
            }
            return false;
        }
        let circuits = &shared.parts.circuits;
        let open = [Subject::Queue, Subject::Database, Subject::Outbox];
        let open = open
            .iter()
            .filter_map(|dependency| circuits.open_until(dependency));
        if let Some(until) = open.max() {
            self.wait_until(until).await;
            return false;
        }
        // Every job needs the result store.
        for operation in Operation::ALL {
            let used = StoreUse::of_results(operation);
            match circuits.admit(&Subject::Store(used.clone())) {
                Admission::Closed => {}
                Admission::Open(until) => {
                    self.wait_until(until).await;
                    return false;
                }
                Admission::Probe => {
                    tokio::select! {
                        biased;
                        _ = shared.parts.probe_circuit(&used) => {}
                        () = shared.stopping.cancelled() => {}
                    }
                    return false;
                }
            }
        }
        if !shared.parts.monitor.may_change_jobs() {
            // After the circuits, which only slots probe.
            tokio::select! {
                biased;
                () = shared.parts.monitor.current() => {}
                // Reports progress.
                () = tokio::time::sleep(PAUSE_CHECK) => {}
                () = shared.stopping.cancelled() => {}
            }
            return false;
        }
        if !shared.is_turn(Instant::now()) {
            tokio::select! {
                biased;
                () = shared.parts.monitor.role_changed() => {}
                // A canary waits for a time slice.
                () = tokio::time::sleep(SLICE) => {}
                () = shared.stopping.cancelled() => {}
            }
            return false;
        }
        let debt =
            |rate: &Option<Rate>, amount| rate.as_ref().map_or(Duration::ZERO, |rate| rate.take(amount));
        let pause = debt(&shared.parts.rates.jobs, 1.0).max(debt(&shared.parts.rates.bytes, 0.0));
        if pause.is_zero() {
            return true;
        }
        self.refund_job();
        // A limit may pause the worker for hours, which is no failure to poll.
        self.wait_until(Instant::now() + pause.min(PAUSE_CHECK)).await;
        telemetry::polled();
        false
    }

    /// Refunds the rate limit for a job that was not started.
    fn refund_job(&self) {
        if let Some(rate) = &self.shared.parts.rates.jobs {
            rate.refund(1.0);
        }
    }

    async fn wait_until(&self, moment: Instant) {
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(moment) => {}
            () = self.shared.stopping.cancelled() => {}
        }
    }

    /// Receives a message. A poll is never cancelled: its messages would stay hidden until their visibility
    /// timeout.
    async fn receive(&self) -> Option<Received> {
        let timing = &self.shared.config.timing;
        let input = &self.shared.parts.input;
        let polled_at = Instant::now();
        let wait = match self.shared.parts.monitor.role() {
            // A longer poll would exceed the share.
            Role::Canary(_) => timing.long_poll.min(SLICE),
            Role::Active | Role::Standby => timing.long_poll,
        };
        let received = input.receive(timing.visibility(), wait).await;
        telemetry::polled();
        match received {
            Ok(received) => {
                self.shared.parts.circuits.succeeded(&Subject::Queue);
                match &received {
                    Some(received) => telemetry::received(received.message.receive_count),
                    None => {
                        self.refund_job();
                        if !wait.is_zero() {
                            self.shared.parts.drained.found(polled_at);
                        }
                    }
                }
                received
            }
            Err(error) => {
                self.refund_job();
                self.shared.parts.circuits.failed(&Subject::Queue, &chain(&error));
                None
            }
        }
    }

    async fn handle(&self, receipt: &Receipt) {
        fault::reached(Point::Received);
        let mut ended = None;
        let action = match self.process(receipt, &mut ended).await {
            Ok(action) => action,
            Err(error @ JobRepoError::Unreadable(_)) => {
                self.refund_job();
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "leaving the message to a worker that can read the job");
                MessageAction::Redeliver(Self::redelivery_pause(receipt))
            }
            Err(JobRepoError::Restored) => {
                self.refund_job();
                self.shared.parts.restored().await;
                MessageAction::Redeliver(Self::redelivery_pause(receipt))
            }
            Err(error) => {
                // The message is valid and waits for the database.
                self.refund_job();
                self.shared
                    .parts
                    .circuits
                    .failed(&Subject::Database, &chain(&error));
                MessageAction::Redeliver(Self::redelivery_pause(receipt))
            }
        };
        match action {
            MessageAction::Delete => {
                receipt.delete().await;
                fault::reached(Point::Deleted);
            }
            MessageAction::Redeliver(pause) => receipt.extend_visibility(pause.min(MAX_PAUSE)).await,
            MessageAction::Leave => {}
        }
        if let Some(stages) = ended {
            stages.record(&self.shared.parts).await;
        }
    }

    /// Returns a pause that grows with every receipt, so that an outage does not exhaust the maximum receive
    /// count of a queue.
    fn redelivery_pause(receipt: &Receipt) -> Duration {
        let doublings = receipt.message().receive_count.saturating_sub(1).min(10);
        Duration::from_secs(1 << doublings).min(MAX_PAUSE)
    }

    /// Processes a message. Sets `ended` to the stages of the attempt, if there was one.
    async fn process(
        &self,
        receipt: &Receipt,
        ended: &mut Option<EndedStages>,
    ) -> Result<MessageAction, JobRepoError> {
        let accepted = self
            .shared
            .parts
            .accept(receipt, self.shared.config.deadline)
            .await?;
        match accepted {
            Accepted::Job(job, copy) => self.claim(job, copy.as_deref(), receipt, ended).await,
            Accepted::Done => {
                self.refund_job();
                Ok(MessageAction::Delete)
            }
            Accepted::DeadLettered => {
                self.refund_job();
                Ok(MessageAction::Leave)
            }
            Accepted::NotNow => {
                self.refund_job();
                let receipts = receipt.message().receive_count;
                let pause = self.shared.config.retry.deferral(receipts, fastrand::f64());
                Ok(MessageAction::Redeliver(pause))
            }
        }
    }

    async fn claim(
        &self,
        job: JobId,
        copy: Option<&JobCopy>,
        receipt: &Receipt,
        ended: &mut Option<EndedStages>,
    ) -> Result<MessageAction, JobRepoError> {
        let config = &self.shared.config;
        let claimed = Instant::now();
        let span = tracing::info_span!("claim", job.id = %job);
        let claim = self.claim_in_turn(job, copy, claimed).instrument(span).await?;
        self.shared.parts.circuits.succeeded(&Subject::Database);
        if !matches!(claim, Claim::Claimed(..)) {
            self.refund_job();
        }
        // Spreads messages that wait for the same time.
        let spread = |pause: Duration| {
            MessageAction::Redeliver(pause + config.timing.heartbeat.mul_f64(fastrand::f64() / 4.0))
        };
        Ok(match claim {
            Claim::Claimed(lease, row) => {
                let span = attempt_span(&row, &lease);
                let stop = Stop::default();
                let attempt = Attempt {
                    parts: Arc::clone(&self.shared.parts),
                    config: Arc::clone(config),
                    job: row,
                    lease,
                    claimed,
                    receipt: receipt.clone(),
                    stop: stop.clone(),
                };
                let attempt = self.run_until_release(attempt.run(), &stop);
                let (action, stages) = attempt.instrument(span).await;
                *ended = Some(stages);
                action
            }
            Claim::Held(left) => {
                telemetry::duplicate("held");
                spread(left)
            }
            Claim::NotDue(left) => {
                telemetry::duplicate("not_due");
                spread(left)
            }
            Claim::Ended(row) => {
                let code = row.error_code.as_deref();
                tracing::info!(job.id = %row.id, status = %row.status, error.r#type = code, "job ended without an attempt");
                telemetry::job_ended_without_attempt(row.status.as_str(), code.unwrap_or_default(), 1);
                orphans::remove(&self.shared.parts, &row).await;
                self.shared.parts.outbox.notify_one();
                MessageAction::Delete
            }
            Claim::Terminal(row) => {
                telemetry::duplicate("terminal");
                tracing::debug!(job.id = %job, status = %row.status, "job is terminal already");
                if row.status != JobStatus::Completed {
                    orphans::remove(&self.shared.parts, &row).await;
                }
                self.shared.parts.outbox.notify_one();
                MessageAction::Delete
            }
            Claim::Standby => {
                self.shared.parts.stand_by();
                MessageAction::Redeliver(Duration::ZERO)
            }
            Claim::Parked(_) => {
                tracing::debug!(job.id = %job, "job waits for the limit of its tenant");
                self.shared.parts.outbox.notify_one();
                MessageAction::Delete
            }
            Claim::Missing => {
                tracing::warn!(job.id = %job, "received a message about an unknown or deleted job");
                MessageAction::Delete
            }
        })
    }

    /// Claims a job, or the parked job that starts before it.
    ///
    /// The message of the parked job may be behind many others. Until this message is received, the message of the job
    /// stands for it: a redelivery of either message finds a job to work on.
    async fn claim_in_turn(
        &self,
        job: JobId,
        copy: Option<&JobCopy>,
        claimed: Instant,
    ) -> Result<Claim, JobRepoError> {
        let claim = self.claim_or_recover(job, copy, claimed).await?;
        let Claim::Parked(Some(first)) = claim else {
            return Ok(claim);
        };
        tracing::debug!(job.id = %job, "a parked job of the tenant starts before the job");
        match self.claim_with_retries(first, &self.terms(), claimed).await? {
            claim @ (Claim::Claimed(..) | Claim::Ended(_) | Claim::Standby) => Ok(claim),
            _ => Ok(Claim::Parked(None)),
        }
    }

    fn terms(&self) -> ClaimTerms {
        let config = &self.shared.config;
        ClaimTerms {
            lease: config.timing.lease,
            crashes: config.crashes,
            revision: self.shared.parts.revision().cloned(),
        }
    }

    /// Claims a job; first recovers it from the copy in its message, if a restored database lost a change.
    async fn claim_or_recover(
        &self,
        job: JobId,
        copy: Option<&JobCopy>,
        claimed: Instant,
    ) -> Result<Claim, JobRepoError> {
        let terms = self.terms();
        let claim = self.claim_with_retries(job, &terms, claimed).await?;
        let is_recovered = match &claim {
            Claim::Missing => self.recover(job, copy).await?,
            Claim::Terminal(row) => self.shared.parts.recover_retry(row, copy).await?,
            _ => false,
        };
        match is_recovered {
            true => self.claim_with_retries(job, &terms, claimed).await,
            false => Ok(claim),
        }
    }

    /// Rebuilds the row of a job from the copy in its message, if a restored database lost the row.
    async fn recover(&self, job: JobId, copy: Option<&JobCopy>) -> Result<bool, JobRepoError> {
        let retention = self.shared.config.timing.retention;
        match copy {
            Some(copy) => self.shared.parts.recover(job, copy, retention).await,
            None => Ok(false),
        }
    }

    /// Claims a job, with retries while the repository does not respond.
    ///
    /// The answer of a successful claim may have been lost, and the job would then be held by nobody until
    /// the lease expires. Retries end while a lease that started with the first request could still be
    /// renewed.
    async fn claim_with_retries(
        &self,
        job: JobId,
        terms: &ClaimTerms,
        since: Instant,
    ) -> Result<Claim, JobRepoError> {
        let config = &self.shared.config;
        let owner = owner::of_claim(&config.owner);
        let end = since + terms.lease.saturating_sub(config.timing.fence_margin * 2);
        let mut backoff = Backoff::default();
        loop {
            let error = match self.shared.parts.repo.claim(job, &owner, terms).await {
                Err(error) if error.is_retryable() => error,
                answer => return answer,
            };
            // Makes the other slots wait too.
            self.shared
                .parts
                .circuits
                .failed(&Subject::Database, &chain(&error));
            let next = Instant::now() + backoff.failed();
            if next >= end {
                return Err(error);
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(next) => {}
                () = self.shared.release.cancelled() => return Err(error),
            }
        }
    }

    /// Stops the attempt when its job has to be released.
    async fn run_until_release<T>(&self, attempt: impl Future<Output = T>, stop: &Stop) -> T {
        tokio::pin!(attempt);
        tokio::select! {
            biased;
            ended = &mut attempt => return ended,
            () = self.shared.release.cancelled() => stop.request(Reason::Shutdown),
        }
        attempt.await
    }
}

/// Returns the span of an attempt, linked to the producer of the job: the message may have another producer.
fn attempt_span(job: &VideoJob, lease: &Lease) -> tracing::Span {
    let source = job.source.json();
    let span = tracing::info_span!(
        "attempt",
        otel.status_code = tracing::field::Empty,
        otel.status_description = tracing::field::Empty,
        job.id = %job.id,
        job.attempt = job.attempts,
        lease.epoch = lease.epoch.0,
        input.bucket = source["bucket"].as_str(),
        input.key = source["key"].as_str(),
        input.version = source["version"].as_str().or(source["etag"].as_str())
    );
    if let Some(producer) = &job.trace {
        trace::add_link(&span, producer);
    }
    span
}
