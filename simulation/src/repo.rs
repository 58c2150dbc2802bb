//! A repository with faults.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::{
    Attempt, Backlog, Claim, ClaimTerms, Enqueue, Hold, JobError, JobFilter, JobId, JobIdPrefix, JobPage,
    JobProgress, JobRecord, JobRepo, JobRepoError, JobResult, JobStats, Lease, LeaseEpoch, NewJob,
    OutboxMessage, Outcome, RefusedMessage, Renewal, RestoreMark, RestoreRow, Stage, StageTime, Submitted,
    SweepTerms, Swept, Unfinished, VideoJob, WorkHash,
};

use crate::faults::Op;
use crate::life::Life;
use crate::world::{World, now};

/// Time after a claim at which a renewal of the previous lease arrives.
const LATE: Duration = Duration::from_secs(1);

/// The connection of a participant to the repository.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedRepo {
    pub(crate) life: Life,
}

fn unavailable() -> JobRepoError {
    JobRepoError::Unavailable {
        action: "reach the database",
        source: "simulated fault".into(),
    }
}

/// Returns the output of a call of the repository in memory, which never waits.
fn ready<T>(call: impl Future<Output = Result<T, JobRepoError>>) -> Result<T, JobRepoError> {
    now(call).unwrap_or_else(|| Err(unavailable()))
}

impl SimulatedRepo {
    async fn call<T: Send>(
        &self,
        op: Op,
        subject: String,
        effect: impl Fn(&World) -> Result<T, JobRepoError> + Send + 'static,
    ) -> Result<T, JobRepoError> {
        let world = self.life.world.clone();
        self.life
            .call(op, subject, unavailable, move || effect(&world))
            .await
    }

    /// Lets a renewal of the previous lease arrive after a claim: its holder may have sent the request before.
    fn renew_late(&self, lease: &Lease) {
        let Some(epoch) = Some(lease.epoch.get() - 1).filter(|epoch| *epoch > 0) else {
            return;
        };
        let world = self.life.world.clone();
        let previous = Lease {
            job: lease.job,
            epoch: LeaseEpoch::new(epoch),
        };
        tokio::spawn(async move {
            tokio::time::sleep(LATE).await;
            let progress = JobProgress {
                stage: Stage::Prepare,
                frames_done: 0,
                frames_total: 0,
            };
            world.count("event: late renewal");
            if ready(world.repo.renew(&previous, LATE, progress)).is_ok() {
                world.changed_by(&previous);
            }
        });
    }

    /// Performs a call of a lease holder.
    async fn held<T: Send>(
        &self,
        op: Op,
        lease: &Lease,
        effect: impl Fn(&World, &Lease) -> Result<T, JobRepoError> + Send + 'static,
    ) -> Result<T, JobRepoError> {
        let lease = lease.clone();
        let subject = format!("{} epoch {}", lease.job, lease.epoch.get());
        let effect = move |world: &World| {
            let result = effect(world, &lease);
            match &result {
                Ok(_) => world.changed_by(&lease),
                Err(JobRepoError::LeaseLost) if op == Op::Renew => world.count("event: lost lease"),
                Err(JobRepoError::LeaseLost) => world.count("event: stale commit"),
                Err(_) => {}
            }
            match (op, &result) {
                (Op::Renew, _) => {}
                (_, Ok(_)) => world.rows_changed_by_holder(),
                (_, Err(_)) => world.rows_changed(),
            }
            result
        };
        self.call(op, subject, effect).await
    }
}

#[async_trait]
impl JobRepo for SimulatedRepo {
    async fn submit(&self, jobs: &[NewJob], enqueue: Enqueue) -> Result<Vec<Submitted>, JobRepoError> {
        let jobs = jobs.to_vec();
        let ids: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
        let effect = move |world: &World| {
            let submitted = ready(world.repo.submit(&jobs, enqueue));
            match &submitted {
                Err(JobRepoError::IdempotencyConflict(_)) => world.count("event: idempotency conflict"),
                Ok(all) if all.iter().any(|each| !each.created) => world.count("event: repeated submission"),
                _ => {}
            }
            world.rows_changed();
            submitted
        };
        self.call(Op::Submit, ids.join(" "), effect).await
    }

    async fn claim(&self, job: JobId, owner: &str, terms: &ClaimTerms) -> Result<Claim, JobRepoError> {
        let (owner, terms) = (owner.to_owned(), terms.clone());
        let effect = move |world: &World| {
            let claim = ready(world.repo.claim(job, &owner, &terms))?;
            world.count(match &claim {
                Claim::Claimed(lease, row) => {
                    world.granted(lease, &owner, row);
                    "event: claim"
                }
                Claim::Held(_) => "event: held elsewhere",
                Claim::NotDue(_) => "event: not due",
                Claim::Terminal(_) => "event: redelivery of a terminal job",
                Claim::Ended(_) => "event: ended by a claim",
                Claim::Missing => "event: missing job",
                Claim::Standby => "event: standby",
                Claim::Parked(first) => {
                    world.parked(job);
                    match first {
                        Some(_) => "event: parked behind a parked job",
                        None => "event: parked",
                    }
                }
            });
            world.rows_changed();
            Ok(claim)
        };
        let claim = self.call(Op::Claim, job.to_string(), effect).await?;
        if let Claim::Claimed(lease, _) = &claim {
            self.renew_late(lease);
        }
        Ok(claim)
    }

    async fn renew(
        &self,
        lease: &Lease,
        duration: Duration,
        progress: JobProgress,
    ) -> Result<Renewal, JobRepoError> {
        let effect = move |world: &World, lease: &Lease| ready(world.repo.renew(lease, duration, progress));
        self.held(Op::Renew, lease, effect).await
    }

    async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<VideoJob, JobRepoError> {
        let outcome = outcome.clone();
        let effect = move |world: &World, lease: &Lease| {
            let finished = ready(world.repo.finish(lease, &outcome));
            if let (Ok(_), Outcome::Completed(result, _)) = (&finished, &outcome) {
                let own = format!("results/{}/", lease.job);
                let is_current = result.key == format!("{own}{}.zip", lease.epoch.get());
                match result.key.starts_with(&own) {
                    true if is_current => {}
                    true => world.count("event: adoption"),
                    false if result.key.starts_with("results/") => world.count("event: reuse"),
                    false => world.count("event: result at a key of the client"),
                }
            }
            finished
        };
        self.held(Op::Finish, lease, effect).await
    }

    async fn retry_later(
        &self,
        lease: &Lease,
        error: &JobError,
        delay: Duration,
    ) -> Result<(), JobRepoError> {
        let error = error.clone();
        let effect = move |world: &World, lease: &Lease| {
            ready(world.repo.retry_later(lease, &error, delay)).inspect(|()| world.count("event: retry wait"))
        };
        self.held(Op::RetryLater, lease, effect).await
    }

    async fn defer(&self, lease: &Lease, error: &JobError, delay: Duration) -> Result<(), JobRepoError> {
        let error = error.clone();
        let effect = move |world: &World, lease: &Lease| {
            ready(world.repo.defer(lease, &error, delay)).inspect(|()| world.count("event: deferral"))
        };
        self.held(Op::Defer, lease, effect).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JobRepoError> {
        let effect = move |world: &World, lease: &Lease| {
            ready(world.repo.release(lease)).inspect(|()| world.count("event: release"))
        };
        self.held(Op::Release, lease, effect).await
    }

    async fn get(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        let effect = move |world: &World| ready(world.repo.get(job));
        self.call(Op::Get, job.to_string(), effect).await
    }

    async fn attempts(&self, job: JobId) -> Result<Vec<Attempt>, JobRepoError> {
        self.life.world.repo.attempts(job).await
    }

    async fn record_stages(&self, lease: &Lease, stages: &[StageTime]) -> Result<(), JobRepoError> {
        let (lease, stages) = (lease.clone(), stages.to_vec());
        let subject = lease.job.to_string();
        let effect = move |world: &World| ready(world.repo.record_stages(&lease, &stages));
        self.call(Op::RecordStages, subject, effect).await
    }

    async fn find(&self, prefix: &JobIdPrefix, limit: u32) -> Result<Vec<JobId>, JobRepoError> {
        self.life.world.repo.find(prefix, limit).await
    }

    async fn list(&self, filter: &JobFilter) -> Result<JobPage, JobRepoError> {
        self.life.world.repo.list(filter).await
    }

    async fn cancel(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        let effect = move |world: &World| {
            let cancelled = ready(world.repo.cancel(job));
            if let Ok(Some(row)) = &cancelled {
                world.count(match row.cancel_requested {
                    true => "event: request to cancel",
                    false => "event: cancelled at once",
                });
            }
            world.rows_changed();
            cancelled
        };
        self.call(Op::Cancel, job.to_string(), effect).await
    }

    async fn retry(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        let effect = move |world: &World| {
            let retried = ready(world.repo.retry(job));
            if retried.is_ok() {
                world.count("event: new generation");
            }
            world.rows_changed();
            retried
        };
        self.call(Op::Retry, job.to_string(), effect).await
    }

    async fn raise(&self, job: JobId, generation: u32) -> Result<Option<VideoJob>, JobRepoError> {
        self.life.world.repo.raise(job, generation).await
    }

    async fn hold(&self, job: JobId, hold: Hold) -> Result<Option<VideoJob>, JobRepoError> {
        let effect = move |world: &World| {
            let held = ready(world.repo.hold(job, hold));
            world.rows_changed();
            held
        };
        self.call(Op::Hold, job.to_string(), effect).await
    }

    async fn find_result(&self, work: &WorkHash) -> Result<Option<JobResult>, JobRepoError> {
        let work = work.clone();
        let effect = move |world: &World| ready(world.repo.find_result(&work));
        self.call(Op::FindResult, String::new(), effect).await
    }

    async fn is_result(&self, key: &str) -> Result<bool, JobRepoError> {
        let (subject, key) = (key.to_owned(), key.to_owned());
        let effect = move |world: &World| ready(world.repo.is_result(&key));
        self.call(Op::IsResult, subject, effect).await
    }

    async fn unfinished(&self) -> Result<Unfinished, JobRepoError> {
        let effect = |world: &World| ready(world.repo.unfinished());
        self.call(Op::Unfinished, String::new(), effect).await
    }

    async fn stats(&self, windows: &[Duration]) -> Result<JobStats, JobRepoError> {
        self.life.world.repo.stats(windows).await
    }

    async fn take_outbox(&self, limit: u32, hold: Duration) -> Result<Vec<OutboxMessage>, JobRepoError> {
        let effect = move |world: &World| ready(world.repo.take_outbox(limit, hold));
        self.call(Op::TakeOutbox, String::new(), effect).await
    }

    async fn outbox_sent(&self, messages: &[Uuid]) -> Result<(), JobRepoError> {
        let messages = messages.to_vec();
        let effect = move |world: &World| ready(world.repo.outbox_sent(&messages));
        self.call(Op::OutboxSent, String::new(), effect).await
    }

    async fn outbox_refused(&self, messages: &[(Uuid, String)]) -> Result<(), JobRepoError> {
        let messages = messages.to_vec();
        let effect = move |world: &World| ready(world.repo.outbox_refused(&messages));
        self.call(Op::OutboxRefused, String::new(), effect).await
    }

    async fn refused(&self, limit: u32) -> Result<Vec<RefusedMessage>, JobRepoError> {
        self.life.world.repo.refused(limit).await
    }

    async fn resend_refused(&self) -> Result<u64, JobRepoError> {
        self.life.world.repo.resend_refused().await
    }

    async fn outbox_backlog(&self) -> Result<Backlog, JobRepoError> {
        let effect = |world: &World| ready(world.repo.outbox_backlog());
        self.call(Op::OutboxBacklog, String::new(), effect).await
    }

    async fn sweep(&self, terms: &SweepTerms) -> Result<Swept, JobRepoError> {
        let terms = *terms;
        let effect = move |world: &World| {
            let swept = ready(world.repo.sweep(&terms))?;
            for (what, count) in [
                ("event: abandoned job", swept.enqueued),
                ("event: failed by a sweep", swept.failed),
                ("event: cancelled by a sweep", swept.cancelled),
            ] {
                if count > 0 {
                    world.count(what);
                }
            }
            world.rows_changed();
            Ok(swept)
        };
        self.call(Op::Sweep, String::new(), effect).await
    }

    async fn restore_mark(&self) -> Result<RestoreRow, JobRepoError> {
        let effect = |world: &World| ready(world.repo.restore_mark());
        self.call(Op::RestoreMark, String::new(), effect).await
    }

    fn observe_mark(&self, mark: &RestoreMark) {
        self.life.world.repo.observe_mark(mark);
    }

    async fn advance_mark(&self, interval: Duration) -> Result<Option<RestoreRow>, JobRepoError> {
        self.life.world.repo.advance_mark(interval).await
    }

    async fn accept_restore(&self, store: Option<&RestoreMark>) -> Result<RestoreRow, JobRepoError> {
        self.life.world.repo.accept_restore(store).await
    }

    async fn rebuild(
        &self,
        job: JobId,
        record: &JobRecord,
        result: Option<&(JobResult, UnixMillis)>,
    ) -> Result<bool, JobRepoError> {
        self.life.world.repo.rebuild(job, record, result).await
    }

    async fn enqueue(&self, jobs: &[JobId]) -> Result<u64, JobRepoError> {
        self.life.world.repo.enqueue(jobs).await
    }
}
