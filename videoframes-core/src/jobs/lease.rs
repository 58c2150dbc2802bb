//! Decides who may claim a job and which jobs are abandoned. Pure.

use std::time::Duration;

use super::event::superseded;
use super::{ErrorCode, JobError, JobId, JobStatus, Outcome, VideoJob};
use crate::clock::UnixMillis;

/// The outcome of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The claimant gets the job, of which `crash_count` workers have crashed so far.
    Take { crash_count: u32 },
    /// The job becomes terminal instead; `crash_count` of its workers have crashed.
    End { outcome: Outcome, crash_count: u32 },
    /// The claimant holds the lease already.
    Again,
    /// Another worker holds the lease for this long.
    Held(Duration),
    /// The next attempt is due after this time.
    NotDue(Duration),
    /// The job is terminal already.
    Terminal,
}

/// A job with the facts that a decision on it needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JobFacts {
    pub(crate) job: VideoJob,
    /// Whether a newer event of the same object has been seen.
    pub(crate) outdated: bool,
    pub(crate) now: UnixMillis,
}

impl JobFacts {
    /// Returns whether a newer event supersedes the job. A job that an operator retried is never superseded.
    fn is_superseded(&self) -> bool {
        self.outdated && self.job.generation == 0
    }
}

/// Decides on a claim by `owner` of a job that fails once `crashes` of its workers have crashed.
///
/// An unexpired lease protects its holder from everything else. Of several reasons to end a job, a request to
/// cancel takes precedence, then a newer event, then the deadline. The deadline also ends a job that waits
/// for an attempt which would start too late.
pub(crate) fn decide_claim(facts: &JobFacts, owner: &str, crashes: u32) -> Decision {
    match decide(facts, crashes) {
        Decision::Held(_) if facts.job.lease_owner.as_deref() == Some(owner) => Decision::Again,
        decision => decision,
    }
}

/// Decides as [`decide_claim`] does, for a claimant without a lease of the job.
pub(crate) fn decide(facts: &JobFacts, crashes: u32) -> Decision {
    let (job, now) = (&facts.job, facts.now);
    if job.status.is_terminal() {
        return Decision::Terminal;
    }
    let in_work = job.status == JobStatus::Processing;
    if let Some(expiry) = job.lease_expires_at.filter(|expiry| in_work && *expiry > now) {
        return Decision::Held(expiry.since(now));
    }
    let crash_count = job.crash_count.saturating_add(u32::from(in_work));
    let end = |outcome| Decision::End { outcome, crash_count };
    if job.cancel_requested {
        return end(cancelled());
    }
    if facts.is_superseded() {
        return end(superseded());
    }
    if job.deadline_at.is_some_and(|deadline| deadline <= now) {
        let error = JobError::new(ErrorCode::DeadlineExceeded, "the deadline of the job passed");
        return end(Outcome::Failed(error));
    }
    if in_work && crash_count >= crashes {
        let message = format!("{crash_count} workers of the job crashed");
        return end(Outcome::Failed(JobError::new(
            ErrorCode::WorkerCrashLoop,
            message,
        )));
    }
    match job.next_attempt_at.filter(|due| *due > now) {
        Some(due) => Decision::NotDue(due.since(now)),
        None => Decision::Take { crash_count },
    }
}

/// Whether a job of a tenant with a limit may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The job may start.
    Now,
    /// The job waits. A parked job that may start instead, if the tenant may start any.
    Wait(Option<JobId>),
}

/// Decides on the start of a job whose tenant may start `places` jobs, with the parked jobs that start `before` the job.
pub(crate) fn turn(places: u64, before: &[JobId]) -> Turn {
    match places {
        0 => Turn::Wait(None),
        _ if (before.len() as u64) < places => Turn::Now,
        _ => Turn::Wait(before.first().copied()),
    }
}

/// Returns the outcome of a job that was cancelled on request.
pub(crate) fn cancelled() -> Outcome {
    Outcome::Cancelled(JobError::new(
        ErrorCode::Cancelled,
        "the job was cancelled on request",
    ))
}

/// Returns the time from which a job can be claimed according to its row; `None` for a terminal or parked job.
///
/// The time lies in the future while a job is held or not due.
pub(crate) fn due_since(job: &VideoJob) -> Option<UnixMillis> {
    match job.status {
        JobStatus::Pending if job.parked_at.is_some() => None,
        JobStatus::Pending => Some(job.updated_at),
        JobStatus::RetryWait => Some(job.next_attempt_at.unwrap_or(job.updated_at)),
        JobStatus::Processing => Some(job.lease_expires_at.unwrap_or(job.updated_at)),
        JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled => None,
    }
}

/// Returns the deadline of a job on which work begins at `now`.
///
/// The deadline is the earlier of the client's deadline and the end of the time for the work, which is set
/// once.
pub(crate) fn deadline_of_work(job: &VideoJob, now: UnixMillis) -> Option<UnixMillis> {
    let limit = job.work_limit_ms.filter(|_| job.begun_at.is_none());
    let end = limit.map(|limit| UnixMillis(now.0.saturating_add(limit)));
    match (job.deadline_at, end) {
        (Some(deadline), Some(end)) => Some(deadline.min(end)),
        (deadline, end) => deadline.or(end),
    }
}

/// The state of the workers' queue and of the outbox, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) now: UnixMillis,
    /// Submission time of the oldest job that was claimed by its first message and is still being processed.
    pub(crate) in_work: Option<UnixMillis>,
    /// Time since the queue was last found empty.
    pub(crate) drained: Option<Duration>,
    /// Time at which the oldest unsent message was written to the outbox.
    pub(crate) unsent: Option<UnixMillis>,
}

/// Time by which messages of other tenants and priorities must be later than a lost message.
///
/// Shares may delay a message by any time, but a message that waits for so long is rare, and a second message harmless.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(6 * 3600);

/// Returns the time before which waiting jobs are abandoned, or `None` where no such time is known.
///
/// Messages written `overdue` after that time have been received, and all older ones have been sent.
pub(crate) fn abandoned_before(delivery: &Delivery, overdue: Duration) -> Option<UnixMillis> {
    let drained = delivery.drained.map(|ago| delivery.now.before(ago));
    let received = drained.max(delivery.in_work)?;
    let abandoned = received.before(overdue);
    Some(delivery.unsent.map_or(abandoned, |unsent| unsent.min(abandoned)))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::jobs::LeaseEpoch;
    use crate::tenant::{Priority, Tenant};

    const NOW: UnixMillis = UnixMillis(1_000_000);
    const EARLIER: Option<UnixMillis> = Some(UnixMillis(1_000_000));
    const LATER: Option<UnixMillis> = Some(UnixMillis(1_030_000));

    fn job(status: JobStatus) -> VideoJob {
        VideoJob {
            id: JobId::random(),
            status,
            stage: None,
            frames_done: 0,
            frames_total: 0,
            attempts: 0,
            crash_count: 0,
            generation: 0,
            error_code: None,
            error_message: None,
            result: None,
            source: Value::Null.into(),
            options: Value::Null.into(),
            output_key: None,
            client_metadata: None,
            idempotency_key: String::new(),
            payload_hash: String::new(),
            sequencer: None,
            cancel_requested: false,
            lease_epoch: LeaseEpoch(0),
            lease_owner: None,
            lease_expires_at: None,
            time_limit_ms: None,
            work_limit_ms: None,
            begun_at: None,
            deadline_at: None,
            next_attempt_at: None,
            created_at: UnixMillis(0),
            updated_at: UnixMillis(500_000),
            finished_at: None,
            trace: None,
            kept_at: None,
            tenant: Tenant::default(),
            priority: Priority::default(),
            parked_at: None,
        }
    }

    fn decided(job: &VideoJob, crashes: u32) -> Decision {
        decided_with(job, false, crashes)
    }

    fn decided_with(job: &VideoJob, outdated: bool, crashes: u32) -> Decision {
        let job = job.clone();
        decide(
            &JobFacts {
                job,
                outdated,
                now: NOW,
            },
            crashes,
        )
    }

    /// Returns the error code with which a job ends instead of being claimed.
    fn end(job: &VideoJob) -> Option<String> {
        code(decided(job, 3))
    }

    fn code(decision: Decision) -> Option<String> {
        match decision {
            Decision::End {
                outcome: Outcome::Failed(error) | Outcome::Cancelled(error),
                ..
            } => Some(error.code),
            _ => None,
        }
    }

    #[test]
    fn a_job_does_not_overtake_parked_jobs() {
        let (first, second) = (JobId::random(), JobId::random());
        for (places, before, expected) in [
            (0, vec![], Turn::Wait(None)),
            (0, vec![first], Turn::Wait(None)),
            (1, vec![], Turn::Now),
            (1, vec![first], Turn::Wait(Some(first))),
            (2, vec![first], Turn::Now),
            (2, vec![first, second], Turn::Wait(Some(first))),
        ] {
            assert_eq!(turn(places, &before), expected, "{places} {before:?}");
        }
    }

    #[test]
    fn an_unexpired_lease_protects_its_holder() {
        let held = VideoJob {
            lease_expires_at: LATER,
            deadline_at: EARLIER,
            cancel_requested: true,
            crash_count: 9,
            ..job(JobStatus::Processing)
        };
        assert_eq!(decided(&held, 3), Decision::Held(Duration::from_secs(30)));
    }

    #[test]
    fn a_repeated_claim_returns_the_same_lease_until_expiry() {
        let mut held = VideoJob {
            lease_expires_at: LATER,
            lease_owner: Some("worker/1".to_owned()),
            ..job(JobStatus::Processing)
        };
        let decided = |job: &VideoJob, owner| {
            let job = job.clone();
            decide_claim(
                &JobFacts {
                    job,
                    outdated: true,
                    now: NOW,
                },
                owner,
                3,
            )
        };
        assert_eq!(decided(&held, "worker/1"), Decision::Again);
        assert_eq!(
            decided(&held, "worker/2"),
            Decision::Held(Duration::from_secs(30))
        );
        held.lease_expires_at = EARLIER;
        assert_ne!(decided(&held, "worker/1"), Decision::Again);
    }

    #[test]
    fn an_expired_lease_counts_as_a_crash() {
        let mut lost = VideoJob {
            lease_expires_at: EARLIER,
            ..job(JobStatus::Processing)
        };
        assert_eq!(decided(&lost, 3), Decision::Take { crash_count: 1 });
        lost.crash_count = 2;
        assert_eq!(end(&lost).as_deref(), Some("WORKER_CRASH_LOOP"));
        // Crashes do not count while no worker processes the job: the last attempt was released or failed.
        lost.status = JobStatus::Pending;
        assert_eq!(decided(&lost, 2), Decision::Take { crash_count: 2 });
    }

    #[test]
    fn attempts_wait_until_they_are_due() {
        let mut waiting = VideoJob {
            next_attempt_at: LATER,
            ..job(JobStatus::RetryWait)
        };
        assert_eq!(decided(&waiting, 3), Decision::NotDue(Duration::from_secs(30)));
        assert_eq!(due_since(&waiting), LATER);
        waiting.deadline_at = EARLIER;
        assert_eq!(end(&waiting).as_deref(), Some("DEADLINE_EXCEEDED"));
    }

    #[test]
    fn a_cancel_request_takes_precedence_over_the_deadline() {
        for status in [JobStatus::Pending, JobStatus::RetryWait, JobStatus::Processing] {
            let unwanted = VideoJob {
                cancel_requested: true,
                deadline_at: EARLIER,
                ..job(status)
            };
            assert_eq!(end(&unwanted).as_deref(), Some("CANCELLED"), "{status}");
        }
    }

    #[test]
    fn a_newer_event_supersedes_jobs_that_are_neither_held_nor_retried() {
        for status in [JobStatus::Pending, JobStatus::RetryWait, JobStatus::Processing] {
            let mut older = VideoJob {
                deadline_at: EARLIER,
                next_attempt_at: LATER,
                ..job(status)
            };
            let ended = |job: &VideoJob| code(decided_with(job, true, 3));
            assert_eq!(ended(&older).as_deref(), Some("SUPERSEDED"), "{status}");
            older.cancel_requested = true;
            assert_eq!(ended(&older).as_deref(), Some("CANCELLED"), "{status}");
            older.cancel_requested = false;
            older.generation = 1;
            assert_eq!(ended(&older).as_deref(), Some("DEADLINE_EXCEEDED"), "{status}");
        }
        let held = VideoJob {
            lease_expires_at: LATER,
            ..job(JobStatus::Processing)
        };
        assert_eq!(
            decided_with(&held, true, 3),
            Decision::Held(Duration::from_secs(30))
        );
        assert_eq!(
            decided_with(&job(JobStatus::Completed), true, 3),
            Decision::Terminal
        );
    }

    #[test]
    fn terminal_jobs_do_not_change() {
        for status in JobStatus::ALL {
            let decision = decided(&job(status), 3);
            assert_eq!(decision == Decision::Terminal, status.is_terminal(), "{status}");
            assert_eq!(due_since(&job(status)).is_none(), status.is_terminal());
            let parked = VideoJob {
                parked_at: EARLIER,
                ..job(status)
            };
            let waits = status.is_terminal() || status == JobStatus::Pending;
            assert_eq!(due_since(&parked).is_none(), waits, "{status}");
        }
    }

    #[test]
    fn waiting_does_not_count_towards_the_time_for_the_work() {
        let at = |millis| Some(UnixMillis(millis));
        for (limit, begun, deadline, expected) in [
            (None, None, None, None),
            (None, None, at(7), at(7)),
            (Some(5_000), None, None, at(1_005_000)),
            (Some(5_000), None, at(1_001_000), at(1_001_000)),
            (Some(5_000), None, at(2_000_000), at(1_005_000)),
            // A later attempt has the remaining time.
            (Some(5_000), at(999_000), at(1_004_000), at(1_004_000)),
            (Some(i64::MAX), None, None, at(i64::MAX)),
        ] {
            let job = VideoJob {
                work_limit_ms: limit,
                begun_at: begun,
                deadline_at: deadline,
                ..job(JobStatus::Pending)
            };
            assert_eq!(
                deadline_of_work(&job, NOW),
                expected,
                "{limit:?} {begun:?} {deadline:?}"
            );
        }
    }

    #[test]
    fn a_waiting_job_is_not_abandoned() {
        let (at, seconds) = (|millis| Some(UnixMillis(millis)), Duration::from_secs);
        let overdue = seconds(100);
        for (in_work, drained, unsent, expected) in [
            // Nothing is known: the workers are busy with other jobs, or there are none.
            (None, None, None, None),
            (None, None, at(1), None),
            // The queue was empty.
            (None, Some(seconds(0)), None, at(900_000)),
            (None, Some(seconds(30)), None, at(870_000)),
            // All jobs that are being processed were submitted later.
            (at(500_000), None, None, at(400_000)),
            (at(500_000), Some(seconds(30)), None, at(870_000)),
            (at(990_000), Some(seconds(30)), None, at(890_000)),
            // A message that the relay has not sent cannot have been received.
            (None, Some(seconds(0)), at(300_000), at(300_000)),
            (None, Some(seconds(0)), at(950_000), at(900_000)),
        ] {
            let delivery = Delivery {
                now: NOW,
                in_work,
                drained,
                unsent,
            };
            assert_eq!(abandoned_before(&delivery, overdue), expected, "{delivery:?}");
        }
    }
}
