//! Jobs: what was asked for by message, how far it has come, and what came out.
//!
//! A [`VideoJob`] is a row. Whoever works on it holds its [`Lease`], and every change that the holder
//! makes is guarded by the lease's epoch: a worker that lost it changes nothing any more. What has to
//! be told to the world is written into the outbox in the same transaction as the change itself.

mod event;
mod job;
mod lease;
mod memory;
mod message;
mod notification;
mod options;
mod outbox;
mod renditions;
mod repo;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sea_orm;
mod status;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::sea_orm::SeaOrmJobRepo;
pub use job::{
    ErrorCode, JobError, JobId, JobResult, Lease, LeaseEpoch, NewJob, ParseJobIdError, VideoJob, WorkHash,
};
pub use memory::MemoryJobRepo;
pub(crate) use message::hash;

pub use message::{Events, JobMessage, JobRequest, MESSAGE_VERSION, ObjectEvent, Poison, Rules, SourceRef};
pub use options::{InvalidOptions, JobOptions, RequestedLimits};
pub use outbox::{Backlog, OutboxDestination, OutboxMessage};
pub use renditions::{MOST_RENDITIONS, RenditionObject, RenditionRequest, RenditionResult, RenditionVideo};
pub use repo::{
    Claim, ClaimTerms, Enqueue, JobCursor, JobFilter, JobPage, JobRepo, JobRepoError, Outcome,
    RefusedMessage, Renewal, Submitted, SweepTerms, Swept, UnreadableJob,
};
pub use status::{JobEvent, JobStatus, Stage, UnknownStatus};
