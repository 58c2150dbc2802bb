//! Spans that take part in the traces of OpenTelemetry.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::TraceContext;

/// Makes a new span the child of the span of `parent`. Has an effect only before the first event in the new span.
pub fn set_parent(span: &Span, parent: &TraceContext) {
    if let Some(parent) = remote(parent) {
        // Fails if no layer exports spans, or if this span is filtered.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// Links a span to the span of `other`.
pub fn add_link(span: &Span, other: &TraceContext) {
    if let Some(other) = remote(other) {
        span.add_link(other);
    }
}

/// Returns the context of a span; `None` if no layer exports the span.
#[must_use]
pub fn context_of(span: &Span) -> Option<TraceContext> {
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    let traceparent = format!(
        "00-{}-{}-{:02x}",
        context.trace_id(),
        context.span_id(),
        context.trace_flags()
    );
    // Without a span, the identifiers are zero.
    TraceContext::new(&traceparent, Some(&context.trace_state().header()))
}

fn remote(context: &TraceContext) -> Option<SpanContext> {
    let flags = if context.is_sampled() {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::default()
    };
    let state = context
        .tracestate()
        .and_then(|state| state.parse::<TraceState>().ok());
    Some(SpanContext::new(
        TraceId::from_hex(context.trace_id()).ok()?,
        SpanId::from_hex(context.span_id()).ok()?,
        flags,
        true,
        state.unwrap_or_default(),
    ))
}
