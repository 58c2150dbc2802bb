//! Errors of a queue.

#[cfg(feature = "sqs")]
use super::sqs::Failure;

/// Errors of a queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The receipt is stale: the message was received again or deleted, or its visibility timeout expired.
    #[error("the receipt of the message is no longer valid")]
    ReceiptLost,
    /// The message exceeds the maximum size of any queue.
    #[error("the message has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Size of the message in bytes.
        bytes: usize,
        /// Maximum size in bytes.
        limit: usize,
    },
    /// The queue never accepts this message.
    #[error("the queue does not accept the message: {0}")]
    Refused(String),
    /// The queue is unreachable or returned an unexpected answer.
    #[error("failed to {action} the queue '{queue}'")]
    Unavailable {
        /// The action that failed.
        action: &'static str,
        /// Name of the queue.
        queue: String,
        /// Error of the client.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl QueueError {
    /// Returns the error of a client that failed to `action` a queue.
    #[cfg(any(feature = "postgres", feature = "sqlite", feature = "sqs"))]
    pub(super) fn unavailable(
        action: &'static str,
        queue: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable {
            action,
            queue: queue.to_owned(),
            source: source.into(),
        }
    }

    /// Returns whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Returns whether the server is silent, unreachable or busy, which may be temporary. A missing queue or
    /// denied access is not an outage.
    pub fn is_outage(&self) -> bool {
        match self {
            #[cfg(feature = "sqs")]
            Self::Unavailable { source, .. } => {
                source.downcast_ref::<Failure>().is_none_or(Failure::is_outage)
            }
            #[cfg(not(feature = "sqs"))]
            Self::Unavailable { .. } => true,
            _ => false,
        }
    }
}
