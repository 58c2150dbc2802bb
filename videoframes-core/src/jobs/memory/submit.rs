//! Submission of jobs.

use std::collections::{HashMap, HashSet};

use super::row::Row;
use super::state::State;
use crate::clock::UnixMillis;
use crate::jobs::event::EventOrder;
use crate::jobs::{JobId, JobRepoError, JobStatus, NewJob, Outcome, Submitted, VideoJob};

impl State {
    /// Fails if any job of a batch cannot be submitted.
    pub(super) fn check(&self, jobs: &[NewJob]) -> Result<(), JobRepoError> {
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

    pub(super) fn submit(&mut self, new: &NewJob, now: UnixMillis) -> Result<Submitted, JobRepoError> {
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
            job: VideoJob::new(new, now),
            enqueued_at: now,
            work: None,
            event: EventOrder::from_job(new),
            message,
            attempts: Vec::new(),
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

    /// Ends waiting jobs of an object whose events are older than the newest one.
    pub(super) fn supersede(&mut self, new: &NewJob, now: UnixMillis) -> Result<(), JobRepoError> {
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
}
