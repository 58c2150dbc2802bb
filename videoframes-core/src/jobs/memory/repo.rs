//! The repository in memory.

use std::cmp::Reverse;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::state::State;
use crate::clock::{Clock, UnixMillis};
use crate::jobs::lease::{Decision, Turn, cancelled, deadline_of_work, decide_claim};
use crate::jobs::restore::{Raise, next_epoch};
use crate::jobs::{
    Attempt, AttemptOutcome, Backlog, Claim, ClaimTerms, Enqueue, Hold, JobCursor, JobError, JobEvent,
    JobFilter, JobId, JobIdPrefix, JobPage, JobProgress, JobRecord, JobRepo, JobRepoError, JobResult,
    JobStats, JobStatus, Lease, NewJob, OutboxMessage, Outcome, RefusedMessage, Renewal, RestoreMark,
    RestoreRow, Stage, StageTime, Submitted, SweepTerms, Swept, Unfinished, VideoJob, WorkHash,
};
use crate::limits::MAX_STAGES;
use crate::tenant::Tenants;

/// A [`JobRepo`] in memory, with time from a [`Clock`]. Its jobs are lost when the process ends.
pub struct MemoryJobRepo {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl MemoryJobRepo {
    /// Returns an empty repository.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Replaces the limits of tenants.
    #[must_use]
    pub fn with_tenants(self, tenants: Tenants) -> Self {
        self.begin().0.tenants = tenants;
        self
    }

    /// Returns the unsent messages of the outbox, without taking them.
    #[must_use]
    pub fn unsent_messages(&self) -> Vec<OutboxMessage> {
        self.begin().0.outbox.messages()
    }

    /// Returns the state for one change, and the time of the change.
    fn begin(&self) -> (MutexGuard<'_, State>, UnixMillis) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state, self.clock.now())
    }
}

impl fmt::Debug for MemoryJobRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryJobRepo").finish_non_exhaustive()
    }
}

#[async_trait]
impl JobRepo for MemoryJobRepo {
    async fn submit(&self, jobs: &[NewJob], enqueue: Enqueue) -> Result<Vec<Submitted>, JobRepoError> {
        let (mut state, now) = self.begin();
        state.check(jobs)?;
        let submitted = jobs.iter().map(|job| state.submit(job, now));
        let submitted = submitted.collect::<Result<Vec<_>, _>>()?;
        for job in jobs {
            state.supersede(job, now)?;
        }
        for new in submitted.iter().filter(|submitted| submitted.created) {
            if enqueue == Enqueue::ThroughOutbox {
                state.enqueue(&[new.id], now);
            }
        }
        Ok(submitted)
    }

    async fn claim(&self, id: JobId, owner: &str, terms: &ClaimTerms) -> Result<Claim, JobRepoError> {
        let (mut state, now) = self.begin();
        let generation = state.restore.check(now)?.mark.generation;
        let Some(facts) = state.facts(id, now) else {
            return Ok(Claim::Missing);
        };
        let decision = decide_claim(&facts, owner, terms.crashes);
        if let Decision::Take { crash_count } = decision
            && let Turn::Wait(next) = state.admit(&facts.job, now)
        {
            state.park(id, crash_count, now)?;
            return Ok(Claim::Parked(next));
        }
        let Some(row) = state.rows.get_mut(&id) else {
            return Ok(Claim::Missing);
        };
        let job = &mut row.job;
        Ok(match decision {
            Decision::Terminal => Claim::Terminal(job.clone()),
            Decision::Again => {
                let epoch = job.lease_epoch;
                Claim::Claimed(Lease { job: id, epoch }, job.clone())
            }
            Decision::Held(left) => Claim::Held(left),
            Decision::NotDue(left) => Claim::NotDue(left),
            Decision::End { outcome, crash_count } => {
                job.crash_count = crash_count;
                Claim::Ended(state.conclude(id, &outcome, now)?)
            }
            Decision::Take { crash_count } => {
                if row.job.parked_at.is_some() {
                    row.enqueued_at = now;
                }
                row.lose_attempt();
                let job = &mut row.job;
                job.enter(JobEvent::Claim, now)?;
                job.stage = Some(Stage::Prepare);
                (job.frames_done, job.frames_total) = (0, 0);
                job.crash_count = crash_count;
                job.deadline_at = deadline_of_work(job, now);
                job.begun_at.get_or_insert(now);
                job.attempts += 1;
                job.lease_epoch = next_epoch(job.lease_epoch, generation);
                job.lease_owner = Some(owner.to_owned());
                job.lease_expires_at = Some(now.after(terms.lease));
                let epoch = job.lease_epoch;
                let claimed = job.clone();
                row.begin_attempt(owner, now);
                Claim::Claimed(Lease { job: id, epoch }, claimed)
            }
        })
    }

    async fn renew(
        &self,
        lease: &Lease,
        duration: Duration,
        progress: JobProgress,
    ) -> Result<Renewal, JobRepoError> {
        let (mut state, now) = self.begin();
        let job = &mut state.held(lease)?.job;
        job.lease_expires_at = Some(now.after(duration));
        job.stage = Some(progress.stage);
        job.frames_done = progress.frames_done;
        job.frames_total = progress.frames_total;
        job.updated_at = now;
        Ok(Renewal {
            cancel_requested: job.cancel_requested,
        })
    }

    async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<VideoJob, JobRepoError> {
        let (mut state, now) = self.begin();
        state.restore.check(now)?;
        let row = state.held(lease)?;
        row.end_attempt(outcome.of_attempt(), outcome.error(), now);
        state.conclude(lease.job, outcome, now)
    }

    async fn retry_later(
        &self,
        lease: &Lease,
        error: &JobError,
        delay: Duration,
    ) -> Result<(), JobRepoError> {
        let (mut state, now) = self.begin();
        state.restore.check(now)?;
        let row = state.held(lease)?;
        row.end_attempt(AttemptOutcome::Retried, Some(error), now);
        let job = &mut row.job;
        job.enter(JobEvent::RetryLater, now)?;
        job.next_attempt_at = Some(now.after(delay));
        job.set_error(Some(error));
        let job = job.clone();
        state.unpark_after(&job, now);
        Ok(())
    }

    async fn defer(&self, lease: &Lease, error: &JobError, delay: Duration) -> Result<(), JobRepoError> {
        let (mut state, now) = self.begin();
        state.restore.check(now)?;
        let row = state.held(lease)?;
        row.end_attempt(AttemptOutcome::Deferred, Some(error), now);
        let job = &mut row.job;
        job.enter(JobEvent::RetryLater, now)?;
        job.attempts = job.attempts.saturating_sub(1);
        job.next_attempt_at = Some(now.after(delay));
        job.set_error(Some(error));
        let job = job.clone();
        state.unpark_after(&job, now);
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<(), JobRepoError> {
        let (mut state, now) = self.begin();
        state.restore.check(now)?;
        let row = state.held(lease)?;
        row.end_attempt(AttemptOutcome::Released, None, now);
        let job = &mut row.job;
        job.enter(JobEvent::Release, now)?;
        job.attempts = job.attempts.saturating_sub(1);
        let job = job.clone();
        state.unpark_after(&job, now);
        Ok(())
    }

    async fn get(&self, id: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        let (state, _) = self.begin();
        Ok(state.rows.get(&id).map(|row| row.job.clone()))
    }

    async fn attempts(&self, id: JobId) -> Result<Vec<Attempt>, JobRepoError> {
        let (state, _) = self.begin();
        let Some(row) = state.rows.get(&id) else {
            return Ok(Vec::new());
        };
        let held = (row.job.status == JobStatus::Processing).then_some(row.job.lease_epoch);
        let attempts = row.attempts.iter().cloned();
        Ok(attempts.map(|attempt| attempt.listed(held)).collect())
    }

    async fn record_stages(&self, lease: &Lease, stages: &[StageTime]) -> Result<(), JobRepoError> {
        let (mut state, _) = self.begin();
        let attempts = state.rows.get_mut(&lease.job).map(|row| &mut row.attempts);
        let mut attempts = attempts.into_iter().flatten();
        if let Some(attempt) = attempts.find(|attempt| attempt.epoch == lease.epoch) {
            attempt.stages = stages.iter().copied().take(MAX_STAGES).collect();
        }
        Ok(())
    }

    async fn find(&self, prefix: &JobIdPrefix, limit: u32) -> Result<Vec<JobId>, JobRepoError> {
        let (state, _) = self.begin();
        let range = prefix.range();
        let mut ids: Vec<JobId> = state
            .rows
            .keys()
            .copied()
            .filter(|id| range.contains(id))
            .collect();
        ids.sort_unstable();
        ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(ids)
    }

    async fn list(&self, filter: &JobFilter) -> Result<JobPage, JobRepoError> {
        let (state, now) = self.begin();
        let rows = state.rows.values().map(|row| &row.job);
        let mut jobs: Vec<&VideoJob> = rows.filter(|job| filter.matches(job, now)).collect();
        jobs.sort_unstable_by_key(|job| Reverse(JobCursor::from(*job)));
        let limit = filter.limit.and_then(|limit| usize::try_from(limit).ok());
        jobs.truncate(limit.unwrap_or(usize::MAX));
        let full = limit.is_some_and(|limit| jobs.len() == limit);
        Ok(JobPage {
            next: jobs.last().filter(|_| full).map(|job| JobCursor::from(*job)),
            jobs: jobs.into_iter().cloned().collect(),
            unreadable: Vec::new(),
        })
    }

    async fn cancel(&self, id: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        let (mut state, now) = self.begin();
        let Some(job) = state.rows.get_mut(&id).map(|row| &mut row.job) else {
            return Ok(None);
        };
        match job.status {
            JobStatus::Cancelled => Ok(Some(job.clone())),
            JobStatus::Processing if job.lease_expires_at.is_some_and(|expiry| expiry > now) => {
                job.cancel_requested = true;
                job.updated_at = now;
                Ok(Some(job.clone()))
            }
            _ => state.conclude(id, &cancelled(), now).map(Some),
        }
    }

    async fn retry(&self, id: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        let (mut state, now) = self.begin();
        let Some(row) = state.rows.get_mut(&id) else {
            return Ok(None);
        };
        let generation = row.job.generation.saturating_add(1);
        row.job.enter(JobEvent::Retry, now)?;
        Ok(state.restart(id, generation, now))
    }

    async fn raise(&self, id: JobId, generation: u32) -> Result<Option<VideoJob>, JobRepoError> {
        let (mut state, now) = self.begin();
        let Some(row) = state.rows.get_mut(&id) else {
            return Ok(None);
        };
        let job = &mut row.job;
        match Raise::of(job.status, job.generation, generation) {
            Raise::Refuse => return Err(JobRepoError::WrongState(job.status)),
            Raise::Nothing => {}
            Raise::Continue => row.begin_generation(generation, now),
            Raise::Retry => {
                job.enter(JobEvent::Retry, now)?;
                return Ok(state.restart(id, generation, now));
            }
        }
        Ok(Some(row.job.clone()))
    }

    async fn hold(&self, id: JobId, hold: Hold) -> Result<Option<VideoJob>, JobRepoError> {
        let (mut state, now) = self.begin();
        let Some(job) = state.rows.get_mut(&id).map(|row| &mut row.job) else {
            return Ok(None);
        };
        job.kept_at = match hold {
            Hold::Keep => job.kept_at.or(Some(now)),
            Hold::Release => None,
        };
        job.updated_at = now;
        Ok(Some(job.clone()))
    }

    async fn find_result(&self, work: &WorkHash) -> Result<Option<JobResult>, JobRepoError> {
        let (state, _) = self.begin();
        let same = state.rows.values().filter(|row| row.work.as_ref() == Some(work));
        let latest = same.max_by_key(|row| (row.job.finished_at, row.job.id));
        Ok(latest.and_then(|row| row.job.result.clone()))
    }

    async fn is_result(&self, key: &str) -> Result<bool, JobRepoError> {
        let (state, _) = self.begin();
        let mut results = state.rows.values().filter_map(|row| row.job.result.as_ref());
        Ok(results.any(|result| result.key == key))
    }

    async fn unfinished(&self) -> Result<Unfinished, JobRepoError> {
        let (state, _) = self.begin();
        let mut unfinished = Unfinished::default();
        for row in state.rows.values() {
            unfinished.add(row.job.status, 1);
            unfinished.parked += u64::from(row.job.parked_at.is_some());
        }
        Ok(unfinished)
    }

    async fn stats(&self, windows: &[Duration]) -> Result<JobStats, JobRepoError> {
        let (state, now) = self.begin();
        Ok(state.stats(windows, now))
    }

    async fn take_outbox(&self, limit: u32, hold: Duration) -> Result<Vec<OutboxMessage>, JobRepoError> {
        let (mut state, now) = self.begin();
        Ok(state.outbox.take(limit, hold, now))
    }

    async fn outbox_sent(&self, messages: &[Uuid]) -> Result<(), JobRepoError> {
        self.begin().0.outbox.sent(messages);
        Ok(())
    }

    async fn outbox_backlog(&self) -> Result<Backlog, JobRepoError> {
        let (state, now) = self.begin();
        Ok(state.outbox.backlog(now))
    }

    async fn outbox_refused(&self, messages: &[(Uuid, String)]) -> Result<(), JobRepoError> {
        self.begin().0.outbox.refuse(messages);
        Ok(())
    }

    async fn refused(&self, limit: u32) -> Result<Vec<RefusedMessage>, JobRepoError> {
        Ok(self.begin().0.outbox.refused(limit))
    }

    async fn resend_refused(&self) -> Result<u64, JobRepoError> {
        Ok(self.begin().0.outbox.resend_refused())
    }

    async fn sweep(&self, terms: &SweepTerms) -> Result<Swept, JobRepoError> {
        let (mut state, now) = self.begin();
        state.restore.check(now)?;
        let mut swept = Swept::default();
        let unparked = state.unparked;
        state.end_all_without_claim(now, terms.crashes, &mut swept)?;
        swept.enqueued = state.enqueue_abandoned(now, terms);
        state.unpark_left(u64::from(terms.most), now);
        swept.unparked = state.unparked - unparked;
        swept.forgotten = state.delete_expired(now, terms);
        Ok(swept)
    }

    async fn restore_mark(&self) -> Result<RestoreRow, JobRepoError> {
        let (state, now) = self.begin();
        Ok(state.restore.row(now))
    }

    fn observe_mark(&self, mark: &RestoreMark) {
        self.begin().0.restore.observe(mark);
    }

    async fn advance_mark(&self, interval: Duration) -> Result<Option<RestoreRow>, JobRepoError> {
        let (mut state, now) = self.begin();
        state.restore.advance(interval, now)
    }

    async fn accept_restore(&self, store: Option<&RestoreMark>) -> Result<RestoreRow, JobRepoError> {
        let (mut state, now) = self.begin();
        Ok(state.restore.accept(store, now))
    }

    async fn rebuild(
        &self,
        job: JobId,
        record: &JobRecord,
        result: Option<&(JobResult, UnixMillis)>,
    ) -> Result<bool, JobRepoError> {
        let (mut state, now) = self.begin();
        state.rebuild(job, record, result, now)
    }

    async fn enqueue(&self, jobs: &[JobId]) -> Result<u64, JobRepoError> {
        let (mut state, now) = self.begin();
        Ok(state.enqueue(jobs, now))
    }
}
