//! Jobs in a database.
//!
//! Every change is one short transaction, guarded by what the row has to be for it. Where more than a
//! guard is needed to decide, the row is locked, the pure rules of `lease.rs` decide, and the guarded
//! change follows in the same transaction.

mod claim;
mod entity;
mod finish;
mod lease;
mod operator;
mod outbox;
mod read;
mod row;
mod submit;
mod sweep;

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::DbErr;
use uuid::Uuid;

use super::{
    Backlog, Claim, ClaimTerms, Enqueue, JobError, JobFilter, JobId, JobPage, JobRepo, JobRepoError,
    JobResult, Lease, NewJob, OutboxMessage, Outcome, RefusedMessage, Renewal, Stage, Submitted, SweepTerms,
    Swept, VideoJob, WorkHash,
};
use crate::database::{Database, within};
use crate::pipeline::Progress;

/// A [`Database`] as a [`JobRepo`]; its schema has to be up to date.
#[derive(Debug, Clone)]
pub struct SeaOrmJobRepo {
    database: Database,
}

impl SeaOrmJobRepo {
    /// The jobs in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn call<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, Stop>>,
    ) -> Result<T, JobRepoError> {
        within(self.database.patience(), work)
            .await
            .map_err(|stop| match stop {
                Stop::Refused(error) => error,
                Stop::Database(source) => JobRepoError::Unavailable {
                    action,
                    source: source.into(),
                },
            })
    }
}

/// Why a change was not made.
enum Stop {
    Refused(JobRepoError),
    Database(DbErr),
}

impl From<JobRepoError> for Stop {
    fn from(error: JobRepoError) -> Self {
        Self::Refused(error)
    }
}

impl From<DbErr> for Stop {
    fn from(error: DbErr) -> Self {
        match error {
            DbErr::Type(what) | DbErr::Json(what) => Self::Refused(JobRepoError::Unreadable(what)),
            error => Self::Database(error),
        }
    }
}

#[async_trait]
impl JobRepo for SeaOrmJobRepo {
    async fn submit(&self, jobs: &[NewJob], enqueue: Enqueue) -> Result<Vec<Submitted>, JobRepoError> {
        let work = submit::submit(&self.database, jobs, enqueue);
        self.call("submit jobs", work).await
    }

    async fn claim(&self, job: JobId, owner: &str, terms: &ClaimTerms) -> Result<Claim, JobRepoError> {
        let work = claim::claim(&self.database, job, owner, terms);
        self.call("claim the job", work).await
    }

    async fn renew(
        &self,
        lease: &Lease,
        duration: Duration,
        stage: Stage,
        progress: Progress,
    ) -> Result<Renewal, JobRepoError> {
        let work = lease::renew(&self.database, lease, duration, stage, progress);
        self.call("renew the lease", work).await
    }

    async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<VideoJob, JobRepoError> {
        let work = finish::finish(&self.database, lease, outcome);
        self.call("finish the job", work).await
    }

    async fn retry_later(
        &self,
        lease: &Lease,
        error: &JobError,
        delay: Duration,
    ) -> Result<(), JobRepoError> {
        let work = lease::retry_later(&self.database, lease, error, delay);
        self.call("put the job off", work).await
    }

    async fn defer(&self, lease: &Lease, error: &JobError, delay: Duration) -> Result<(), JobRepoError> {
        let work = lease::defer(&self.database, lease, error, delay);
        self.call("defer the job", work).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JobRepoError> {
        let work = lease::release(&self.database, lease);
        self.call("hand the job back", work).await
    }

    async fn get(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        self.call("read the job", read::get(&self.database, job)).await
    }

    async fn list(&self, filter: &JobFilter) -> Result<JobPage, JobRepoError> {
        self.call("list jobs", read::list(&self.database, filter)).await
    }

    async fn cancel(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        self.call("cancel the job", operator::cancel(&self.database, job))
            .await
    }

    async fn retry(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        self.call("retry the job", operator::retry(&self.database, job))
            .await
    }

    async fn find_result(&self, work: &WorkHash) -> Result<Option<JobResult>, JobRepoError> {
        let work = read::find_result(&self.database, work);
        self.call("look for an earlier result", work).await
    }

    async fn is_result(&self, key: &str) -> Result<bool, JobRepoError> {
        let work = read::is_result(&self.database, key);
        self.call("look for a result's job", work).await
    }

    async fn unfinished(&self) -> Result<u64, JobRepoError> {
        self.call("count unfinished jobs", read::unfinished(&self.database))
            .await
    }

    async fn take_outbox(&self, most: u32, hold: Duration) -> Result<Vec<OutboxMessage>, JobRepoError> {
        let work = outbox::take(&self.database, most, hold);
        self.call("take messages from the outbox", work).await
    }

    async fn outbox_sent(&self, messages: &[Uuid]) -> Result<(), JobRepoError> {
        let work = outbox::sent(&self.database, messages);
        self.call("mark messages as sent", work).await
    }

    async fn outbox_refused(&self, messages: &[(Uuid, String)]) -> Result<(), JobRepoError> {
        let work = outbox::refused(&self.database, messages);
        self.call("give messages up", work).await
    }

    async fn refused(&self, limit: u32) -> Result<Vec<RefusedMessage>, JobRepoError> {
        let work = outbox::list_refused(&self.database, limit);
        self.call("read refused messages", work).await
    }

    async fn resend_refused(&self) -> Result<u64, JobRepoError> {
        let work = outbox::resend_refused(&self.database);
        self.call("send refused messages again", work).await
    }

    async fn outbox_backlog(&self) -> Result<Backlog, JobRepoError> {
        self.call("count the outbox", outbox::backlog(&self.database))
            .await
    }

    async fn sweep(&self, terms: &SweepTerms) -> Result<Swept, JobRepoError> {
        self.call("sweep jobs", sweep::sweep(&self.database, terms)).await
    }
}
