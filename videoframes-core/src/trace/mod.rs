//! Trace contexts, which join the spans of a job's producer, its workers and the recipients of its notifications.
//!
//! Contexts are those of the W3C recommendation "Trace Context". Messages and rows carry contexts whether or not a
//! program exports its spans. With the feature `otel`, the spans of this crate take part in these traces, as soon as
//! the subscriber of the program has the layer of `tracing-opentelemetry`.

mod context;
#[cfg_attr(not(feature = "otel"), path = "no_spans.rs")]
mod spans;

pub use self::context::TraceContext;
pub use self::spans::{add_link, context_of, set_parent};
