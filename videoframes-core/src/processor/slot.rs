//! One place to work: receives a message only when it has nothing else to do.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;

use super::Shared;
use super::accept::Accepted;
use super::attempt::{Afterwards, Attempt};
use super::circuit::{Admission, Dependency, Operation, StoreUse};
use super::fault::{self, Point};
use super::leftovers;
use super::rate::Rate;
use super::receipt::Receipt;
use super::retry::Backoff;
use super::stop::{Reason, Stop};
use super::telemetry;
use crate::error::chain;
use crate::jobs::{Claim, ClaimTerms, JobId, JobRepoError, JobStatus};
use crate::queue::Message;

/// The longest for which a message is hidden because of something that may end at any time.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

pub(super) struct Slot {
    shared: Arc<Shared>,
}

impl Slot {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) async fn run(self) {
        while !self.shared.stopping.is_cancelled() {
            if !self.ready().await {
                continue;
            }
            let Some(message) = self.receive().await else {
                continue;
            };
            let receipt = Receipt::new(Arc::clone(&self.shared.parts.input), message);
            if self.shared.stopping.is_cancelled() {
                receipt.hide(Duration::ZERO).await;
                return;
            }
            let span = tracing::info_span!(
                "message",
                messaging.message.id = receipt.message().id,
                receive_count = receipt.message().receive_count
            );
            // A slot outlives whatever happens to one message.
            let shared = Arc::clone(&self.shared);
            let handling = async move { Slot { shared }.handle(&receipt).await };
            if let Err(error) = tokio::spawn(handling.instrument(span)).await {
                tracing::error!(%error, "a defect of the worker; the message comes again");
            }
        }
    }

    /// Waits until something may begin. `false` after a wait, to look again.
    async fn ready(&self) -> bool {
        let shared = &self.shared;
        let circuits = &shared.parts.circuits;
        let open = [Dependency::Queue, Dependency::Database, Dependency::Outbox];
        let open = open
            .iter()
            .filter_map(|dependency| circuits.open_until(dependency));
        if let Some(until) = open.max() {
            self.wait_until(until).await;
            return false;
        }
        // Every job needs the store of the results.
        for operation in Operation::ALL {
            let used = StoreUse::of_results(operation);
            match circuits.admit(&Dependency::Store(used.clone())) {
                Admission::Closed => {}
                Admission::Open(until) => {
                    self.wait_until(until).await;
                    return false;
                }
                Admission::Probe => {
                    tokio::select! {
                        _ = shared.parts.tried(&used) => {}
                        () = shared.stopping.cancelled() => {}
                    }
                    return false;
                }
            }
        }
        let owed =
            |rate: &Option<Rate>, amount| rate.as_ref().map_or(Duration::ZERO, |rate| rate.take(amount));
        let pause = owed(&shared.parts.rates.jobs, 1.0).max(owed(&shared.parts.rates.bytes, 0.0));
        if pause.is_zero() {
            return true;
        }
        self.not_begun();
        self.wait_until(Instant::now() + pause).await;
        false
    }

    /// What was taken from the rate for a job that was none.
    fn not_begun(&self) {
        if let Some(rate) = &self.shared.parts.rates.jobs {
            rate.give_back(1.0);
        }
    }

    async fn wait_until(&self, moment: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(moment) => {}
            () = self.shared.stopping.cancelled() => {}
        }
    }

    /// A poll is never broken off: what it brings would be hidden until its time is over.
    async fn receive(&self) -> Option<Message> {
        let timing = &self.shared.config.timing;
        let input = &self.shared.parts.input;
        let asked = Instant::now();
        let received = input.receive(1, timing.visibility(), timing.long_poll).await;
        telemetry::polled();
        match received {
            Ok(messages) => {
                self.shared.parts.circuits.succeeded(&Dependency::Queue);
                let message = messages.into_iter().next();
                match &message {
                    Some(message) => telemetry::received(message.receive_count),
                    None => {
                        self.not_begun();
                        if !timing.long_poll.is_zero() {
                            self.shared.parts.drained.found(asked);
                        }
                    }
                }
                message
            }
            Err(error) => {
                self.not_begun();
                self.shared
                    .parts
                    .circuits
                    .failed(&Dependency::Queue, &chain(&error));
                None
            }
        }
    }

    async fn handle(&self, receipt: &Receipt) {
        fault::reached(Point::Received);
        let afterwards = match self.job_of(receipt).await {
            Ok(afterwards) => afterwards,
            Err(error @ JobRepoError::Unreadable(_)) => {
                self.not_begun();
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "left to a worker that can read it");
                Afterwards::Again(Self::growing(receipt))
            }
            Err(error) => {
                // Nothing is wrong with the message: it waits for the database.
                self.not_begun();
                self.shared
                    .parts
                    .circuits
                    .failed(&Dependency::Database, &chain(&error));
                Afterwards::Again(Self::growing(receipt))
            }
        };
        match afterwards {
            Afterwards::Delete => {
                receipt.delete().await;
                fault::reached(Point::Deleted);
            }
            Afterwards::Again(pause) => receipt.hide(pause.min(LONGEST_PAUSE)).await,
            Afterwards::Leave => {}
        }
    }

    /// A pause that grows from receipt to receipt, so that an outage does not use up a queue's patience.
    fn growing(receipt: &Receipt) -> Duration {
        let doublings = receipt.message().receive_count.saturating_sub(1).min(10);
        Duration::from_secs(1 << doublings).min(LONGEST_PAUSE)
    }

    async fn job_of(&self, receipt: &Receipt) -> Result<Afterwards, JobRepoError> {
        let accepted = self
            .shared
            .parts
            .accept(receipt, self.shared.config.deadline)
            .await?;
        match accepted {
            Accepted::Job(job) => self.claim(job, receipt).await,
            Accepted::Done => {
                self.not_begun();
                Ok(Afterwards::Delete)
            }
            Accepted::Buried => {
                self.not_begun();
                Ok(Afterwards::Leave)
            }
            Accepted::NotNow => {
                self.not_begun();
                let receipts = receipt.message().receive_count;
                let pause = self.shared.config.retry.deferral(receipts, fastrand::f64());
                Ok(Afterwards::Again(pause))
            }
        }
    }

    async fn claim(&self, job: JobId, receipt: &Receipt) -> Result<Afterwards, JobRepoError> {
        let config = &self.shared.config;
        let terms = ClaimTerms {
            lease: config.timing.lease,
            crashes: config.crashes,
        };
        let claimed = Instant::now();
        let claim = self.ask(job, &terms, claimed).await?;
        self.shared.parts.circuits.succeeded(&Dependency::Database);
        if !matches!(claim, Claim::Claimed(..)) {
            self.not_begun();
        }
        // Those that wait for the same moment come one after the other.
        let spread = |pause: Duration| {
            Afterwards::Again(pause + config.timing.heartbeat.mul_f64(fastrand::f64() / 4.0))
        };
        Ok(match claim {
            Claim::Claimed(lease, row) => {
                let span = tracing::info_span!(
                    "job",
                    job.id = %job,
                    job.attempt = row.attempts,
                    lease.epoch = lease.epoch.0,
                    input.key = row.source["key"].as_str()
                );
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
                self.until_handed_back(attempt.run(), &stop)
                    .instrument(span)
                    .await
            }
            Claim::Held(left) => {
                telemetry::duplicate("held");
                spread(left)
            }
            Claim::NotDue(left) => {
                telemetry::duplicate("not_due");
                spread(left)
            }
            Claim::Terminal(row) => {
                telemetry::duplicate("terminal");
                tracing::debug!(job.id = %job, status = %row.status, "nothing is left to do");
                if row.status != JobStatus::Completed {
                    leftovers::remove(&self.shared.parts, &row).await;
                }
                self.shared.parts.outbox.notify_one();
                Afterwards::Delete
            }
            Claim::Missing => {
                tracing::warn!(job.id = %job, "a message about a job that is not known, or no longer");
                Afterwards::Delete
            }
        })
    }

    /// Claims a job, again and again while the repository does not answer: what was answered last may have
    /// been lost, and would be held by nobody until its lease ends. Not longer than a lease that began with
    /// the first question can be renewed.
    async fn ask(&self, job: JobId, terms: &ClaimTerms, since: Instant) -> Result<Claim, JobRepoError> {
        let config = &self.shared.config;
        // No other claim has this name, not even one of the same worker.
        let owner = format!("{}/{:08x}", config.owner, fastrand::u32(..));
        let end = since + terms.lease.saturating_sub(config.timing.fence_margin * 2);
        let mut backoff = Backoff::default();
        loop {
            let error = match self.shared.parts.repo.claim(job, &owner, terms).await {
                Err(error) if error.is_retryable() => error,
                answer => return answer,
            };
            // The other slots wait too.
            self.shared
                .parts
                .circuits
                .failed(&Dependency::Database, &chain(&error));
            let next = Instant::now() + backoff.failed();
            if next >= end {
                return Err(error);
            }
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.shared.hand_back.cancelled() => return Err(error),
            }
        }
    }

    /// Stops the attempt when it has to be handed back.
    async fn until_handed_back(&self, attempt: impl Future<Output = Afterwards>, stop: &Stop) -> Afterwards {
        tokio::pin!(attempt);
        tokio::select! {
            afterwards = &mut attempt => return afterwards,
            () = self.shared.hand_back.cancelled() => stop.because(Reason::Shutdown),
        }
        attempt.await
    }
}
