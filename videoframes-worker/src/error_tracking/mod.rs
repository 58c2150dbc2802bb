//! Error tracking: reports of errors to Sentry and compatible servers (feature `sentry`).
//!
//! A report names no object, address or credential: only listed fields are sent, and texts are scrubbed.

#[cfg(feature = "sentry")]
mod report;
#[cfg(feature = "sentry")]
mod scrub;
#[cfg_attr(not(feature = "sentry"), path = "no_tracker.rs")]
mod tracker;

pub(crate) use self::tracker::ErrorTracker;

/// Address of a project, which contains a public key.
const SENTRY_DSN: &str = "SENTRY_DSN";
