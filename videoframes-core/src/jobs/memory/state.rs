//! All rows, and the changes that end a job.

use std::collections::{BTreeMap, HashMap};

use super::outbox::Outbox;
use super::restore::Restore;
use super::row::Row;
use crate::clock::UnixMillis;
use crate::jobs::lease::{Decision, JobFacts, decide};
use crate::jobs::{JobEvent, JobId, JobRepoError, JobStatus, Lease, OutboxMessage, Outcome, VideoJob};
use crate::tenant::Tenants;

/// All rows and messages of a repository.
#[derive(Default)]
pub(super) struct State {
    /// In the order of their submission, so that equal calls have equal effects.
    pub(super) rows: BTreeMap<JobId, Row>,
    pub(super) keys: HashMap<String, JobId>,
    /// Jobs by the identifier of the message that requested them.
    pub(super) messages: HashMap<String, JobId>,
    pub(super) outbox: Outbox,
    pub(super) restore: Restore,
    /// Limits of tenants.
    pub(super) tenants: Tenants,
    /// Number of parked jobs that were enqueued.
    pub(super) unparked: u64,
}

impl State {
    /// Returns whether a newer event of the same object exists.
    fn is_outdated(&self, id: JobId) -> bool {
        let Some(event) = self.rows.get(&id).and_then(|row| row.event.as_ref()) else {
            return false;
        };
        let others = self.rows.values().filter_map(|row| row.event.as_ref());
        others
            .filter(|other| other.object == event.object)
            .any(|other| other.order > event.order)
    }

    /// Returns a job with the facts for a decision.
    pub(super) fn facts(&self, id: JobId, now: UnixMillis) -> Option<JobFacts> {
        let job = self.rows.get(&id)?.job.clone();
        let outdated = self.is_outdated(id);
        Some(JobFacts { job, outdated, now })
    }

    /// Ends a job that a claim would end, and returns its new status in that case.
    pub(super) fn end_without_claim(
        &mut self,
        id: JobId,
        now: UnixMillis,
        crashes: u32,
    ) -> Result<Option<Outcome>, JobRepoError> {
        let facts = self.facts(id, now);
        let decision = facts.map(|facts| decide(&facts, crashes));
        let Some(Decision::End { outcome, crash_count }) = decision else {
            return Ok(None);
        };
        if let Some(row) = self.rows.get_mut(&id) {
            row.job.crash_count = crash_count;
        }
        self.conclude(id, &outcome, now)?;
        Ok(Some(outcome))
    }

    /// Makes a job terminal and writes its notification. An attempt that the caller has not ended is lost.
    pub(super) fn conclude(
        &mut self,
        id: JobId,
        outcome: &Outcome,
        now: UnixMillis,
    ) -> Result<VideoJob, JobRepoError> {
        let row = self.rows.get_mut(&id).ok_or(JobRepoError::LeaseLost)?;
        row.lose_attempt();
        let job = &mut row.job;
        let frees_place = job.status == JobStatus::Processing || job.parked_at.is_some();
        match outcome {
            Outcome::Completed(result, work) => {
                job.enter(JobEvent::Complete, now)?;
                job.result = Some(result.clone());
                job.set_error(None);
                row.work.clone_from(work);
            }
            Outcome::Failed(error) => {
                job.enter(JobEvent::Fail, now)?;
                job.set_error(Some(error));
            }
            Outcome::Cancelled(error) => {
                job.enter(JobEvent::Cancel, now)?;
                job.set_error(Some(error));
            }
        }
        job.finished_at = Some(now);
        let job = job.clone();
        self.outbox.add(OutboxMessage::notification(&job), now);
        if frees_place {
            self.unpark_after(&job, now);
        }
        Ok(job)
    }

    /// Enqueues a job that entered the state after a retry, at a new generation.
    pub(super) fn restart(&mut self, id: JobId, generation: u32, now: UnixMillis) -> Option<VideoJob> {
        let row = self.rows.get_mut(&id)?;
        row.begin_generation(generation, now);
        row.job.cancel_requested = false;
        row.job.finished_at = None;
        row.enqueued_at = now;
        let job = row.job.clone();
        self.outbox.add(OutboxMessage::to_workers(&job, now), now);
        Some(job)
    }

    /// Returns the row of a lease that is still the latest.
    pub(super) fn held(&mut self, lease: &Lease) -> Result<&mut Row, JobRepoError> {
        let held = |job: &VideoJob| job.status == JobStatus::Processing && job.lease_epoch == lease.epoch;
        let row = self.rows.get_mut(&lease.job).filter(|row| held(&row.job));
        row.ok_or(JobRepoError::LeaseLost)
    }
}
