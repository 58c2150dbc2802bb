//! Messages that workers understand: the crate's own format, and events of object stores.

mod events;
mod message;
mod poison;
mod request;
mod rules;
mod strict;

pub use self::events::{Events, ObjectEvent};
pub use self::message::{JobMessage, MESSAGE_SCHEMA};
pub use self::poison::{MESSAGE_VERSION, Poison};
pub use self::request::JobRequest;
pub(super) use self::request::is_allowed_output;
pub use self::rules::Rules;
