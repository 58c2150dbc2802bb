//! Fault points, where a test can kill the command. Compiled out of other builds.

#[cfg(feature = "fault-points")]
pub(super) use videoframes_core::processor::inject_fault as reached;

#[cfg(not(feature = "fault-points"))]
pub(super) fn reached(_: &str) {}
