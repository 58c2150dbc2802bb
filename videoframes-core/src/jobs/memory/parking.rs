//! Parked jobs: jobs over the limit of their tenant, which wait for a place.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::state::State;
use crate::clock::UnixMillis;
use crate::jobs::lease::{Turn, turn};
use crate::jobs::{JobEvent, JobId, JobRepoError, JobStatus, OutboxMessage, VideoJob};
use crate::tenant::{Priority, Tenant, free_places};

/// Time of the last message of a parked job without a message.
pub(super) const NO_MESSAGE: UnixMillis = UnixMillis(0);

impl State {
    /// Returns how many jobs of a tenant may start, besides `except`; `None` for any number.
    pub(super) fn places(&self, tenant: &Tenant, except: Option<JobId>, now: UnixMillis) -> Option<u64> {
        let jobs = self.rows.values().map(|row| &row.job);
        let in_work = jobs.filter(|job| {
            job.status == JobStatus::Processing
                && job.tenant == *tenant
                && Some(job.id) != except
                && job.lease_expires_at.is_some_and(|expiry| expiry > now)
        });
        free_places(self.tenants.terms(tenant).max_jobs, in_work.count() as u64)
    }

    /// Decides whether a job may start. The parked jobs before the job have a message afterwards, as many as the tenant
    /// may start.
    pub(super) fn admit(&mut self, job: &VideoJob, now: UnixMillis) -> Turn {
        let Some(places) = self.places(&job.tenant, Some(job.id), now) else {
            return Turn::Now;
        };
        let mut before = self.parked(&job.tenant);
        before.retain(|(position, _)| *position < position_of(job));
        let before: Vec<JobId> = before.into_iter().map(|(_, id)| id).collect();
        if !before.is_empty() {
            self.unpark(&job.tenant, places, now);
        }
        turn(places, &before)
    }

    /// Returns the parked jobs of a tenant in the order in which they start.
    fn parked(&self, tenant: &Tenant) -> Vec<(Position, JobId)> {
        let jobs = self.rows.values().map(|row| &row.job);
        let parked = jobs.filter(|job| job.parked_at.is_some() && job.tenant == *tenant);
        let mut parked: Vec<_> = parked.map(|job| (position_of(job), job.id)).collect();
        parked.sort_unstable();
        parked
    }

    /// Parks a job that can be claimed, and whose message is deleted.
    pub(super) fn park(&mut self, id: JobId, crash_count: u32, now: UnixMillis) -> Result<(), JobRepoError> {
        let Some(row) = self.rows.get_mut(&id) else {
            return Ok(());
        };
        row.enqueued_at = NO_MESSAGE;
        if row.job.parked_at.is_some() {
            return Ok(());
        }
        row.lose_attempt();
        row.job.enter(JobEvent::Park, now)?;
        row.job.crash_count = crash_count;
        row.job.parked_at = Some(now);
        Ok(())
    }

    /// Enqueues the parked jobs of the tenant that may start after the end of a job or of its lease.
    pub(super) fn unpark_after(&mut self, job: &VideoJob, now: UnixMillis) {
        if let Some(places) = self.places(&job.tenant, Some(job.id), now) {
            self.unpark(&job.tenant, places, now);
        }
    }

    /// Enqueues parked jobs of tenants with fewer jobs in work than their limit.
    pub(super) fn unpark_left(&mut self, most: u64, now: UnixMillis) {
        let parked = self.rows.values().filter(|row| row.job.parked_at.is_some());
        let tenants: BTreeSet<Tenant> = parked.map(|row| row.job.tenant.clone()).collect();
        let most = self.unparked + most;
        for tenant in tenants {
            let places = self.places(&tenant, None, now).unwrap_or(u64::MAX);
            self.unpark(&tenant, places.min(most - self.unparked), now);
        }
    }

    /// Writes messages about those of the first `limit` parked jobs of a tenant that have none.
    fn unpark(&mut self, tenant: &Tenant, limit: u64, now: UnixMillis) {
        let mut parked = self.parked(tenant);
        parked.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        for (_, id) in parked {
            let Some(row) = self.rows.get_mut(&id).filter(|row| row.enqueued_at == NO_MESSAGE) else {
                continue;
            };
            row.job.updated_at = now;
            row.enqueued_at = now;
            let message = OutboxMessage::to_workers(&row.job, now).redelivery();
            self.outbox.add(message, now);
            self.unparked += 1;
        }
    }
}

/// Position of a job among the parked jobs of its tenant.
type Position = (Reverse<Priority>, UnixMillis, JobId);

fn position_of(job: &VideoJob) -> Position {
    (Reverse(job.priority), job.created_at, job.id)
}
