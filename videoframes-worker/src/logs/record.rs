//! Collects the fields of a log line from an event and its spans.

use std::error::Error;
use std::fmt::{self, Write};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use videoframes_core::error::chain;

/// Fields of a span or an event, by name. A later value replaces an earlier value of the same name.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Fields(pub(super) Map<String, Value>);

/// The name of the field that holds the text of an event.
const MESSAGE: &str = "message";

/// A log line before its formatting.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) level: Level,
    pub(crate) target: String,
    pub(crate) message: String,
    pub(crate) fields: Map<String, Value>,
}

impl Record {
    /// Collects the fields from the outermost span to the event.
    pub(crate) fn new<S>(event: &Event<'_>, context: &Context<'_, S>) -> Self
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut fields = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(Fields(of_span)) = span.extensions().get::<Fields>() {
                fields.0.extend(of_span.clone());
            }
        }
        event.record(&mut fields);
        let message = match fields.0.remove(MESSAGE) {
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        Self {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            message,
            fields: fields.0,
        }
    }
}

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        // Fields such as `otel.kind` are instructions for the export of spans.
        if field.name().starts_with("otel.") {
            return;
        }
        // Log statements write `error` for `error.message`.
        let name = match field.name() {
            "error" => "error.message",
            name => name.strip_prefix("r#").unwrap_or(name),
        };
        self.0.insert(name.replace(".r#", "."), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has neither NaN nor infinities.
        match serde_json::Number::from_f64(value) {
            Some(number) => self.insert(field, number),
            None => self.insert(field, value.to_string()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.insert(field, chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "{value:?}");
        self.insert(field, text);
    }
}
