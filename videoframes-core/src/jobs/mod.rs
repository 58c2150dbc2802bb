//! Jobs: requests received as messages, their progress and their results.
//!
//! A [`VideoJob`] is a row. The worker that processes a job holds its [`Lease`], whose epoch guards every
//! change by the worker. A worker that lost its lease can change nothing any more. Messages about a change go
//! into the outbox in the same transaction as the change.

mod attempt;
mod event;
mod filter;
mod job;
mod lease;
mod memory;
mod message;
mod notification;
mod options;
mod outbox;
mod outputs;
mod parsed;
mod prefix;
mod record;
mod renditions;
mod repo;
mod restore;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sea_orm;
mod source;
mod stats;
mod status;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::sea_orm::SeaOrmJobRepo;
pub use attempt::{Attempt, AttemptOutcome, StageTime};
pub use filter::{JobCursor, JobFilter};
pub use job::{
    ErrorCode, JobError, JobId, JobResult, Lease, LeaseEpoch, NewJob, ParseJobIdError, VideoJob, WorkHash,
};
pub use memory::MemoryJobRepo;
pub use message::{
    Events, JobMessage, JobRequest, MESSAGE_SCHEMA, MESSAGE_VERSION, ObjectEvent, Poison, Rules,
};
pub use options::{
    ContactSheetOptions, InvalidOptions, JobOptions, JobOutputs, OutputFrames, PreviewOptions,
    RequestedLimits, StoryboardOptions,
};
pub use outbox::{Backlog, OutboxDestination, OutboxMessage};
pub use outputs::{OutputKind, OutputResult};
pub use parsed::Parsed;
pub use prefix::{JobIdPrefix, ParseJobIdPrefixError};
pub use record::{JobCopy, JobRecord};
pub use renditions::{MAX_RENDITIONS, RenditionObject, RenditionRequest, RenditionResult, RenditionVideo};
pub use repo::{
    Claim, ClaimTerms, Enqueue, Hold, JobPage, JobProgress, JobRepo, JobRepoError, Outcome, RefusedMessage,
    Renewal, Submitted, SweepTerms, Swept, UnreadableJob,
};
pub(crate) use restore::RESTORE_MARK;
pub use restore::{RestoreMark, RestoreRow, RestoreState};
pub use source::SourceRef;
pub use stats::{EndedJobs, FailureCount, JobStats, Unfinished};
pub use status::{JobEvent, JobStatus, Stage, UnknownStatus};
