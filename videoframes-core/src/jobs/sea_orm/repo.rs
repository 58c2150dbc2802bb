//! The repository in a database.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::call_error::CallError;
use super::restore::Checked;
use super::{attempts, claim, finish, lease, list, operator, outbox, read, rebuild, stats, submit, sweep};
use crate::clock::UnixMillis;
use crate::database::{Database, within};
use crate::jobs::{
    Attempt, Backlog, Claim, ClaimTerms, Enqueue, Hold, JobError, JobFilter, JobId, JobIdPrefix, JobPage,
    JobProgress, JobRecord, JobRepo, JobRepoError, JobResult, JobStats, Lease, NewJob, OutboxMessage,
    Outcome, RefusedMessage, Renewal, RestoreMark, RestoreRow, StageTime, Submitted, SweepTerms, Swept,
    Unfinished, VideoJob, WorkHash,
};
use crate::tenant::Tenants;

/// A [`JobRepo`] in a [`Database`] with an up-to-date schema.
#[derive(Debug, Clone)]
pub struct SeaOrmJobRepo {
    checked: Checked,
}

impl SeaOrmJobRepo {
    /// Returns a repository of the jobs in `database`.
    pub fn new(database: Database) -> Self {
        Self {
            checked: Checked::new(database),
        }
    }

    /// Replaces the limits of tenants.
    #[must_use]
    pub fn with_tenants(mut self, tenants: Tenants) -> Self {
        self.checked.tenants = tenants;
        self
    }

    async fn call<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, JobRepoError> {
        within(self.checked.database.patience(), work)
            .await
            .map_err(|error| match error {
                CallError::Repo(error) => error,
                CallError::Database(source) => JobRepoError::Unavailable {
                    action,
                    source: source.into(),
                },
            })
    }
}

#[async_trait]
impl JobRepo for SeaOrmJobRepo {
    async fn submit(&self, jobs: &[NewJob], enqueue: Enqueue) -> Result<Vec<Submitted>, JobRepoError> {
        let work = submit::submit(&self.checked, jobs, enqueue);
        self.call("submit jobs", work).await
    }

    async fn claim(&self, job: JobId, owner: &str, terms: &ClaimTerms) -> Result<Claim, JobRepoError> {
        let work = claim::claim(&self.checked, job, owner, terms);
        self.call("claim the job", work).await
    }

    async fn renew(
        &self,
        lease: &Lease,
        duration: Duration,
        progress: JobProgress,
    ) -> Result<Renewal, JobRepoError> {
        let work = lease::renew(&self.checked.database, lease, duration, progress);
        self.call("renew the lease", work).await
    }

    async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<VideoJob, JobRepoError> {
        let work = finish::finish(&self.checked, lease, outcome);
        self.call("finish the job", work).await
    }

    async fn retry_later(
        &self,
        lease: &Lease,
        error: &JobError,
        delay: Duration,
    ) -> Result<(), JobRepoError> {
        let work = lease::retry_later(&self.checked, lease, error, delay);
        self.call("schedule another attempt of the job", work).await
    }

    async fn defer(&self, lease: &Lease, error: &JobError, delay: Duration) -> Result<(), JobRepoError> {
        let work = lease::defer(&self.checked, lease, error, delay);
        self.call("defer the job", work).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JobRepoError> {
        let work = lease::release(&self.checked, lease);
        self.call("release the job", work).await
    }

    async fn get(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        self.call("read the job", read::get(&self.checked.database, job))
            .await
    }

    async fn attempts(&self, job: JobId) -> Result<Vec<Attempt>, JobRepoError> {
        let work = attempts::list(&self.checked.database, job);
        self.call("read the attempts at the job", work).await
    }

    async fn record_stages(&self, lease: &Lease, stages: &[StageTime]) -> Result<(), JobRepoError> {
        let work = attempts::record_stages(&self.checked.database, lease, stages);
        self.call("record the stages of the attempt", work).await
    }

    async fn find(&self, prefix: &JobIdPrefix, limit: u32) -> Result<Vec<JobId>, JobRepoError> {
        let work = read::find(&self.checked.database, prefix, limit);
        self.call("search for jobs by their id", work).await
    }

    async fn list(&self, filter: &JobFilter) -> Result<JobPage, JobRepoError> {
        self.call("list jobs", list::list(&self.checked.database, filter))
            .await
    }

    async fn cancel(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        self.call("cancel the job", operator::cancel(&self.checked, job))
            .await
    }

    async fn retry(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        self.call("retry the job", operator::retry(&self.checked.database, job))
            .await
    }

    async fn raise(&self, job: JobId, generation: u32) -> Result<Option<VideoJob>, JobRepoError> {
        let work = operator::raise(&self.checked.database, job, generation);
        self.call("raise the generation of the job", work).await
    }

    async fn hold(&self, job: JobId, hold: Hold) -> Result<Option<VideoJob>, JobRepoError> {
        let work = operator::hold(&self.checked.database, job, hold);
        self.call("change the legal hold of the job", work).await
    }

    async fn find_result(&self, work: &WorkHash) -> Result<Option<JobResult>, JobRepoError> {
        let work = read::find_result(&self.checked.database, work);
        self.call("search for an earlier result", work).await
    }

    async fn is_result(&self, key: &str) -> Result<bool, JobRepoError> {
        let work = read::is_result(&self.checked.database, key);
        self.call("search for the job of a result", work).await
    }

    async fn unfinished(&self) -> Result<Unfinished, JobRepoError> {
        self.call("count unfinished jobs", stats::unfinished(&self.checked.database))
            .await
    }

    async fn stats(&self, windows: &[Duration]) -> Result<JobStats, JobRepoError> {
        self.call("count jobs", stats::stats(&self.checked.database, windows))
            .await
    }

    async fn take_outbox(&self, limit: u32, hold: Duration) -> Result<Vec<OutboxMessage>, JobRepoError> {
        let work = outbox::take(&self.checked.database, limit, hold);
        self.call("take messages from the outbox", work).await
    }

    async fn outbox_sent(&self, messages: &[Uuid]) -> Result<(), JobRepoError> {
        let work = outbox::sent(&self.checked.database, messages);
        self.call("mark messages as sent", work).await
    }

    async fn outbox_refused(&self, messages: &[(Uuid, String)]) -> Result<(), JobRepoError> {
        let work = outbox::refused(&self.checked.database, messages);
        self.call("mark messages as rejected", work).await
    }

    async fn refused(&self, limit: u32) -> Result<Vec<RefusedMessage>, JobRepoError> {
        let work = outbox::list_refused(&self.checked.database, limit);
        self.call("read rejected messages", work).await
    }

    async fn resend_refused(&self) -> Result<u64, JobRepoError> {
        let work = outbox::resend_refused(&self.checked.database);
        self.call("reschedule rejected messages", work).await
    }

    async fn outbox_backlog(&self) -> Result<Backlog, JobRepoError> {
        self.call(
            "count messages in the outbox",
            outbox::backlog(&self.checked.database),
        )
        .await
    }

    async fn sweep(&self, terms: &SweepTerms) -> Result<Swept, JobRepoError> {
        self.call("sweep jobs", sweep::sweep(&self.checked, terms)).await
    }

    async fn restore_mark(&self) -> Result<RestoreRow, JobRepoError> {
        self.call("read the restore mark", self.checked.mark()).await
    }

    fn observe_mark(&self, mark: &RestoreMark) {
        self.checked.observe(mark);
    }

    async fn advance_mark(&self, interval: Duration) -> Result<Option<RestoreRow>, JobRepoError> {
        let work = self.checked.advance(interval);
        self.call("increase the restore mark", work).await
    }

    async fn accept_restore(&self, store: Option<&RestoreMark>) -> Result<RestoreRow, JobRepoError> {
        let work = self.checked.accept(store);
        self.call("accept the restored database", work).await
    }

    async fn rebuild(
        &self,
        job: JobId,
        record: &JobRecord,
        result: Option<&(JobResult, UnixMillis)>,
    ) -> Result<bool, JobRepoError> {
        let work = rebuild::rebuild(&self.checked.database, job, record, result);
        self.call("rebuild the job", work).await
    }

    async fn enqueue(&self, jobs: &[JobId]) -> Result<u64, JobRepoError> {
        let work = rebuild::enqueue(&self.checked.database, jobs);
        self.call("enqueue jobs", work).await
    }
}
