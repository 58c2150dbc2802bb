//! Storage of jobs.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Attempt, AttemptOutcome, Backlog, ErrorCode, JobCursor, JobError, JobFilter, JobId, JobIdPrefix,
    JobRecord, JobResult, JobStats, JobStatus, Lease, NewJob, OutboxMessage, RestoreMark, RestoreRow, Stage,
    StageTime, Unfinished, VideoJob, WorkHash,
};
use crate::clock::UnixMillis;
use crate::fleet::Revision;

/// Whether a submission enqueues its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueue {
    /// Writes a message for the workers to the outbox.
    ThroughOutbox,
    /// Writes no message: the caller holds the message that requested the job.
    AlreadyQueued,
}

/// The result of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Identifier of the new job, or of the existing job with the same idempotency key.
    pub id: JobId,
    /// Whether the submission created the job.
    pub created: bool,
}

/// Terms of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimTerms {
    /// Duration of the lease unless it is renewed.
    pub lease: Duration,
    /// Number of crashed workers at which the job fails.
    pub crashes: u32,
    /// The revision of the worker, if it takes part in a [`fleet`](crate::fleet). The claim fails while the revision
    /// stands by. A repository without a fleet ignores the revision.
    pub revision: Option<Revision>,
}

/// The outcome of a claim.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // Short-lived: one per processed job.
pub enum Claim {
    /// The caller holds the job until the lease expires.
    Claimed(Lease, VideoJob),
    /// Another worker holds the job for this long.
    Held(Duration),
    /// The next attempt is due after this time.
    NotDue(Duration),
    /// The job was terminal before this claim.
    Terminal(VideoJob),
    /// This claim made the job terminal: a request to cancel, its deadline, or too many crashes of its workers.
    Ended(VideoJob),
    /// The job does not exist.
    Missing,
    /// The revision of the worker stands by. Nothing was changed.
    Standby,
    /// The job waits without a message: its tenant has as many jobs in work as its limit allows, or parked jobs start
    /// before the job. The caller may claim the first of these jobs instead, if the tenant may start a job.
    Parked(Option<JobId>),
}

/// The progress of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobProgress {
    /// Stage of the attempt.
    pub stage: Stage,
    /// Number of pictures in the archive so far, or of encoded frames.
    pub frames_done: u64,
    /// Expected number of pictures or frames; zero while unknown.
    pub frames_total: u64,
}

/// The result of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// Whether a request to cancel the job is pending.
    pub cancel_requested: bool,
}

/// The outcome of a claimed job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The job has a result, with the hash under which other jobs may reuse the result.
    Completed(JobResult, Option<WorkHash>),
    /// The job failed.
    Failed(JobError),
    /// The job was cancelled.
    Cancelled(JobError),
}

impl Outcome {
    /// Returns the error of a job without a result.
    pub(crate) fn error(&self) -> Option<&JobError> {
        match self {
            Self::Completed(..) => None,
            Self::Failed(error) | Self::Cancelled(error) => Some(error),
        }
    }

    /// Returns the outcome of the attempt that ends the job.
    pub(crate) fn of_attempt(&self) -> AttemptOutcome {
        match self {
            Self::Completed(..) => AttemptOutcome::Completed,
            Self::Failed(_) => AttemptOutcome::Failed,
            Self::Cancelled(_) => AttemptOutcome::Cancelled,
        }
    }
}

/// One page of a list of jobs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobPage {
    /// Jobs that this version can read.
    pub jobs: Vec<VideoJob>,
    /// Jobs that this version cannot read.
    pub unreadable: Vec<UnreadableJob>,
    /// Position of the next page, if there may be more jobs.
    pub next: Option<JobCursor>,
}

/// A job whose row this version cannot read; a newer version may have written the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableJob {
    /// Identifier of the job.
    pub id: JobId,
    /// Reason why the row cannot be read.
    pub reason: String,
}

/// An outbox message that its queue rejected permanently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedMessage {
    /// The message.
    pub message: OutboxMessage,
    /// Reason of the queue for the rejection.
    pub reason: String,
}

/// Terms of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepTerms {
    /// How much older than received messages a job's message has to be before the job counts as abandoned.
    pub overdue: Duration,
    /// Time since the workers' queue was last found empty, if known.
    pub drained: Option<Duration>,
    /// Number of crashed workers at which a job fails.
    pub crashes: u32,
    /// Retention of terminal jobs and of sent outbox messages.
    pub retention: Duration,
    /// Maximum number of jobs that one sweep enqueues, and that one sweep deletes.
    pub most: u32,
}

/// The result of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Number of jobs that were enqueued again.
    pub enqueued: u64,
    /// Number of jobs that failed: their deadline had passed, or their workers crashed too often.
    pub failed: u64,
    /// Number of the failed jobs whose workers crashed too often.
    pub crashed: u64,
    /// Number of jobs that were cancelled because of a pending request and a lost worker.
    pub cancelled: u64,
    /// Number of jobs that were deleted after their retention.
    pub forgotten: u64,
    /// Number of parked jobs that were enqueued, since their tenant may start further jobs.
    pub unparked: u64,
}

impl Swept {
    /// Counts a job that the sweep made terminal.
    pub(crate) fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Cancelled(_) => self.cancelled += 1,
            Outcome::Failed(error) if error.code == ErrorCode::WorkerCrashLoop.as_str() => {
                self.failed += 1;
                self.crashed += 1;
            }
            _ => self.failed += 1,
        }
    }
}

/// A change of the legal hold of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Keeps the job beyond its retention.
    Keep,
    /// Lets the job expire again.
    Release,
}

/// Errors of a job repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobRepoError {
    /// Another worker holds the job, or no worker holds the job any more. Nothing was changed.
    #[error("the lease is lost")]
    LeaseLost,
    /// The idempotency key belongs to a different request. Nothing was changed.
    #[error("the idempotency key '{0}' belongs to another request")]
    IdempotencyConflict(String),
    /// The state of the job does not allow the operation. Nothing was changed.
    #[error("the job is {0}")]
    WrongState(JobStatus),
    /// The database was restored to an earlier moment: see [`JobRepo::observe_mark`]. Nothing was changed.
    #[error("the database was restored to an earlier moment")]
    Restored,
    /// This version cannot read the row of the job; a newer version may have written the row. Nothing was
    /// changed.
    #[error("the job cannot be read: {0}")]
    Unreadable(String),
    /// The database is unreachable or returned an unexpected answer.
    ///
    /// The change may or may not have happened: read the job again.
    #[error("failed to {action}")]
    Unavailable {
        /// The action that failed.
        action: &'static str,
        /// Error of the database client.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl JobRepoError {
    /// Returns whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// A store of jobs and of their outbox.
///
/// Callers may rely on the following:
/// - every change is atomic;
/// - the clock is the repository's own;
/// - a terminal job has exactly one notification per generation in the outbox, written with the change that
///   made the job terminal;
/// - every claim that takes a job adds an attempt to its history, and every change that ends the lease ends the attempt:
///   see [`JobRepo::attempts`].
///
/// Implementers guard every change by [`JobStatus::after`]. Implementers guard every change that needs a [`Lease`] by
/// its epoch and by the status [`JobStatus::Processing`]. Identifiers of notifications are those of
/// [`OutboxMessage::notification`]; identifiers of messages to workers are random.
#[async_trait]
pub trait JobRepo: Send + Sync + 'static {
    /// Submits jobs, all or none, and returns one answer per job, in order.
    ///
    /// Idempotent by idempotency key, within a batch too: an existing job does not change and is not enqueued
    /// again. A job with a rejection fails at once, and is not enqueued. A message that already requested a
    /// job returns that job if the payload hash is the same, whatever the idempotency key is now.
    ///
    /// A newer event of an object supersedes jobs of older events that wait for a worker. Such jobs are
    /// cancelled, a new job at once. Events of terminal jobs count as well. A job that an operator retried is
    /// never superseded.
    ///
    /// # Errors
    /// Returns [`JobRepoError::IdempotencyConflict`] for an existing key with another payload hash.
    async fn submit(&self, jobs: &[NewJob], enqueue: Enqueue) -> Result<Vec<Submitted>, JobRepoError>;

    /// Claims a job that is pending, due for another attempt, or whose lease has expired.
    ///
    /// A successful claim counts an attempt and increments the epoch, at least to the first of the generation: see
    /// [`JobRepo::accept_restore`]. Some jobs become terminal instead:
    /// - a job whose deadline has passed, even if its next attempt is not due yet;
    /// - a job whose workers crashed too often, where an expired lease counts as a crash;
    /// - a job that a newer event superseded;
    /// - a job with a request to cancel and without a lease.
    ///
    /// A claim that would exceed the limit of the job's tenant parks the job and counts no attempt: see
    /// [`TenantTerms::max_jobs`](crate::tenant::TenantTerms::max_jobs). A parked job is pending, and needs no message. The
    /// parked jobs of a tenant start in the order of their priorities, then of their submissions, and no later job overtakes
    /// them: its claim parks the later job, and names the parked job that may start instead.
    ///
    /// Every call that ends a lease or a parked job writes messages about the first parked jobs of the tenant, as many as the
    /// tenant may start. [`JobRepo::sweep`] does the same for leases that expired. Jobs with an expired lease do not count; a
    /// worker that renews such a lease keeps the job, even if the tenant then exceeds its limit.
    ///
    /// An unexpired lease protects its holder from all of this. A claim that neither takes nor ends the job
    /// changes nothing. The claim of a missing job is [`Claim::Missing`].
    ///
    /// Every claim has a unique `owner`. A claim whose answer was lost may be repeated by the same owner.
    /// Until the lease expires, the repetition returns the same lease and changes nothing.
    async fn claim(&self, job: JobId, owner: &str, terms: &ClaimTerms) -> Result<Claim, JobRepoError>;

    /// Extends the lease to `duration` from now, and records the progress.
    ///
    /// An expired lease is renewed too, unless another worker has claimed the job since. Idempotent.
    ///
    /// # Errors
    /// Returns [`JobRepoError::LeaseLost`] if the lease is lost.
    async fn renew(
        &self,
        lease: &Lease,
        duration: Duration,
        progress: JobProgress,
    ) -> Result<Renewal, JobRepoError>;

    /// Makes a job terminal and writes its notification.
    ///
    /// Accepts an expired lease, unless another worker has claimed the job since. Not idempotent: the second
    /// call returns [`JobRepoError::LeaseLost`].
    ///
    /// # Errors
    /// Returns [`JobRepoError::LeaseLost`] if the lease is lost.
    async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<VideoJob, JobRepoError>;

    /// Gives up the lease, records the error, and schedules another attempt after `delay`. The attempt stays
    /// counted.
    ///
    /// # Errors
    /// Returns [`JobRepoError::LeaseLost`] if the lease is lost.
    async fn retry_later(&self, lease: &Lease, error: &JobError, delay: Duration)
    -> Result<(), JobRepoError>;

    /// Does the same as [`JobRepo::retry_later`] without counting the attempt: for outages, which are not the
    /// job's fault.
    ///
    /// # Errors
    /// Returns [`JobRepoError::LeaseLost`] if the lease is lost.
    async fn defer(&self, lease: &Lease, error: &JobError, delay: Duration) -> Result<(), JobRepoError>;

    /// Returns a job to its state before the claim. Only the epoch stays, and the crash that the claim of an
    /// expired lease counted.
    ///
    /// # Errors
    /// Returns [`JobRepoError::LeaseLost`] if the lease is lost.
    async fn release(&self, lease: &Lease) -> Result<(), JobRepoError>;

    /// Returns a job, or `None` if it does not exist.
    async fn get(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError>;

    /// Returns the latest 100 attempts at a job, oldest first; none if the job does not exist.
    ///
    /// The call of the lease holder that ends an attempt sets its outcome and error. A change by anybody else ends the
    /// attempt as [`AttemptOutcome::Lost`], at the end of its lease. The history lacks attempts of workers of older
    /// versions. Attempts that such workers ended without a record are listed as lost, without a time of the end.
    async fn attempts(&self, job: JobId) -> Result<Vec<Attempt>, JobRepoError>;

    /// Records the stages of an attempt, for [`JobRepo::attempts`] only.
    ///
    /// Needs no valid lease, and ignores unknown attempts. Idempotent.
    async fn record_stages(&self, lease: &Lease, stages: &[StageTime]) -> Result<(), JobRepoError>;

    /// Returns up to `limit` identifiers of jobs that start with `prefix`, in ascending order.
    async fn find(&self, prefix: &JobIdPrefix, limit: u32) -> Result<Vec<JobId>, JobRepoError>;

    /// Returns the jobs of one page, newest first. An unreadable row does not prevent the listing of others.
    ///
    /// A page may have fewer jobs than the limit, even none, although more pages follow: see
    /// [`JobPage::next`].
    async fn list(&self, filter: &JobFilter) -> Result<JobPage, JobRepoError>;

    /// Cancels a job: at once if no worker holds an unexpired lease, else by a request to the worker, which
    /// may still finish the job.
    ///
    /// Idempotent, also for a cancelled job. Returns the job after the change, or `None` if the job does not
    /// exist.
    ///
    /// # Errors
    /// Returns [`JobRepoError::WrongState`] for a completed or failed job.
    async fn cancel(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError>;

    /// Retries a failed or cancelled job: starts a new generation and enqueues the job.
    ///
    /// The new generation has new counts of attempts and crashes and a new deadline. Error, progress and
    /// request to cancel are cleared; epochs continue. Returns `None` if the job does not exist.
    ///
    /// # Errors
    /// Returns [`JobRepoError::WrongState`] for a job in any other state.
    async fn retry(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError>;

    /// Brings a job to a generation that a restored database lost, unless the job is in a later generation.
    ///
    /// Retries a failed or cancelled job, as [`JobRepo::retry`] does. An unfinished job continues at this generation, with
    /// new counts of attempts and crashes and a new deadline: the time without the database does not count. No message
    /// is written about an unfinished job. Idempotent. Returns the job after the change, or `None` if it does not exist.
    ///
    /// # Errors
    /// Returns [`JobRepoError::WrongState`] for a completed job.
    async fn raise(&self, job: JobId, generation: u32) -> Result<Option<VideoJob>, JobRepoError>;

    /// Begins or ends the legal hold of a job. [`JobRepo::sweep`] does not delete a job under a legal hold, and thus
    /// its result stays a result ([`JobRepo::is_result`]).
    ///
    /// Idempotent: a legal hold keeps its first time. Returns the job after the change, or `None` if the job does not
    /// exist. After the end of the hold, the retention counts from the end of the job as before.
    async fn hold(&self, job: JobId, hold: Hold) -> Result<Option<VideoJob>, JobRepoError>;

    /// Returns the result of the job with this hash that completed last.
    async fn find_result(&self, work: &WorkHash) -> Result<Option<JobResult>, JobRepoError>;

    /// Returns whether any job has this key as its result.
    async fn is_result(&self, key: &str) -> Result<bool, JobRepoError>;

    /// Returns the number of jobs that are not terminal.
    async fn unfinished(&self) -> Result<Unfinished, JobRepoError>;

    /// Returns statistics of the jobs, with the jobs that ended within each of `windows`, and the failures within the
    /// longest of these.
    async fn stats(&self, windows: &[Duration]) -> Result<JobStats, JobRepoError>;

    /// Takes up to `limit` messages to each destination from the outbox, except those taken within `hold`.
    ///
    /// Notifications are taken oldest first. Messages to the workers are taken in turn by tenant and priority, in
    /// proportion to their [`Share`](crate::tenant::Share) without weights, and oldest first within a tenant and
    /// priority.
    async fn take_outbox(&self, limit: u32, hold: Duration) -> Result<Vec<OutboxMessage>, JobRepoError>;

    /// Marks messages as sent, whether or not they were taken. Idempotent; ignores unknown messages.
    async fn outbox_sent(&self, messages: &[Uuid]) -> Result<(), JobRepoError>;

    /// Marks messages as rejected permanently by their queue, each with the reason.
    ///
    /// Such messages are kept, and are sent only after [`JobRepo::resend_refused`]. Idempotent; ignores
    /// unknown and sent messages.
    async fn outbox_refused(&self, messages: &[(Uuid, String)]) -> Result<(), JobRepoError>;

    /// Returns up to `limit` rejected messages, oldest first.
    async fn refused(&self, limit: u32) -> Result<Vec<RefusedMessage>, JobRepoError>;

    /// Schedules all rejected messages to be sent again, and returns their number.
    async fn resend_refused(&self) -> Result<u64, JobRepoError>;

    /// Returns the number of unsent messages in the outbox and the age of the oldest, whether or not messages were taken.
    async fn outbox_backlog(&self) -> Result<Backlog, JobRepoError>;

    /// Finds abandoned jobs, and deletes jobs past their retention, with their attempts.
    ///
    /// Enqueues jobs whose message to the workers was lost, and ends jobs that [`JobRepo::claim`] would end.
    /// Idempotent; safe to run concurrently. Reads none of the jobs that only wait.
    ///
    /// The wait of a job starts when its last message to the workers was written, or when the job became due
    /// if that is later. A job is due from its submission, retry or release, from its next attempt, or from
    /// the end of its lease. A waiting job is abandoned if messages written [`SweepTerms::overdue`] later
    /// have been received. They have been received if the queue was empty then ([`SweepTerms::drained`]), or
    /// if every job that is being processed by its first message was submitted later. Where neither is known
    /// no job is abandoned, however long the wait.
    ///
    /// An abandoned job is enqueued unless a message to the workers of the same age waits in the outbox.
    /// While the job stays abandoned, the interval to the next message doubles. A job with its key and result
    /// is never deleted while a message about the job waits in the outbox.
    async fn sweep(&self, terms: &SweepTerms) -> Result<Swept, JobRepoError>;

    /// Returns the restore mark of the database, and the latest mark that the repository saw before.
    async fn restore_mark(&self) -> Result<RestoreRow, JobRepoError>;

    /// Remembers that the database had this mark, or forgets another database.
    ///
    /// The repository also remembers the marks that its calls read. It compares them with the mark of the database in
    /// the transactions of [`JobRepo::claim`], [`JobRepo::finish`], [`JobRepo::retry_later`], [`JobRepo::defer`],
    /// [`JobRepo::release`] and [`JobRepo::sweep`]. Behind a remembered mark, these return
    /// [`JobRepoError::Restored`] until [`JobRepo::accept_restore`].
    fn observe_mark(&self, mark: &RestoreMark);

    /// Increases the mark unless this happened within `interval`, and returns the new mark in that case.
    ///
    /// # Errors
    /// Returns [`JobRepoError::Restored`] if the mark is behind an observed mark.
    async fn advance_mark(&self, interval: Duration) -> Result<Option<RestoreRow>, JobRepoError>;

    /// Accepts the restore of the database: starts a generation with a mark later than `store`.
    ///
    /// Later claims have higher epochs than all claims of earlier generations.
    async fn accept_restore(&self, store: Option<&RestoreMark>) -> Result<RestoreRow, JobRepoError>;

    /// Inserts the row that a restored database lost, unless the row exists; returns whether it was inserted.
    ///
    /// With a result, the job is completed at the given time, and its notification is written to the outbox. Without
    /// a result, the job is pending, and no message is written.
    ///
    /// # Errors
    /// Returns [`JobRepoError::IdempotencyConflict`] if the idempotency key belongs to another job.
    async fn rebuild(
        &self,
        job: JobId,
        record: &JobRecord,
        result: Option<&(JobResult, UnixMillis)>,
    ) -> Result<bool, JobRepoError>;

    /// Writes messages to the workers about those of these jobs that are not terminal and have no unsent message to
    /// the workers. Returns the number of messages.
    async fn enqueue(&self, jobs: &[JobId]) -> Result<u64, JobRepoError>;
}
