//! Jobs in memory, for tests and small embedded uses.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::event::EventOrder;
use super::lease::{
    Decision, Delivery, JobFacts, abandoned_before, cancelled, deadline_of_work, decide, decide_claim,
    due_since,
};
use super::{
    Backlog, Claim, ClaimTerms, Enqueue, JobCursor, JobError, JobEvent, JobFilter, JobId, JobPage, JobRepo,
    JobRepoError, JobResult, JobStatus, Lease, LeaseEpoch, NewJob, OutboxDestination, OutboxMessage, Outcome,
    RefusedMessage, Renewal, Stage, Submitted, SweepTerms, Swept, VideoJob, WorkHash,
};
use crate::clock::{Clock, UnixMillis, millis};
use crate::pipeline::Progress;

/// A [`JobRepo`] in memory, with time from a [`Clock`]. Its jobs are lost when the process ends.
pub struct MemoryJobRepo {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rows: HashMap<JobId, Row>,
    keys: HashMap<String, JobId>,
    /// Jobs by the identifier of the message that requested them.
    messages: HashMap<String, JobId>,
    /// Unsent messages, oldest first.
    outbox: Vec<OutboxEntry>,
}

struct Row {
    job: VideoJob,
    /// Time of the last message for the workers.
    enqueued_at: UnixMillis,
    work: Option<WorkHash>,
    event: Option<EventOrder>,
    message: Option<String>,
}

struct OutboxEntry {
    message: OutboxMessage,
    since: UnixMillis,
    taken_at: Option<UnixMillis>,
    /// Reason why the queue rejected the message permanently.
    refused: Option<String>,
}

impl OutboxEntry {
    fn is_unsent(&self) -> bool {
        self.refused.is_none()
    }
}

impl MemoryJobRepo {
    /// Returns an empty repository.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
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

/// Returns the row of a job that was submitted at `now`.
fn new_row(new: &NewJob, now: UnixMillis) -> VideoJob {
    let time_limit_ms = new.time_limit.map(millis);
    VideoJob {
        id: new.id,
        status: JobStatus::Pending,
        stage: None,
        frames_done: 0,
        frames_total: 0,
        attempts: 0,
        crash_count: 0,
        generation: 0,
        error_code: None,
        error_message: None,
        result: None,
        source: new.source.clone(),
        options: new.options.clone(),
        output_key: new.output_key.as_ref().map(ToString::to_string),
        client_metadata: new.client_metadata.clone(),
        idempotency_key: new.idempotency_key.clone(),
        payload_hash: new.payload_hash.clone(),
        sequencer: new.sequencer.clone(),
        cancel_requested: false,
        lease_epoch: LeaseEpoch(0),
        lease_owner: None,
        lease_expires_at: None,
        time_limit_ms,
        work_limit_ms: new.work_limit.map(millis),
        begun_at: None,
        deadline_at: deadline(time_limit_ms, now),
        next_attempt_at: None,
        created_at: now,
        updated_at: now,
        finished_at: None,
    }
}

fn deadline(time_limit_ms: Option<i64>, now: UnixMillis) -> Option<UnixMillis> {
    time_limit_ms.map(|limit| UnixMillis(now.0.saturating_add(limit)))
}

impl VideoJob {
    /// Enters the state after `event`, and clears the worker or the wait of the previous state.
    fn enter(&mut self, event: JobEvent, now: UnixMillis) -> Result<(), JobRepoError> {
        self.status = self
            .status
            .after(event)
            .ok_or(JobRepoError::WrongState(self.status))?;
        self.stage = None;
        self.lease_owner = None;
        self.lease_expires_at = None;
        self.next_attempt_at = None;
        self.updated_at = now;
        Ok(())
    }

    fn set_error(&mut self, error: Option<&JobError>) {
        self.error_code = error.map(|error| error.code.clone());
        self.error_message = error.map(|error| error.message.clone());
    }
}

impl State {
    /// Fails if any job of a batch cannot be submitted.
    fn check(&self, jobs: &[NewJob]) -> Result<(), JobRepoError> {
        let (mut requested, mut ids) = (HashMap::new(), HashSet::new());
        for job in jobs {
            if self.job_of_message(job).is_some() {
                continue;
            }
            let key = job.idempotency_key.as_str();
            let known = self.keys.get(key).and_then(|id| self.rows.get(id));
            let known = known.map(|row| row.job.payload_hash.as_str());
            let known = known.or_else(|| requested.insert(key, job.payload_hash.as_str()));
            match known {
                Some(hash) if hash != job.payload_hash => {
                    return Err(JobRepoError::IdempotencyConflict(key.to_owned()));
                }
                None if self.rows.contains_key(&job.id) || !ids.insert(job.id) => {
                    return Err(JobRepoError::Unavailable {
                        action: "submit jobs",
                        source: format!("the job id {} exists already", job.id).into(),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn submit(&mut self, new: &NewJob, now: UnixMillis) -> Result<Submitted, JobRepoError> {
        let known = self.job_of_message(new);
        if let Some(id) = known.or_else(|| self.keys.get(&new.idempotency_key).copied()) {
            return Ok(Submitted { id, created: false });
        }
        let message = new.message_id.clone();
        let message = message.filter(|message| !self.messages.contains_key(message));
        if let Some(message) = &message {
            self.messages.insert(message.clone(), new.id);
        }
        let row = Row {
            job: new_row(new, now),
            enqueued_at: now,
            work: None,
            event: EventOrder::from_job(new),
            message,
        };
        self.rows.insert(new.id, row);
        self.keys.insert(new.idempotency_key.clone(), new.id);
        if let Some(rejection) = &new.rejection {
            self.conclude(new.id, &Outcome::Failed(rejection.clone()), now)?;
        }
        Ok(Submitted {
            id: new.id,
            created: true,
        })
    }

    /// Returns the job that an earlier delivery of this message requested. A message always requests the
    /// same.
    fn job_of_message(&self, new: &NewJob) -> Option<JobId> {
        let job = &self.rows.get(self.messages.get(new.message_id.as_ref()?)?)?.job;
        (job.payload_hash == new.payload_hash).then_some(job.id)
    }

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
    fn facts(&self, id: JobId, now: UnixMillis) -> Option<JobFacts> {
        let job = self.rows.get(&id)?.job.clone();
        let outdated = self.is_outdated(id);
        Some(JobFacts { job, outdated, now })
    }

    /// Ends waiting jobs of an object whose events are older than the newest one.
    fn supersede(&mut self, new: &NewJob, now: UnixMillis) -> Result<(), JobRepoError> {
        let Some(event) = EventOrder::from_job(new) else {
            return Ok(());
        };
        let same = |row: &&Row| {
            row.event
                .as_ref()
                .is_some_and(|other| other.object == event.object)
        };
        let waiting = |row: &&Row| matches!(row.job.status, JobStatus::Pending | JobStatus::RetryWait);
        let rows = self.rows.values().filter(same).filter(waiting);
        let ids: Vec<JobId> = rows.map(|row| row.job.id).collect();
        for id in ids {
            self.end_without_claim(id, now, u32::MAX)?;
        }
        Ok(())
    }

    /// Ends a job that a claim would end, and returns its new status in that case.
    fn end_without_claim(
        &mut self,
        id: JobId,
        now: UnixMillis,
        crashes: u32,
    ) -> Result<Option<JobStatus>, JobRepoError> {
        let facts = self.facts(id, now);
        let decision = facts.map(|facts| decide(&facts, crashes));
        let Some(Decision::End { outcome, crash_count }) = decision else {
            return Ok(None);
        };
        if let Some(row) = self.rows.get_mut(&id) {
            row.job.crash_count = crash_count;
        }
        self.conclude(id, &outcome, now).map(|job| Some(job.status))
    }

    /// Makes a job terminal and writes its notification.
    fn conclude(&mut self, id: JobId, outcome: &Outcome, now: UnixMillis) -> Result<VideoJob, JobRepoError> {
        let row = self.rows.get_mut(&id).ok_or(JobRepoError::LeaseLost)?;
        let job = &mut row.job;
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
        self.post(OutboxMessage::notification(&job), now);
        Ok(job)
    }

    /// Returns the job of a lease that is still the latest.
    fn held(&mut self, lease: &Lease) -> Result<&mut VideoJob, JobRepoError> {
        let job = self.rows.get_mut(&lease.job).map(|row| &mut row.job);
        job.filter(|job| job.status == JobStatus::Processing && job.lease_epoch == lease.epoch)
            .ok_or(JobRepoError::LeaseLost)
    }

    fn post(&mut self, message: OutboxMessage, now: UnixMillis) {
        self.outbox.push(OutboxEntry {
            message,
            since: now,
            taken_at: None,
            refused: None,
        });
    }

    fn end_all_without_claim(
        &mut self,
        now: UnixMillis,
        crashes: u32,
        swept: &mut Swept,
    ) -> Result<(), JobRepoError> {
        let ids: Vec<JobId> = self.rows.keys().copied().collect();
        for id in ids {
            match self.end_without_claim(id, now, crashes)? {
                Some(JobStatus::Cancelled) => swept.cancelled += 1,
                Some(_) => swept.failed += 1,
                None => {}
            }
        }
        Ok(())
    }

    /// Returns the state of the delivery of messages to the workers.
    fn delivery(&self, now: UnixMillis, terms: &SweepTerms) -> Delivery {
        let in_work = self.rows.values().filter(|row| {
            let held = row.job.lease_expires_at.is_some_and(|expiry| expiry > now);
            held && row.message.is_none() && row.enqueued_at == row.job.created_at
        });
        let mut unsent = self.outbox.iter().filter(|entry| entry.is_unsent());
        Delivery {
            now,
            in_work: in_work.map(|row| row.job.created_at).min(),
            drained: terms.drained,
            unsent: unsent
                .find(|entry| entry.message.destination == OutboxDestination::Input)
                .map(|entry| entry.since),
        }
    }

    /// Enqueues abandoned jobs, starting with those that have waited longest.
    fn enqueue_abandoned(&mut self, now: UnixMillis, terms: &SweepTerms) -> u64 {
        let Some(before) = abandoned_before(&self.delivery(now, terms), terms.overdue) else {
            return 0;
        };
        let announced: HashSet<JobId> = self
            .outbox
            .iter()
            .filter(|entry| entry.is_unsent() && entry.message.destination == OutboxDestination::Input)
            .map(|entry| entry.message.job)
            .collect();
        let backed_off = |row: &Row, since| now.since(row.enqueued_at) * 2 > now.since(since);
        let mut due: Vec<(UnixMillis, JobId)> = self
            .rows
            .values()
            .filter(|row| row.enqueued_at < before && !announced.contains(&row.job.id))
            .filter_map(|row| Some((row, due_since(&row.job)?)))
            .filter(|(row, since)| *since < before && backed_off(row, *since))
            .map(|(row, since)| (since, row.job.id))
            .collect();
        due.sort_unstable();
        due.truncate(usize::try_from(terms.most).unwrap_or(usize::MAX));
        for (_, id) in &due {
            if let Some(row) = self.rows.get_mut(id) {
                row.enqueued_at = now;
                self.post(OutboxMessage::to_workers(*id), now);
            }
        }
        due.len() as u64
    }

    /// Deletes terminal jobs past their retention, oldest first, unless a message about them is unsent.
    fn delete_expired(&mut self, now: UnixMillis, terms: &SweepTerms) -> u64 {
        let waiting = self.outbox.iter().filter(|entry| entry.is_unsent());
        let unsent: HashSet<JobId> = waiting.map(|entry| entry.message.job).collect();
        let mut old: Vec<(UnixMillis, JobId)> = self
            .rows
            .values()
            .filter(|row| row.job.status.is_terminal() && !unsent.contains(&row.job.id))
            .filter_map(|row| Some((row.job.finished_at?, row.job.id)))
            .filter(|(finished, _)| now.since(*finished) > terms.retention)
            .collect();
        old.sort_unstable();
        old.truncate(usize::try_from(terms.most).unwrap_or(usize::MAX));
        for (_, id) in &old {
            self.outbox.retain(|entry| entry.message.job != *id);
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
            let row = state.rows.get(&new.id);
            let waits = row.is_some_and(|row| !row.job.status.is_terminal());
            if waits && enqueue == Enqueue::ThroughOutbox {
                state.post(OutboxMessage::to_workers(new.id), now);
            }
        }
        Ok(submitted)
    }

    async fn claim(&self, id: JobId, owner: &str, terms: &ClaimTerms) -> Result<Claim, JobRepoError> {
        let (mut state, now) = self.begin();
        let facts = state.facts(id, now);
        let job = state.rows.get_mut(&id).map(|row| &mut row.job);
        let (Some(facts), Some(job)) = (facts, job) else {
            return Ok(Claim::Missing);
        };
        Ok(match decide_claim(&facts, owner, terms.crashes) {
            Decision::Terminal => Claim::Terminal(job.clone()),
            Decision::Again => {
                let epoch = job.lease_epoch;
                Claim::Claimed(Lease { job: id, epoch }, job.clone())
            }
            Decision::Held(left) => Claim::Held(left),
            Decision::NotDue(left) => Claim::NotDue(left),
            Decision::End { outcome, crash_count } => {
                job.crash_count = crash_count;
                Claim::Terminal(state.conclude(id, &outcome, now)?)
            }
            Decision::Take { crash_count } => {
                job.enter(JobEvent::Claim, now)?;
                job.stage = Some(Stage::Prepare);
                (job.frames_done, job.frames_total) = (0, 0);
                job.crash_count = crash_count;
                job.deadline_at = deadline_of_work(job, now);
                job.begun_at.get_or_insert(now);
                job.attempts += 1;
                job.lease_epoch.0 += 1;
                job.lease_owner = Some(owner.to_owned());
                job.lease_expires_at = Some(now.after(terms.lease));
                let epoch = job.lease_epoch;
                Claim::Claimed(Lease { job: id, epoch }, job.clone())
            }
        })
    }

    async fn renew(
        &self,
        lease: &Lease,
        duration: Duration,
        stage: Stage,
        progress: Progress,
    ) -> Result<Renewal, JobRepoError> {
        let (mut state, now) = self.begin();
        let job = state.held(lease)?;
        job.lease_expires_at = Some(now.after(duration));
        job.stage = Some(stage);
        job.frames_done = progress.frames;
        job.frames_total = progress.total;
        job.updated_at = now;
        Ok(Renewal {
            cancel_requested: job.cancel_requested,
        })
    }

    async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<VideoJob, JobRepoError> {
        let (mut state, now) = self.begin();
        state.held(lease)?;
        state.conclude(lease.job, outcome, now)
    }

    async fn retry_later(
        &self,
        lease: &Lease,
        error: &JobError,
        delay: Duration,
    ) -> Result<(), JobRepoError> {
        let (mut state, now) = self.begin();
        let job = state.held(lease)?;
        job.enter(JobEvent::RetryLater, now)?;
        job.next_attempt_at = Some(now.after(delay));
        job.set_error(Some(error));
        Ok(())
    }

    async fn defer(&self, lease: &Lease, error: &JobError, delay: Duration) -> Result<(), JobRepoError> {
        let (mut state, now) = self.begin();
        let job = state.held(lease)?;
        job.enter(JobEvent::RetryLater, now)?;
        job.attempts = job.attempts.saturating_sub(1);
        job.next_attempt_at = Some(now.after(delay));
        job.set_error(Some(error));
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<(), JobRepoError> {
        let (mut state, now) = self.begin();
        let job = state.held(lease)?;
        job.enter(JobEvent::Release, now)?;
        job.attempts = job.attempts.saturating_sub(1);
        Ok(())
    }

    async fn get(&self, id: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        let (state, _) = self.begin();
        Ok(state.rows.get(&id).map(|row| row.job.clone()))
    }

    async fn list(&self, filter: &JobFilter) -> Result<JobPage, JobRepoError> {
        let (state, _) = self.begin();
        let cursor = |job: &VideoJob| JobCursor {
            created_at: job.created_at,
            id: job.id,
        };
        let wanted = |job: &&VideoJob| {
            filter.status.is_none_or(|status| job.status == status)
                && filter.after.is_none_or(|after| cursor(job) < after)
        };
        let mut jobs: Vec<&VideoJob> = state.rows.values().map(|row| &row.job).filter(wanted).collect();
        jobs.sort_unstable_by_key(|job| Reverse(cursor(job)));
        let limit = filter.limit.and_then(|limit| usize::try_from(limit).ok());
        jobs.truncate(limit.unwrap_or(usize::MAX));
        let full = limit.is_some_and(|limit| jobs.len() == limit);
        Ok(JobPage {
            next: jobs.last().filter(|_| full).map(|job| cursor(job)),
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
        let job = &mut row.job;
        job.enter(JobEvent::Retry, now)?;
        job.generation += 1;
        (job.attempts, job.crash_count) = (0, 0);
        (job.frames_done, job.frames_total) = (0, 0);
        job.set_error(None);
        job.cancel_requested = false;
        job.finished_at = None;
        job.begun_at = None;
        job.deadline_at = deadline(job.time_limit_ms, now);
        let job = job.clone();
        row.enqueued_at = now;
        state.post(OutboxMessage::to_workers(id), now);
        Ok(Some(job))
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

    async fn unfinished(&self) -> Result<u64, JobRepoError> {
        let (state, _) = self.begin();
        let rows = state.rows.values();
        Ok(rows.filter(|row| !row.job.status.is_terminal()).count() as u64)
    }

    async fn take_outbox(&self, limit: u32, hold: Duration) -> Result<Vec<OutboxMessage>, JobRepoError> {
        let (mut state, now) = self.begin();
        let free = |entry: &&mut OutboxEntry| {
            entry.is_unsent() && entry.taken_at.is_none_or(|taken| taken.after(hold) <= now)
        };
        let taken = state.outbox.iter_mut().filter(free);
        Ok(taken
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .map(|entry| {
                entry.taken_at = Some(now);
                entry.message.clone()
            })
            .collect())
    }

    async fn outbox_sent(&self, messages: &[Uuid]) -> Result<(), JobRepoError> {
        let (mut state, _) = self.begin();
        state.outbox.retain(|entry| !messages.contains(&entry.message.id));
        Ok(())
    }

    async fn outbox_backlog(&self) -> Result<Backlog, JobRepoError> {
        let (state, now) = self.begin();
        let mut waiting = state.outbox.iter().filter(|entry| entry.is_unsent());
        let oldest = waiting.next().map(|entry| now.since(entry.since));
        let pending = waiting.count() as u64 + u64::from(oldest.is_some());
        Ok(Backlog {
            pending,
            oldest: oldest.unwrap_or_default(),
            refused: state.outbox.len() as u64 - pending,
        })
    }

    async fn outbox_refused(&self, messages: &[(Uuid, String)]) -> Result<(), JobRepoError> {
        let (mut state, _) = self.begin();
        for (id, reason) in messages {
            let mut entries = state.outbox.iter_mut();
            if let Some(entry) = entries.find(|entry| entry.message.id == *id) {
                entry.refused.get_or_insert_with(|| reason.clone());
            }
        }
        Ok(())
    }

    async fn refused(&self, limit: u32) -> Result<Vec<RefusedMessage>, JobRepoError> {
        let (state, _) = self.begin();
        let refused = state.outbox.iter().filter_map(|entry| {
            Some(RefusedMessage {
                reason: entry.refused.clone()?,
                message: entry.message.clone(),
            })
        });
        Ok(refused
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect())
    }

    async fn resend_refused(&self) -> Result<u64, JobRepoError> {
        let (mut state, _) = self.begin();
        let mut again = 0;
        for entry in &mut state.outbox {
            if entry.refused.take().is_some() {
                entry.taken_at = None;
                again += 1;
            }
        }
        Ok(again)
    }

    async fn sweep(&self, terms: &SweepTerms) -> Result<Swept, JobRepoError> {
        let (mut state, now) = self.begin();
        let mut swept = Swept::default();
        state.end_all_without_claim(now, terms.crashes, &mut swept)?;
        swept.enqueued = state.enqueue_abandoned(now, terms);
        swept.forgotten = state.delete_expired(now, terms);
        Ok(swept)
    }
}
