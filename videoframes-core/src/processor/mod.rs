//! Processes messages into results: receive → validate → claim → work → commit → notify.
//!
//! A [`Processor`] receives messages from the input queue and processes their jobs. The protocol guarantees
//! that every submitted job becomes terminal exactly once, and that its notification is delivered at least
//! once, whichever component crashes. Each step has a file:
//!
//! 1. [`Processor::run`] receives messages, only with a free slot and without an outage of a required
//!    dependency;
//! 2. `accept` turns a message into its jobs, or dead-letters it;
//! 3. `attempt` holds the claimed job by a heartbeat, runs the work, and records the outcome;
//! 4. `work` checks the source, extracts, and writes the archive under a key that no other claim uses;
//! 5. `relay` sends the messages of the outbox, `sweep` handles abandoned jobs.

mod accept;
mod adopt;
mod attempt;
mod circuit;
mod config;
mod drained;
mod fault;
mod heartbeat;
mod keys;
mod lost;
mod mark;
mod member;
mod monitor;
mod orphans;
mod outputs;
mod owner;
mod ownership;
mod parts;
mod probe;
mod processor;
mod producer;
mod rate;
mod receipt;
mod reconcile;
mod relay;
mod renditions;
mod report;
mod restore;
mod retry;
mod shared;
mod slot;
mod stages;
mod stop;
mod subject;
mod sweep;
mod telemetry;
mod verdict;
mod work;

pub use self::config::{ProcessorConfig, Timing};
#[cfg(feature = "fault-points")]
#[doc(hidden)]
pub use self::fault::inject as inject_fault;
pub use self::member::FleetMember;
pub use self::monitor::{Dependency, LoopGuard, LoopStatus, Monitor, Phase, ProcessorStatus, RestoreCheck};
pub use self::owner::worker_of;
pub use self::parts::{Parts, Queues};
pub use self::processor::{Processor, Until};
pub use self::reconcile::{
    Accepted, ReconcileError, ReconcileOptions, ReconcileProblem, ReconcileReport, Reconciler,
};
pub use self::relay::{Relayed, relay};
pub use self::retry::RetryPolicy;
