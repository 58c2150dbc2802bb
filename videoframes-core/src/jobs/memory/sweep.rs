//! Finds abandoned jobs, ends jobs without a worker, and deletes rows past their retention.

use super::parking::NO_MESSAGE;
use super::row::Row;
use super::state::State;
use crate::clock::UnixMillis;
use crate::jobs::lease::{Delivery, LOST_AFTER, abandoned_before, due_since};
use crate::jobs::{JobId, JobRepoError, JobStatus, OutboxMessage, SweepTerms, Swept, VideoJob};

impl State {
    pub(super) fn end_all_without_claim(
        &mut self,
        now: UnixMillis,
        crashes: u32,
        swept: &mut Swept,
    ) -> Result<(), JobRepoError> {
        let ids: Vec<JobId> = self.rows.keys().copied().collect();
        for id in ids {
            if let Some(outcome) = self.end_without_claim(id, now, crashes)? {
                swept.count(&outcome);
            }
        }
        Ok(())
    }

    /// Returns the state of the delivery of messages to the workers.
    fn delivery(&self, now: UnixMillis, terms: &SweepTerms) -> Delivery {
        Delivery {
            now,
            in_work: self.in_work(now).map(|job| job.created_at).min(),
            drained: terms.drained,
            unsent: self.outbox.oldest_to_workers(),
        }
    }

    /// Returns the jobs in work that were claimed by their first message.
    fn in_work(&self, now: UnixMillis) -> impl Iterator<Item = &VideoJob> {
        let rows = self.rows.values().filter(move |row| {
            let held = row.job.lease_expires_at.is_some_and(|expiry| expiry > now);
            held && row.message.is_none() && row.enqueued_at == row.job.created_at
        });
        rows.map(|row| &row.job)
    }

    /// Returns the time before which a job is abandoned.
    fn abandoned_before(
        &self,
        job: &VideoJob,
        delivery: &Delivery,
        terms: &SweepTerms,
    ) -> Option<UnixMillis> {
        if job.status != JobStatus::Pending {
            return abandoned_before(delivery, terms.overdue);
        }
        let of_any = abandoned_before(delivery, terms.overdue.max(LOST_AFTER));
        // A queue delivers the messages of a flow in order, and those of different flows in any order.
        let of_flow = self.in_work(delivery.now);
        let of_flow = of_flow.filter(|other| (&other.tenant, other.priority) == (&job.tenant, job.priority));
        let delivery = Delivery {
            in_work: of_flow.map(|other| other.created_at).min(),
            ..*delivery
        };
        abandoned_before(&delivery, terms.overdue).max(of_any)
    }

    /// Enqueues abandoned jobs, starting with those that have waited longest.
    pub(super) fn enqueue_abandoned(&mut self, now: UnixMillis, terms: &SweepTerms) -> u64 {
        let delivery = self.delivery(now, terms);
        let announced = self.outbox.jobs_to_workers();
        let backed_off = |row: &Row, since| now.since(row.enqueued_at) * 2 > now.since(since);
        let mut due: Vec<(UnixMillis, JobId)> = self
            .rows
            .values()
            .filter(|row| !announced.contains(&row.job.id) && row.enqueued_at != NO_MESSAGE)
            .filter_map(|row| {
                let before = self.abandoned_before(&row.job, &delivery, terms)?;
                let enqueued = row.job.parked_at.map(|_| row.job.updated_at);
                let since = enqueued.or(due_since(&row.job))?;
                let is_abandoned = row.enqueued_at < before && since < before && backed_off(row, since);
                is_abandoned.then_some((since, row.job.id))
            })
            .collect();
        due.sort_unstable();
        due.truncate(usize::try_from(terms.most).unwrap_or(usize::MAX));
        for (_, id) in &due {
            if let Some(row) = self.rows.get_mut(id) {
                row.enqueued_at = now;
                self.outbox.add(OutboxMessage::to_workers(&row.job, now), now);
            }
        }
        due.len() as u64
    }

    /// Deletes terminal jobs past their retention, oldest first, unless a message about them is unsent.
    pub(super) fn delete_expired(&mut self, now: UnixMillis, terms: &SweepTerms) -> u64 {
        let unsent = self.outbox.jobs();
        let mut old: Vec<(UnixMillis, JobId)> = self
            .rows
            .values()
            .filter(|row| row.job.status.is_terminal() && row.job.kept_at.is_none())
            .filter(|row| !unsent.contains(&row.job.id))
            .filter_map(|row| Some((row.job.finished_at?, row.job.id)))
            .filter(|(finished, _)| now.since(*finished) > terms.retention)
            .collect();
        old.sort_unstable();
        old.truncate(usize::try_from(terms.most).unwrap_or(usize::MAX));
        for (_, id) in &old {
            self.outbox.forget(*id);
            if let Some(row) = self.rows.remove(id) {
                self.keys.remove(&row.job.idempotency_key);
                if let Some(message) = &row.message {
                    self.messages.remove(message);
                }
            }
        }
        old.len() as u64
    }
}
