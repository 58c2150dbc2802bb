//! Where jobs are kept.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Backlog, JobError, JobId, JobResult, JobStatus, Lease, NewJob, OutboxMessage, Stage, VideoJob, WorkHash,
};
use crate::clock::UnixMillis;
use crate::pipeline::Progress;

/// Whether a submitted job's message is on its way already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueue {
    /// A message for the workers is written into the outbox.
    ThroughOutbox,
    /// The caller holds the message that asked for it.
    AlreadyQueued,
}

/// What became of a submitted job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The job: the new one, or the one that has had this key before.
    pub id: JobId,
    /// Whether it is new.
    pub created: bool,
}

/// Under which terms a job may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimTerms {
    /// How long the lease lasts unless it is renewed.
    pub lease: Duration,
    /// How many of its workers may vanish before it fails.
    pub crashes: u32,
}

/// What a claim found.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // One of them lives as long as a job takes.
pub enum Claim {
    /// It is the caller's, until the lease runs out.
    Claimed(Lease, VideoJob),
    /// Someone else holds it for so much longer.
    Held(Duration),
    /// Its next attempt is due after so much time.
    NotDue(Duration),
    /// Nothing is left to do, perhaps only since this claim looked.
    Terminal(VideoJob),
    /// There is no such job.
    Missing,
}

/// What a renewed lease says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// Whether someone asked for the job to be stopped.
    pub cancel_requested: bool,
}

/// How a claimed job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With a result, and with the hash under which others may use it.
    Completed(JobResult, Option<WorkHash>),
    /// Without one.
    Failed(JobError),
    /// Stopped.
    Cancelled(JobError),
}

/// Which jobs to list, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only these.
    pub status: Option<JobStatus>,
    /// Only those that come after this position: see [`JobPage::next`].
    pub after: Option<JobCursor>,
    /// At most this many rows; all where not given.
    pub limit: Option<u32>,
}

/// A position in a list of jobs. Jobs that are accepted or forgotten meanwhile do not move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobCursor {
    /// When the job at this position was accepted.
    pub created_at: UnixMillis,
    /// Its id.
    pub id: JobId,
}

/// Jobs of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobPage {
    /// Those that this version can read.
    pub jobs: Vec<VideoJob>,
    /// The others.
    pub unreadable: Vec<UnreadableJob>,
    /// Where the next page begins, where there may be one.
    pub next: Option<JobCursor>,
}

/// A job whose row this version cannot read; a newer one may have written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableJob {
    /// The job.
    pub id: JobId,
    /// What is wrong with the row.
    pub reason: String,
}

/// A message of the outbox that its queue refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedMessage {
    /// The message.
    pub message: OutboxMessage,
    /// Why the queue refused it.
    pub reason: String,
}

/// Under which terms a sweep tidies up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepTerms {
    /// By how much a job's message has to be older than messages that were received, before the job counts as
    /// abandoned.
    pub overdue: Duration,
    /// How long ago the workers' queue was last found empty, where that is known.
    pub drained: Option<Duration>,
    /// How many of a job's workers may vanish before it fails.
    pub crashes: u32,
    /// How long terminal jobs and sent outbox messages are kept.
    pub retention: Duration,
    /// Most jobs that are enqueued again, and that are forgotten, in one go.
    pub most: u32,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Jobs that were enqueued again.
    pub enqueued: u64,
    /// Jobs that failed: their deadline had passed, or their workers kept dying.
    pub failed: u64,
    /// Jobs that were to be stopped and whose worker was gone.
    pub cancelled: u64,
    /// Jobs past their retention that were forgotten.
    pub forgotten: u64,
}

/// Why a repository did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum JobRepoError {
    /// Someone else holds the job, or nobody does any more. Nothing was changed.
    #[error("the lease is lost")]
    LeaseLost,
    /// The key is that of another request. Nothing was changed.
    #[error("the idempotency key '{0}' belongs to another request")]
    IdempotencyConflict(String),
    /// The job is not in a state in which that can happen. Nothing was changed.
    #[error("the job is {0}")]
    WrongState(JobStatus),
    /// The job is there, but not as this version writes jobs: a newer one may have written it. Nothing was
    /// changed.
    #[error("the job cannot be read: {0}")]
    Unreadable(String),
    /// The database cannot be reached, or does not answer as it should. Whether anything was changed is
    /// not known: read again.
    #[error("cannot {action}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// What its client said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl JobRepoError {
    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// A place where jobs are kept, with their outbox.
///
/// Callers may rely on every change being whole or not at all, on time being the repository's own, and
/// on a terminal job having exactly one notification per generation in the outbox, written with the
/// change that made it terminal.
///
/// Implementers guard every change by [`JobStatus::after`], and every change that needs a [`Lease`] by
/// its epoch and by the job being in work. Ids of notifications are those of
/// [`OutboxMessage::notification`], ids of messages to workers are random.
#[async_trait]
pub trait JobRepo: Send + Sync + 'static {
    /// Accepts jobs, all or none; one answer for each, in order. Idempotent by key, within a batch too: a
    /// known job stays as it is and is not enqueued again. A job with a rejection is failed from the start,
    /// and is not enqueued. A message that has asked for a job gives that one, if it asks for the same
    /// (by the payload hash), whatever its key is now.
    ///
    /// Of the events of an object, jobs of older ones that wait for a worker are superseded: cancelled, a new
    /// one from the start. Those of jobs that are terminal count as well. What an operator has asked for
    /// again is not superseded.
    ///
    /// # Errors
    /// [`JobRepoError::IdempotencyConflict`] for a known key with another payload hash.
    async fn submit(&self, jobs: &[NewJob], enqueue: Enqueue) -> Result<Vec<Submitted>, JobRepoError>;

    /// Takes a job that is pending, due for another attempt, or whose lease has run out; counts an
    /// attempt and raises the epoch. One whose deadline has passed, whose workers vanished too often
    /// (a run-out lease counts as one), that a newer event has superseded, or that was to be stopped while
    /// nobody held it, becomes terminal instead; so does one that waits for an attempt which would come behind its deadline, once that has
    /// passed. A lease that lasts protects its holder from all of this. Changes nothing where it does not
    /// take the job or end it. Missing jobs are [`Claim::Missing`].
    ///
    /// Every claim has an `owner` of its own: one whose answer was lost is asked for again by the same owner,
    /// and gets the lease that it has, as long as that lasts, with nothing changed.
    async fn claim(&self, job: JobId, owner: &str, terms: &ClaimTerms) -> Result<Claim, JobRepoError>;

    /// Holds a job for `lease` from now, and writes down how far it is. A lease that has run out and that
    /// nobody has claimed since is renewed too. Idempotent.
    ///
    /// # Errors
    /// [`JobRepoError::LeaseLost`].
    async fn renew(
        &self,
        lease: &Lease,
        duration: Duration,
        stage: Stage,
        progress: Progress,
    ) -> Result<Renewal, JobRepoError>;

    /// Makes a job terminal, with its notification. Works on a lease that has run out as long as nobody
    /// has claimed the job since. Not idempotent: the second call is [`JobRepoError::LeaseLost`].
    ///
    /// # Errors
    /// [`JobRepoError::LeaseLost`].
    async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<VideoJob, JobRepoError>;

    /// Gives a job up until `delay` is over, remembering why. Its attempt stays counted.
    ///
    /// # Errors
    /// [`JobRepoError::LeaseLost`].
    async fn retry_later(&self, lease: &Lease, error: &JobError, delay: Duration)
    -> Result<(), JobRepoError>;

    /// Does the same as [`JobRepo::retry_later`], and takes the attempt back: for an outage, which is not the job's
    /// fault.
    ///
    /// # Errors
    /// [`JobRepoError::LeaseLost`].
    async fn defer(&self, lease: &Lease, error: &JobError, delay: Duration) -> Result<(), JobRepoError>;

    /// Hands a job back as if it had not been claimed, but for the epoch, and the crash that a claim of a
    /// run-out lease has counted.
    ///
    /// # Errors
    /// [`JobRepoError::LeaseLost`].
    async fn release(&self, lease: &Lease) -> Result<(), JobRepoError>;

    /// A job as it stands.
    async fn get(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError>;

    /// Jobs as they stand, newest first. A row that cannot be read does not keep the others from being listed.
    async fn list(&self, filter: &JobFilter) -> Result<JobPage, JobRepoError>;

    /// Stops a job: at once where nobody holds it (a lease that has run out holds nothing), else by asking
    /// its worker, which may still finish it. Idempotent, also for one that is cancelled already. Gives the job as it then stands, `None` for a missing one.
    ///
    /// # Errors
    /// [`JobRepoError::WrongState`] for one that is completed or failed.
    async fn cancel(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError>;

    /// Starts a failed or cancelled job again, as a new generation with new attempts, crashes and time and
    /// without error, progress or wish to stop, and enqueues it. Epochs go on. `None` for a missing one.
    ///
    /// # Errors
    /// [`JobRepoError::WrongState`] for one in any other state.
    async fn retry(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError>;

    /// The result of the completed job that was latest to finish with this hash.
    async fn find_result(&self, work: &WorkHash) -> Result<Option<JobResult>, JobRepoError>;

    /// Whether any job has this key as its result.
    async fn is_result(&self, key: &str) -> Result<bool, JobRepoError>;

    /// How many jobs are not terminal.
    async fn unfinished(&self) -> Result<u64, JobRepoError>;

    /// Takes up to `most` messages of the outbox, oldest first, that nobody has taken within `hold`.
    async fn take_outbox(&self, most: u32, hold: Duration) -> Result<Vec<OutboxMessage>, JobRepoError>;

    /// Marks messages as sent, taken or not. Idempotent; unknown ones are no error.
    async fn outbox_sent(&self, messages: &[Uuid]) -> Result<(), JobRepoError>;

    /// Gives up messages that their queue refused for good, each with the reason: they are kept, and sent only
    /// after [`JobRepo::resend_refused`]. Idempotent; unknown and sent ones are no error.
    async fn outbox_refused(&self, messages: &[(Uuid, String)]) -> Result<(), JobRepoError>;

    /// Up to `limit` messages that were given up, oldest first.
    async fn refused(&self, limit: u32) -> Result<Vec<RefusedMessage>, JobRepoError>;

    /// Makes all messages that were given up wait to be sent again. Returns their number.
    async fn resend_refused(&self) -> Result<u64, JobRepoError>;

    /// What waits in the outbox, taken or not.
    async fn outbox_backlog(&self) -> Result<Backlog, JobRepoError>;

    /// Finds abandoned jobs: enqueues those whose message to the workers was lost, makes terminal those that
    /// [`JobRepo::claim`] would, and forgets those that are past their retention. Idempotent; safe while
    /// others do the same. Reads none of the jobs that merely wait.
    ///
    /// A job waits since its last message to the workers was written, and since it is due: since it was
    /// accepted, asked for again or handed back, since its next attempt, or since the end of its lease. It is
    /// abandoned if messages that were written [`SweepTerms::overdue`] later have been received: if the queue
    /// was empty then ([`SweepTerms::drained`]), or if every job that is in work by its first message was
    /// accepted later. Where neither is known no job is abandoned, however long it waits.
    ///
    /// An abandoned job is enqueued unless a message to the workers that is as old waits in the outbox. If it
    /// stays abandoned it is enqueued again after twice the time each time. A job is never forgotten, with its
    /// key and its result, while a message of its own waits there.
    async fn sweep(&self, terms: &SweepTerms) -> Result<Swept, JobRepoError>;
}
