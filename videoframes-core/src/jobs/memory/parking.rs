//! Parked jobs: jobs over the limit of their tenant, which wait without a message.

use std::collections::BTreeSet;

use super::state::State;
use crate::clock::UnixMillis;
use crate::jobs::{JobEvent, JobId, JobRepoError, JobStatus, OutboxMessage, VideoJob};
use crate::tenant::{Tenant, free_places};

/// Time of the last message of a parked job.
const NEVER: UnixMillis = UnixMillis(i64::MAX);

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

    /// Parks a job that can be claimed, unless it is parked already.
    pub(super) fn park(&mut self, id: JobId, crash_count: u32, now: UnixMillis) -> Result<(), JobRepoError> {
        let Some(row) = self.rows.get_mut(&id).filter(|row| row.job.parked_at.is_none()) else {
            return Ok(());
        };
        row.lose_attempt();
        row.job.enter(JobEvent::Park, now)?;
        row.job.crash_count = crash_count;
        row.job.parked_at = Some(now);
        row.enqueued_at = NEVER;
        Ok(())
    }

    /// Enqueues a parked job of the tenant after the lease of a job has ended.
    pub(super) fn unpark_after_lease(&mut self, job: &VideoJob, now: UnixMillis) {
        if let Some(1..) = self.places(&job.tenant, Some(job.id), now) {
            self.unpark(&job.tenant, 1, now);
        }
    }

    /// Enqueues parked jobs of tenants with fewer jobs in work than their limit, and returns their number.
    pub(super) fn unpark_left(&mut self, most: u64, now: UnixMillis) -> u64 {
        let parked = self.rows.values().filter(|row| row.job.parked_at.is_some());
        let tenants: BTreeSet<Tenant> = parked.map(|row| row.job.tenant.clone()).collect();
        let mut unparked = 0;
        for tenant in tenants {
            let places = self.places(&tenant, None, now).unwrap_or(u64::MAX);
            unparked += self.unpark(&tenant, places.min(most - unparked), now);
        }
        unparked
    }

    fn unpark(&mut self, tenant: &Tenant, limit: u64, now: UnixMillis) -> u64 {
        let parked = self.rows.values_mut().filter(|row| row.job.parked_at.is_some());
        let mut parked: Vec<_> = parked.filter(|row| row.job.tenant == *tenant).collect();
        parked.sort_by_key(|row| {
            (
                std::cmp::Reverse(row.job.priority),
                row.job.created_at,
                row.job.id,
            )
        });
        parked.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let unparked = parked.len() as u64;
        for row in parked {
            row.job.parked_at = None;
            row.job.updated_at = now;
            row.enqueued_at = now;
            self.outbox.add(OutboxMessage::to_workers(&row.job, now), now);
        }
        unparked
    }
}
