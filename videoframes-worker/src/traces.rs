//! Export of spans by OTLP over HTTP, configured by the standard variables of OpenTelemetry.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;
use videoframes_console::{Failure, exit};
use videoframes_core::error::chain;
use videoframes_core::trace::TraceContext;

use crate::service;

/// Maximum time for the export of the last spans when the program ends.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// Prefixes of the targets of this project.
const OWN: [&str; 2] = ["videoframes", "vf_worker"];

/// The export of spans.
#[derive(Debug)]
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Starts the export if the environment names a collector.
    pub(crate) fn start() -> Result<Self, Failure> {
        if !is_requested(|name| std::env::var(name).ok()) {
            return Ok(Self(None));
        }
        let exporter = OtlpExporter::builder().with_http().build();
        let exporter = exporter.map_err(|error| {
            let text = format!("failed to prepare the export of traces: {}", chain(&error));
            Failure::new(exit::USAGE, text)
                .hint("OTEL_EXPORTER_OTLP_ENDPOINT is the URL of a collector, such as http://localhost:4318")
        })?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Reporting::new(exporter))
            .with_resource(resource())
            .build();
        Ok(Self(Some(provider)))
    }

    /// Returns whether spans are exported.
    pub(crate) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the layer that exports the spans of this project, with their events.
    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer = self.0.as_ref()?.tracer(service::NAME);
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_context_activation(false)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        // The exporter's own client would otherwise make spans about the export of spans.
        Some(layer.with_filter(filter_fn(is_own).with_max_level_hint(LevelFilter::INFO)))
    }

    /// Exports the last spans.
    pub(crate) fn stop(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(SHUTDOWN)
        {
            tracing::warn!(error = chain(&error), "failed to export the last spans");
        }
    }
}

/// Returns the identity of this process. The variables of OpenTelemetry take precedence.
fn resource() -> Resource {
    let mut attributes = vec![
        KeyValue::new("service.name", service::NAME),
        KeyValue::new("service.version", service::VERSION),
    ];
    if let Some(instance) = service::instance() {
        attributes.push(KeyValue::new("service.instance.id", instance));
    }
    let resource = Resource::builder_empty()
        .with_attributes(attributes)
        .with_detectors(&[
            Box::new(TelemetryResourceDetector),
            Box::new(EnvResourceDetector::new()),
        ]);
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => resource.with_service_name(name).build(),
        _ => resource.build(),
    }
}

/// Returns the trace context of the program that started this one.
pub(crate) fn parent() -> Option<TraceContext> {
    let state = std::env::var("TRACESTATE").ok();
    TraceContext::new(&std::env::var("TRACEPARENT").ok()?, state.as_deref())
}

/// Returns whether a span or an event is of this project, and not below the level INFO.
pub(crate) fn is_own(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= LevelFilter::INFO && OWN.iter().any(|prefix| metadata.target().starts_with(prefix))
}

fn is_requested(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is = |name, expected: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case(expected));
    let endpoints = [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ];
    let has_endpoint = endpoints
        .iter()
        .any(|name| variable(name).is_some_and(|url| !url.is_empty()));
    has_endpoint && !is("OTEL_SDK_DISABLED", "true") && !is("OTEL_TRACES_EXPORTER", "none")
}

/// An exporter that logs when exports begin to fail and when they succeed again.
#[derive(Debug)]
struct Reporting<E> {
    exporter: E,
    failing: AtomicBool,
}

impl<E> Reporting<E> {
    fn new(exporter: E) -> Self {
        Self {
            exporter,
            failing: AtomicBool::new(false),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        let failed_before = self.failing.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Err(error) if !failed_before => {
                tracing::warn!(
                    error = chain(error),
                    spans,
                    "failed to export spans; later failures are not logged"
                );
            }
            Ok(()) if failed_before => tracing::info!(spans, "exported spans again"),
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn traces_are_exported_only_to_a_named_collector() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
        let traces = (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://localhost:4318/v1/traces",
        );
        let cases: [(&[(&str, &str)], bool); 7] = [
            (&[], false),
            (&[endpoint], true),
            (&[traces], true),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], false),
            (&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")], false),
            (&[endpoint, ("OTEL_SDK_DISABLED", "false")], true),
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], false),
        ];
        for (variables, expected) in cases {
            let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
            let variable = |name: &str| variables.get(name).map(|value| (*value).to_owned());
            assert_eq!(is_requested(variable), expected, "{variables:?}");
        }
    }
}
