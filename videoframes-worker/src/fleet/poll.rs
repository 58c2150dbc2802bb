//! Polls of the registry, with retries during an outage.

use std::time::Duration;

use videoframes_console::Failure;
use videoframes_core::fleet::{FleetChange, FleetError, FleetRegistry, Revision};

use super::args::RequirementArgs;
use super::failure::{failure, unhealthy};
use super::tally::Tally;
use super::verdict::{Verdict, verdict};
use crate::outage::Outage;

/// Interval between two polls.
pub(super) const POLL: Duration = Duration::from_secs(1);

/// Polls the registry about one revision.
pub(super) struct Polls<'a> {
    pub(super) registry: &'a dyn FleetRegistry,
    /// The revision.
    pub(super) revision: &'a Revision,
    /// Time without a report after which a worker counts as lost.
    pub(super) timeout: Duration,
    pub(super) outage: Outage,
    /// Numbers before the first poll: of the revision, and of all others.
    baseline: [Tally; 2],
}

impl<'a> Polls<'a> {
    /// Returns polls that count everything since the start of the revision.
    pub(super) fn new(
        registry: &'a dyn FleetRegistry,
        revision: &'a Revision,
        timeout: Duration,
        outage: Duration,
    ) -> Self {
        Self {
            registry,
            revision,
            timeout,
            outage: Outage::new(outage),
            baseline: Default::default(),
        }
    }

    /// Counts only what happens from now on.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        self.baseline = self.count().await?;
        Ok(())
    }

    pub(super) async fn verdict(&mut self, require: &RequirementArgs) -> Result<Verdict, Failure> {
        let [revision, others] = self.count().await?;
        let [earlier, others_earlier] = self.baseline;
        Ok(verdict(
            revision.since(earlier),
            others.since(others_earlier),
            require,
        ))
    }

    async fn count(&mut self) -> Result<[Tally; 2], Failure> {
        let workers = loop {
            match self.registry.workers().await {
                Ok(workers) => break workers,
                Err(error) => self.retry(&error).await?,
            }
        };
        self.outage.end();
        let of = |own| {
            let revision = Some(self.revision);
            Tally::of(&workers, self.timeout, |found| (found == revision) == own)
        };
        Ok([of(true), of(false)])
    }

    pub(super) async fn change(&mut self, change: &FleetChange) -> Result<(), Failure> {
        while let Err(error) = self.registry.change(change, self.timeout).await {
            self.retry(&error).await?;
        }
        self.outage.end();
        Ok(())
    }

    async fn retry(&mut self, error: &FleetError) -> Result<(), Failure> {
        match error {
            FleetError::Unavailable { .. } => self.outage.wait(error).await,
            _ => Err(failure(error)),
        }
    }

    /// Creates the failure for an unhealthy revision.
    pub(super) fn unhealthy(&self, reason: &str) -> Failure {
        unhealthy(self.revision, reason)
    }
}
