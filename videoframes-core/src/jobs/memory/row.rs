//! The row of a job.

use crate::clock::UnixMillis;
use crate::jobs::event::EventOrder;
use crate::jobs::{Attempt, AttemptOutcome, JobError, JobEvent, JobRepoError, JobStatus, VideoJob, WorkHash};
use crate::limits::MAX_ATTEMPTS;

pub(super) struct Row {
    pub(super) job: VideoJob,
    /// Time of the last message for the workers.
    pub(super) enqueued_at: UnixMillis,
    pub(super) work: Option<WorkHash>,
    pub(super) event: Option<EventOrder>,
    pub(super) message: Option<String>,
    /// The latest attempts, oldest first.
    pub(super) attempts: Vec<Attempt>,
}

impl Row {
    /// Adds the attempt of a claim.
    pub(super) fn begin_attempt(&mut self, owner: &str, now: UnixMillis) {
        let job = &self.job;
        let attempt = Attempt::new(job.lease_epoch, job.generation, owner, now);
        self.attempts.push(attempt);
        let extra = self.attempts.len().saturating_sub(MAX_ATTEMPTS);
        self.attempts.drain(..extra);
    }

    /// Ends the attempt of the lease holder.
    pub(super) fn end_attempt(&mut self, outcome: AttemptOutcome, error: Option<&JobError>, now: UnixMillis) {
        let open = self.attempts.last_mut();
        if let Some(open) = open.filter(|attempt| attempt.ended_at.is_none()) {
            open.end(outcome, error, now);
        }
    }

    /// Ends the attempt of a worker whose lease has expired, if there is one.
    pub(super) fn lose_attempt(&mut self) {
        if self.job.status == JobStatus::Processing {
            let end = self.job.lease_expires_at.unwrap_or(self.job.updated_at);
            self.end_attempt(AttemptOutcome::Lost, None, end);
        }
    }

    /// Sets the values at the beginning of a generation.
    pub(super) fn begin_generation(&mut self, generation: u32, now: UnixMillis) {
        let job = &mut self.job;
        job.generation = generation;
        (job.attempts, job.crash_count) = (0, 0);
        (job.frames_done, job.frames_total) = (0, 0);
        job.set_error(None);
        job.begun_at = None;
        job.deadline_at = deadline(job.time_limit_ms, now);
        job.updated_at = now;
    }
}

/// Returns the deadline of a job whose time starts at `now`.
fn deadline(time_limit_ms: Option<i64>, now: UnixMillis) -> Option<UnixMillis> {
    time_limit_ms.map(|limit| UnixMillis(now.0.saturating_add(limit)))
}

impl VideoJob {
    /// Enters the state after `event`, and clears the worker or the wait of the previous state.
    pub(super) fn enter(&mut self, event: JobEvent, now: UnixMillis) -> Result<(), JobRepoError> {
        self.status = self
            .status
            .after(event)
            .ok_or(JobRepoError::WrongState(self.status))?;
        self.stage = None;
        self.lease_owner = None;
        self.lease_expires_at = None;
        self.next_attempt_at = None;
        self.parked_at = None;
        self.updated_at = now;
        Ok(())
    }

    pub(super) fn set_error(&mut self, error: Option<&JobError>) {
        self.error_code = error.map(|error| error.code.clone());
        self.error_message = error.map(|error| error.message.clone());
    }
}
