//! Messages in a database, for deployments without a message broker.

mod call_error;
mod entity;
mod flows;
mod queue;
mod ready;
mod view;

pub use self::queue::DatabaseQueue;
pub use self::view::{Arrival, Waiting};
