//! The list of all checks.

use super::harness::JobRepoHarness;
use super::{
    attempts, claim, events, finish, lease, list, operator, outbox, parking, restore, stats, submit, sweep,
    sweep_ends,
};

/// Checks the contract of [`JobRepo`](crate::jobs::JobRepo). Needs a multi-threaded runtime, for real concurrency.
///
/// # Panics
/// Panics if the implementation violates the contract.
pub async fn job_repo_conformance(harness: &dyn JobRepoHarness) {
    submit::check(harness).await;
    events::check(harness).await;
    claim::check(harness).await;
    lease::check(harness).await;
    finish::check(harness).await;
    attempts::check(harness).await;
    operator::check(harness).await;
    list::check(harness).await;
    stats::check(harness).await;
    outbox::check(harness).await;
    sweep::check(harness).await;
    sweep_ends::check(harness).await;
    parking::check(harness).await;
    // Last: epochs of later claims are high.
    restore::check(harness).await;
}
