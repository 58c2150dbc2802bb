//! Why a request is invalid.

/// A query, header or body that is missing or invalid. The text is for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidRequest(pub(crate) String);

impl InvalidRequest {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self(detail.into())
    }
}
