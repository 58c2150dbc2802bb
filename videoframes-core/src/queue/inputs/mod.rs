//! Several input queues with weights.

mod inputs;
mod schedule;
mod waiting;

pub use self::inputs::{InputQueue, InputQueues, Received};
