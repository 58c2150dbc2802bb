//! Conformance suite for [`Queue`](crate::queue::Queue).

#[macro_use]
mod checks;
mod dead_lettering;
mod delivery;
mod fairness;
mod harness;
mod receipts;
mod suite;
mod waiting;

pub use self::harness::{QueueAbilities, QueueHarness};
pub use self::suite::queue_conformance;
