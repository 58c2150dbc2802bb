//! Queues with at-least-once delivery.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod database;
mod error;
mod inputs;
mod memory;
mod message;
mod queue;
#[cfg(feature = "sqs")]
mod sqs;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::database::{Arrival, DatabaseQueue, Waiting};
pub use self::error::QueueError;
pub use self::inputs::{InputQueue, InputQueues, Received};
pub use self::memory::MemoryQueue;
pub use self::message::{DEAD_LETTER_REASON, Message, Outgoing, ReceiptHandle};
pub use self::queue::{Depth, MAX_VISIBILITY, Queue};
#[cfg(feature = "sqs")]
pub use self::sqs::{SqsOptions, SqsQueue};
pub use crate::limits::MESSAGE_BYTES;
