//! Options of an SQS queue.

use std::time::Duration;

/// Options of an SQS queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqsOptions {
    /// Name or URL of the dead-letter queue; if absent, dead-lettering fails. The dead-letter queue of a FIFO
    /// queue is a FIFO queue.
    pub dead_letter_queue: Option<String>,
    /// Maximum time of one attempt at a request, in addition to the wait of a receive.
    pub timeout: Duration,
}

impl Default for SqsOptions {
    fn default() -> Self {
        Self {
            dead_letter_queue: None,
            timeout: Duration::from_secs(15),
        }
    }
}
