//! The operations port: health, metrics and version over HTTP, and control through a unix socket.
//!
//! A dedicated thread serves both interfaces, so that they respond even while the runtime of the processor is blocked.

mod args;
mod client;
mod commands;
mod control;
mod emf;
mod health;
mod metrics;
mod observer;
mod request;
mod resources;
mod server;

pub(crate) use self::args::{HealthArgs, LogLevelArgs, WorkersArgs};
pub(crate) use self::commands::{health, log_level, pause, resume};
pub(crate) use self::control::Control;
pub(crate) use self::health::{MAX_BLOCKED, PULSE};
pub(crate) use self::metrics::install;
pub(crate) use self::observer::Observer;
pub(crate) use self::resources::Resources;
pub(crate) use self::server::{Ops, OpsParts};
