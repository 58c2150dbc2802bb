//! Retries of the startup checks during a short outage of store or queues.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use videoframes_console::{Failure, exit};
use videoframes_core::queue::QueueError;
use videoframes_core::storage::StorageError;

/// Maximum time for which the startup retries.
const PATIENCE: Duration = Duration::from_secs(60);
/// Delay between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// The reason that the worker cannot start.
#[derive(Debug)]
pub(crate) enum Unready {
    /// A server does not respond, is unreachable or is busy; a retry may help.
    Temporary(Failure),
    /// The configuration or the deployment must be changed.
    Permanent(Failure),
}

impl From<Unready> for Failure {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::Temporary(failure) | Unready::Permanent(failure) => failure,
        }
    }
}

impl Unready {
    fn new(error: &dyn std::error::Error, outage: bool) -> Self {
        let failure = Failure::because(exit::UNAVAILABLE, error)
            .hint("'vf-worker provision --check' lists missing buckets, queues and settings");
        match outage {
            true => Self::Temporary(failure),
            false => Self::Permanent(failure),
        }
    }
}

impl From<StorageError> for Unready {
    fn from(error: StorageError) -> Self {
        let outage = match &error {
            StorageError::Io { source, .. } => !matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound
            ),
            _ => false,
        };
        Self::new(&error, outage)
    }
}

impl From<QueueError> for Unready {
    fn from(error: QueueError) -> Self {
        Self::new(&error, error.is_outage())
    }
}

/// Retries `attempt` until success, cancellation of `stop` (`None`), a permanent error or the end of the time.
pub(crate) async fn with_retries<T>(
    stop: &CancellationToken,
    attempt: impl AsyncFn() -> Result<T, Unready>,
) -> Result<Option<T>, Failure> {
    let end = Instant::now() + PATIENCE;
    loop {
        let tried = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            tried = attempt() => tried,
        };
        let failure = match tried {
            Ok(done) => return Ok(Some(done)),
            Err(Unready::Temporary(failure)) if Instant::now() + PAUSE < end => failure,
            Err(unready) => return Err(unready.into()),
        };
        tracing::warn!(error = %failure, "failed to connect to a server at startup; retrying");
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_outages_are_retried() {
        let of = |kind: io::ErrorKind| {
            Unready::from(StorageError::Io {
                action: "use the bucket",
                name: "videos".to_owned(),
                source: kind.into(),
            })
        };
        for kind in [
            io::ErrorKind::TimedOut,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::Other,
        ] {
            assert!(matches!(of(kind), Unready::Temporary(_)), "{kind}");
        }
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::NotFound] {
            assert!(matches!(of(kind), Unready::Permanent(_)), "{kind}");
        }
    }
}
