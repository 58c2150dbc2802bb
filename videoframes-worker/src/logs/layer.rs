//! Formats events and writes them to stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use opentelemetry::trace::TraceContextExt;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::dispatcher::WeakDispatch;
use tracing::span::{Attributes, Id, Record as SpanUpdate};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::record::{Fields, Record};
use super::{json, panics, text};
use crate::error_tracking::ErrorTracker;
use crate::traces::{Traces, is_own};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

const RFC3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
const TIME_OF_DAY: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second]");
/// Maximum columns of a line on a terminal.
const COLUMNS: usize = 120;
/// Fields of lines in JSON.
const TRACE_ID: &str = "trace_id";
const SPAN_ID: &str = "span_id";

/// The filter of log levels of a running process.
#[derive(Debug, Clone)]
pub(crate) struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Replaces the filter. Fails if the text is not a valid filter.
    pub(crate) fn set(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::builder()
            .parse(with_clients(filter))
            .map_err(|error| format!("'{filter}' is not a log filter: {error}"))?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}

/// Starts logging to stderr, including panics, and the export of traces and errors. `filter` is a level or a filter of targets.
pub(crate) fn start(filter: &str, format: LogFormat, exports: (&Traces, &ErrorTracker)) -> LogFilter {
    let (traces, errors) = exports;
    let filter = EnvFilter::builder().parse_lossy(with_clients(filter));
    let (filter, handle) = reload::Layer::new(filter);
    let layer = LogLayer {
        format,
        columns: io::stderr().is_terminal().then(columns),
        dispatch: traces.is_enabled().then(OnceLock::new),
    };
    // Lines of all levels have the fields of their spans.
    let spans = filter_fn(|metadata| metadata.is_span() && is_own(metadata));
    let spans = spans.with_max_level_hint(LevelFilter::INFO);
    tracing_subscriber::registry()
        .with(layer.with_filter(filter.or(spans)))
        .with(traces.layer())
        .with(errors.layer())
        .init();
    panics::log_panics();
    LogFilter(handle)
}

/// Adds limits for the log levels of the database clients: callers already log their errors.
fn with_clients(filter: &str) -> String {
    format!("{filter},sqlx=error,sea_orm=warn")
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    let columns = size.map_or(COLUMNS, |size| usize::from(size.ws_col));
    if columns == 0 {
        COLUMNS
    } else {
        columns.min(COLUMNS)
    }
}

struct LogLayer {
    format: LogFormat,
    /// Width of the terminal, if stderr is a terminal.
    columns: Option<usize>,
    /// The dispatcher of this layer, if spans are exported.
    dispatch: Option<OnceLock<WeakDispatch>>,
}

impl LogLayer {
    /// Returns the identifiers of the trace and the exported span of an event.
    fn trace_of<S>(&self, event: &Event<'_>, context: &Context<'_, S>) -> Option<(String, String)>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let dispatch = self.dispatch.as_ref()?.get()?.upgrade()?;
        let span = context.event_span(event)?.id();
        let context = tracing_opentelemetry::get_otel_context(&span, &dispatch)?;
        let span = context.span();
        let span = span.span_context();
        span.is_valid()
            .then(|| (span.trace_id().to_string(), span.span_id().to_string()))
    }

    fn line(&self, mut record: Record) -> String {
        if self.format == LogFormat::Text {
            record.fields.remove(TRACE_ID);
            record.fields.remove(SPAN_ID);
        }
        let now = OffsetDateTime::now_utc();
        // Formatting cannot fail: every time has all components of both formats.
        let format = |format| now.format(format).unwrap_or_default();
        match (self.format, self.columns) {
            (LogFormat::Json, _) => json::line(record, format(RFC3339)),
            (LogFormat::Text, None) => text::line(&record, &format(RFC3339), None),
            (LogFormat::Text, width) => text::line(&record, &format(TIME_OF_DAY), width),
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        if let Some(own) = &self.dispatch {
            // A layer is registered once.
            let _ = own.set(dispatch.downgrade());
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, update: &SpanUpdate<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            update.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut record = Record::new(event, &context);
        if let Some((trace_id, span_id)) = self.trace_of(event, &context) {
            record.fields.insert(TRACE_ID.to_owned(), trace_id.into());
            record.fields.insert(SPAN_ID.to_owned(), span_id.into());
        }
        let mut line = self.line(record);
        line.push('\n');
        // Errors are ignored: a worker must continue after the reader of its log has closed the pipe.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}
