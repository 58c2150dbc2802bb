//! Failures of the commands.

use videoframes_console::{Failure, exit};
use videoframes_core::fleet::{FleetError, Revision};

/// Creates the failure for an error of the registry.
pub(crate) fn failure(error: &FleetError) -> Failure {
    match error {
        FleetError::Unavailable { .. } | FleetError::Unreadable(_) => {
            Failure::because(exit::UNAVAILABLE, error)
        }
        FleetError::NoActive => Failure::because(exit::JOB, error)
            .hint("start workers with VF_REVISION, or run 'vf-worker fleet activate REVISION'"),
        _ => Failure::because(exit::JOB, error),
    }
}

/// Creates the failure for an unhealthy revision.
pub(super) fn unhealthy(revision: &Revision, reason: &str) -> Failure {
    Failure::new(
        exit::DIFFERS,
        format!("the revision '{revision}' is unhealthy: {reason}"),
    )
}
