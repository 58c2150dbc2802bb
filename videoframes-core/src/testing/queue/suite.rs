//! The list of all checks.

use super::harness::QueueHarness;
use super::{dead_lettering, delivery, fairness, receipts, waiting};

/// Checks the contract of [`Queue`](crate::queue::Queue).
///
/// # Panics
/// Panics if the implementation violates the contract.
pub async fn queue_conformance(harness: &dyn QueueHarness) {
    checks!(
        harness,
        delivery::check,
        receipts::check,
        dead_lettering::check,
        waiting::check,
        fairness::check
    );
}
