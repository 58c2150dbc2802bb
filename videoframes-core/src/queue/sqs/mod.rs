//! Messages in SQS and compatible servers.

mod age;
mod batch;
mod calls;
mod dead_letter;
mod deletes;
mod failure;
mod options;
mod queue;
mod validate;

pub(super) use self::failure::Failure;
pub use self::options::SqsOptions;
pub use self::queue::SqsQueue;
