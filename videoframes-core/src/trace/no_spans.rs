//! Spans without the feature `otel`: contexts are passed on unchanged.

use tracing::Span;

use super::TraceContext;

/// Does nothing without the feature `otel`.
pub fn set_parent(_span: &Span, _parent: &TraceContext) {}

/// Does nothing without the feature `otel`.
pub fn add_link(_span: &Span, _other: &TraceContext) {}

/// Returns `None` without the feature `otel`.
#[must_use]
pub fn context_of(_span: &Span) -> Option<TraceContext> {
    None
}
