//! The workers: processes, their environment, and what the operating system and they themselves report.

pub(crate) mod environment;
pub(crate) mod fleet;
pub(crate) mod metrics;
pub(crate) mod processes;
pub(crate) mod worker;
