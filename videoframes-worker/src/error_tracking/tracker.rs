//! The client of the error tracker, as a layer of the subscriber.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sentry::protocol::{Event as SentryEvent, Exception};
use sentry::types::Dsn;
use sentry::{Client, ClientOptions, Level};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use videoframes_console::{Failure, exit};

use super::SENTRY_DSN;
use super::report::Report;
use crate::logs::Record;
use crate::service;
use crate::traces::is_own;

/// Maximum time for the last reports when the program ends.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Reports errors to the project in `SENTRY_DSN`.
pub(crate) struct ErrorTracker(Option<Arc<Client>>);

impl ErrorTracker {
    /// Starts the client if the environment names a project.
    pub(crate) fn start() -> Result<Self, Failure> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(dsn) = variable(SENTRY_DSN) else {
            return Ok(Self(None));
        };
        let dsn: Dsn = dsn.parse().map_err(|error| {
            let text = format!("{SENTRY_DSN} is invalid: {error}");
            Failure::new(exit::USAGE, text)
                .hint("use the DSN of a project, https://KEY@HOST/PROJECT, or unset SENTRY_DSN")
        })?;
        let mut options = ClientOptions::new();
        options.dsn = Some(dsn);
        // The default integrations send the host name and more of the machine.
        options.default_integrations = false;
        options.release = Some(format!("{}@{}", service::NAME, service::VERSION).into());
        options.environment = variable("SENTRY_ENVIRONMENT").map(Into::into);
        options.server_name = service::instance().map(Into::into);
        let client = Client::from_config(sentry::apply_defaults(options));
        Ok(Self(Some(Arc::new(client))))
    }

    /// Returns the layer that reports events.
    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let layer = TrackerLayer(Arc::clone(self.0.as_ref()?));
        Some(layer.with_filter(filter_fn(is_own).with_max_level_hint(LevelFilter::INFO)))
    }

    /// Sends the last reports.
    pub(crate) fn stop(self) {
        if let Some(client) = self.0
            && !client.close(Some(SHUTDOWN))
        {
            tracing::warn!("failed to send the last error reports in time");
        }
    }
}

struct TrackerLayer(Arc<Client>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TrackerLayer {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if let Some(report) = Report::of(&Record::new(event, &context)) {
            self.0.capture_event(to_event(report), None);
        }
    }
}

fn to_event(report: Report) -> SentryEvent<'static> {
    let mut event = SentryEvent::new();
    event.level = if report.is_error {
        Level::Error
    } else {
        Level::Warning
    };
    event.fingerprint = vec![report.kind.clone().into(), report.place.clone().into()].into();
    event.logger = Some(report.place.clone());
    event.culprit = Some(report.place);
    event.logentry = Some(sentry::protocol::LogEntry {
        message: report.message,
        ..Default::default()
    });
    event.exception = vec![Exception {
        ty: report.kind,
        value: report.detail,
        ..Default::default()
    }]
    .into();
    event.tags = report.tags.into_iter().collect::<BTreeMap<_, _>>();
    event
}
