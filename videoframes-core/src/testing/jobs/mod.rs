//! Conformance suite for [`JobRepo`](crate::jobs::JobRepo).

mod attempts;
mod claim;
mod events;
mod finish;
mod harness;
mod lease;
mod list;
mod operator;
mod outbox;
mod parking;
mod restore;
mod stats;
mod submit;
mod suite;
mod sweep;
mod sweep_ends;

pub use self::harness::JobRepoHarness;
pub use self::suite::job_repo_conformance;
