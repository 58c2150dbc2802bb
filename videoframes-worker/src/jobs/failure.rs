//! Failures of commands for jobs.

use videoframes_console::{Failure, exit};
use videoframes_core::jobs::{JobIdPrefix, JobRepoError};

pub(crate) fn unavailable(error: &JobRepoError) -> Failure {
    Failure::because(exit::UNAVAILABLE, error)
}

pub(crate) fn missing(id: &JobIdPrefix) -> Failure {
    let text = match id.whole() {
        Some(id) => format!("job {id} does not exist"),
        None => format!("no job has an id that starts with {id}"),
    };
    Failure::new(exit::NOT_FOUND, text).hint("'vf-worker jobs' lists the jobs")
}

/// Creates the failure for the start of several ids.
pub(super) fn ambiguous(id: &JobIdPrefix, candidates: &str) -> Failure {
    let text = format!("several jobs have ids that start with {id}: {candidates}");
    Failure::new(exit::USAGE, text).hint("give more characters of the id")
}
