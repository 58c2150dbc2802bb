//! Reasons why a decode ends early.

use crate::compress::CompressError;
use crate::extract::{Decoded, ExtractError, Surprise};

/// Reason why a decode ends early.
#[derive(Debug)]
pub(crate) enum Interruption<E> {
    /// Another decode is needed.
    Surprise(Surprise),
    /// The decode failed.
    Error(E),
}

impl<E> Interruption<E> {
    /// Splits the outcome of a decode into a result and an error, as the ports return them.
    pub(crate) fn split<T>(outcome: Result<T, Self>) -> Result<Decoded<T>, E> {
        match outcome {
            Ok(complete) => Ok(Decoded::Complete(complete)),
            Err(Self::Surprise(surprise)) => Ok(Decoded::Surprise(surprise)),
            Err(Self::Error(error)) => Err(error),
        }
    }

    pub(crate) fn timeline_mismatch(why: impl Into<String>) -> Self {
        Self::Surprise(Surprise::TimelineMismatch(why.into()))
    }

    pub(crate) fn plan_failed(why: impl Into<String>) -> Self {
        Self::Surprise(Surprise::PlanFailed(why.into()))
    }
}

impl From<ExtractError> for Interruption<ExtractError> {
    fn from(error: ExtractError) -> Self {
        Self::Error(error)
    }
}

impl From<ExtractError> for Interruption<CompressError> {
    fn from(error: ExtractError) -> Self {
        Self::Error(error.into())
    }
}

impl From<CompressError> for Interruption<CompressError> {
    fn from(error: CompressError) -> Self {
        Self::Error(error)
    }
}

impl From<Interruption<ExtractError>> for Interruption<CompressError> {
    fn from(interruption: Interruption<ExtractError>) -> Self {
        match interruption {
            Interruption::Surprise(surprise) => Self::Surprise(surprise),
            Interruption::Error(error) => Self::Error(error.into()),
        }
    }
}
