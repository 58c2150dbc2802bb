//! The row of a job.

use crate::clock::{UnixMillis, millis};
use crate::jobs::event::EventOrder;
use crate::jobs::{JobError, JobEvent, JobRepoError, JobStatus, LeaseEpoch, NewJob, VideoJob, WorkHash};

pub(super) struct Row {
    pub(super) job: VideoJob,
    /// Time of the last message for the workers.
    pub(super) enqueued_at: UnixMillis,
    pub(super) work: Option<WorkHash>,
    pub(super) event: Option<EventOrder>,
    pub(super) message: Option<String>,
}

/// Returns the row of a job that was submitted at `now`.
pub(super) fn new_row(new: &NewJob, now: UnixMillis) -> VideoJob {
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
        kept_at: None,
    }
}

/// Returns the deadline of a job whose time starts at `now`.
pub(super) fn deadline(time_limit_ms: Option<i64>, now: UnixMillis) -> Option<UnixMillis> {
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
        self.updated_at = now;
        Ok(())
    }

    pub(super) fn set_error(&mut self, error: Option<&JobError>) {
        self.error_code = error.map(|error| error.code.clone());
        self.error_message = error.map(|error| error.message.clone());
    }
}
