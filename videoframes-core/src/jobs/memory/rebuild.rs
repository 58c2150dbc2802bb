//! Rebuilds rows that a restored database lost, and enqueues jobs whose messages may be lost.

use super::row::Row;
use super::state::State;
use crate::clock::UnixMillis;
use crate::jobs::event::EventOrder;
use crate::jobs::{JobEvent, JobId, JobRecord, JobRepoError, JobResult, OutboxMessage, Outcome};

impl State {
    pub(super) fn rebuild(
        &mut self,
        id: JobId,
        record: &JobRecord,
        result: Option<&(JobResult, UnixMillis)>,
        now: UnixMillis,
    ) -> Result<bool, JobRepoError> {
        if self.rows.contains_key(&id) {
            return Ok(false);
        }
        if self.keys.contains_key(&record.key) {
            return Err(JobRepoError::IdempotencyConflict(record.key.clone()));
        }
        let job = record.to_job(id, now);
        self.keys.insert(job.idempotency_key.clone(), id);
        let row = Row {
            job,
            enqueued_at: now,
            work: None,
            event: EventOrder::from_job(&record.to_new_job(id)),
            message: None,
            attempts: Vec::new(),
        };
        let job = &mut self.rows.entry(id).or_insert(row).job;
        if let Some((result, finished_at)) = result {
            job.enter(JobEvent::Claim, now)?;
            self.conclude(id, &Outcome::Completed(result.clone(), None), *finished_at)?;
        }
        Ok(true)
    }

    pub(super) fn enqueue(&mut self, jobs: &[JobId], now: UnixMillis) -> u64 {
        let announced = self.outbox.jobs_to_workers();
        let mut messages = 0;
        for id in jobs.iter().filter(|id| !announced.contains(id)) {
            let Some(row) = self.rows.get_mut(id) else {
                continue;
            };
            if !row.job.status.is_terminal() {
                row.enqueued_at = now;
                row.job.parked_at = None;
                self.outbox.add(OutboxMessage::to_workers(&row.job, now), now);
                messages += 1;
            }
        }
        messages
    }
}
