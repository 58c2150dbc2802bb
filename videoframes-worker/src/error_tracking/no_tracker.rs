//! Error tracking in builds without the feature `sentry`.

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Identity;
use tracing_subscriber::registry::LookupSpan;
use videoframes_console::{Failure, exit};

use super::SENTRY_DSN;

/// Reports nothing.
#[derive(Debug)]
pub(crate) struct ErrorTracker;

impl ErrorTracker {
    /// Fails if the environment asks for reports: silence would look like success.
    pub(crate) fn start() -> Result<Self, Failure> {
        match std::env::var_os(SENTRY_DSN) {
            Some(dsn) if !dsn.is_empty() => {
                let text = format!("{SENTRY_DSN} is set, but this build has no error tracking");
                Err(Failure::new(exit::USAGE, text).hint("build with --features sentry, or unset SENTRY_DSN"))
            }
            _ => Ok(Self),
        }
    }

    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        None::<Identity>
    }

    pub(crate) fn stop(self) {}
}
