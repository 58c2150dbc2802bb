//! Requests about several messages.

use super::failure::Failure;

/// Maximum number of entries per request.
pub(super) const BATCH: usize = 10;

/// The answers of a request, one per entry, in order.
pub(super) type Answers = Vec<Result<(), Failure>>;
