//! Deterministic simulation of the job protocol: the real processor on virtual time, with seeded faults.
//!
//! A [`Plan`] follows from a seed. A run of a plan has the same effects in the same order each time. See
//! `CONTRIBUTING.md` for the commands.

mod checker;
mod client;
mod extractor;
mod faults;
mod life;
mod plan;
mod queue;
mod random;
mod repo;
mod run;
mod shrink;
mod storage;
mod trace;
mod worker;
mod world;

pub use self::faults::{Actor, Call, Cut, Dependency, Fault, Incident, Millis, Op};
pub use self::plan::{Item, Plan, Request, Route};
pub use self::run::{Lines, Report, run};
pub use self::shrink::shrink;
