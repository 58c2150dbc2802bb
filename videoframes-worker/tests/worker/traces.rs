//! Traces from the producer to the notification, received by an OTLP server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use prost::Message as _;
use serde_json::{Value, json};
use videoframes_core::queue::{Message, Queue};

use super::log;
use super::place::{EVERYWHERE, Kind, Place, runtime, wait};
use super::video;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A received span.
#[derive(Debug, Clone)]
struct Span {
    name: String,
    trace: String,
    id: String,
    parent: String,
    links: Vec<String>,
    failed: bool,
    instance: Option<String>,
    job: Option<String>,
}

type Received = Arc<Mutex<Vec<Span>>>;

/// An OTLP server.
struct Collector {
    address: SocketAddr,
    received: Received,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let received = Received::default();
        let app = Router::new()
            .route("/v1/traces", post(receive))
            .with_state(Arc::clone(&received));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            received,
            _runtime: runtime,
        }
    }

    fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", self.address)),
            ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
        ]
    }

    fn spans(&self) -> Vec<Span> {
        self.received.lock().unwrap().clone()
    }

    /// Returns the received spans of a trace once one of them has this name.
    fn trace(&self, trace: &str, name: &str) -> Vec<Span> {
        let of_trace = || self.spans().into_iter().filter(|span| span.trace == trace);
        wait(&format!("a span '{name}'"), || {
            of_trace().any(|span| span.name == name)
        });
        of_trace().collect()
    }
}

async fn receive(State(received): State<Received>, headers: HeaderMap, body: bytes::Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut received = received.lock().unwrap();
    for resource in request.resource_spans {
        let attributes = resource.resource.unwrap().attributes;
        let text = |attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue], name: &str| {
            let found = attributes.iter().find(|attribute| attribute.key == name)?;
            match found.value.clone()?.value? {
                any_value::Value::StringValue(text) => Some(text),
                other => Some(format!("{other:?}")),
            }
        };
        assert_eq!(text(&attributes, "service.name").as_deref(), Some("vf-worker"));
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            received.push(Span {
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
                failed: span
                    .status
                    .is_some_and(|status| status.code() == SpanStatus::Error),
                instance: text(&attributes, "service.instance.id"),
                job: text(&span.attributes, "job.id"),
                name: span.name,
            });
        }
    }
    StatusCode::OK
}

/// Receives the notifications of a place with their attributes.
fn notifications(place: &Place) -> Vec<Message> {
    let take = async |queue: &dyn Queue| {
        let all = queue.receive(10, Duration::from_secs(60), Duration::ZERO).await;
        all.unwrap()
    };
    place.with_notifier(take)
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    match found.as_slice() {
        [span] => span,
        _ => panic!("{} spans '{name}' in {spans:#?}", found.len()),
    }
}

#[test]
fn one_trace_leads_from_submit_over_every_attempt_to_the_notification() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else {
            continue;
        };
        let collector = Collector::start();
        place.stdout(&["migrate", "up"]);
        let mut submit = place.command(&["submit", video::short().to_str().unwrap()]);
        submit.envs(collector.environment());
        submit.env("TRACEPARENT", format!("00-{TRACE}-{PARENT}-01"));
        let submitted = submit.output().unwrap();
        assert!(submitted.status.success(), "{submitted:?}");
        let job = String::from_utf8(submitted.stdout).unwrap().trim().to_owned();

        let environment = collector.environment();
        let environment = environment
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        // The first attempt fails.
        let mut worker = place.worker(
            &[&environment[..], &[("VF_FAULT", "extracting=panic")]].concat(),
            &[],
        );
        place.wait_for(&job, |job| job["status"] == "completed");
        let spans = collector.trace(TRACE, "notify");
        worker.signal("TERM");
        assert!(worker.wait().success(), "{}", worker.log());
        let spans_at_end = collector.trace(TRACE, "notify");
        assert!(spans_at_end.len() >= spans.len());
        let spans = spans_at_end;

        let submit = one(&spans, "submit");
        assert_eq!(submit.parent, PARENT);
        assert_eq!(submit.instance, None);
        let enqueue = one(&spans, "enqueue");
        assert_eq!(enqueue.parent, submit.id);
        let attempts: Vec<_> = spans.iter().filter(|span| span.name == "attempt").collect();
        assert_eq!(attempts.len(), 2, "{spans:#?}");
        for attempt in &attempts {
            assert_eq!(attempt.links, [submit.id.as_str()]);
            let receive = spans.iter().find(|span| span.id == attempt.parent).unwrap();
            assert_eq!((receive.name.as_str(), &receive.parent), ("receive", &enqueue.id));
            let claims = spans
                .iter()
                .filter(|span| span.name == "claim" && span.parent == receive.id);
            assert_eq!(claims.count(), 1);
            assert!(receive.instance.is_some());
        }
        assert_eq!(attempts.iter().filter(|attempt| attempt.failed).count(), 1);
        let stages = |attempt: &Span| -> BTreeSet<&str> {
            let stages = spans.iter().filter(|span| span.parent == attempt.id);
            stages.map(|span| span.name.as_str()).collect()
        };
        for attempt in &attempts {
            assert_eq!(stages(attempt), BTreeSet::from(["commit", "extract", "prepare"]));
        }
        let notify = one(&spans, "notify");
        assert_eq!(notify.parent, submit.id);
        assert_eq!(notify.job.as_deref(), Some(job.as_str()));

        let [notification] = notifications(&place).try_into().unwrap();
        assert_eq!(
            notification.attributes["traceparent"],
            format!("00-{TRACE}-{}-01", notify.id)
        );
        let event: Value = serde_json::from_str(&notification.body).unwrap();
        assert_eq!(event["traceparent"], format!("00-{TRACE}-{}-01", submit.id));

        let lines = log::check(&worker.log());
        let of_job: Vec<_> = lines.iter().filter(|line| line["job.id"] == *job).collect();
        let completed = of_job
            .iter()
            .find(|line| line["message"] == "job completed")
            .unwrap();
        assert!(of_job.iter().all(|line| line["trace_id"] == TRACE), "{of_job:#?}");
        let attempt = attempts.iter().find(|attempt| !attempt.failed).unwrap();
        assert_eq!(completed["span_id"], attempt.id);
        let shown: Value = place.job(&job);
        assert!(shown.get("trace").is_none(), "{shown}");
    }
}

#[test]
fn a_producer_with_only_an_x_ray_header_begins_the_trace_of_the_job() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let collector = Collector::start();
    place.stdout(&["migrate", "up"]);
    place.put("v.mp4", &std::fs::read(video::short()).unwrap());
    let cloud = place.cloud.as_ref().unwrap();
    let header = format!("Root=1-{}-{};Parent={PARENT};Sampled=1", &TRACE[..8], &TRACE[8..]);
    runtime().block_on(async {
        let queues = aws_sdk_sqs::Client::new(&cloud.config(&cloud.sqs).await);
        let header = MessageSystemAttributeValue::builder()
            .data_type("String")
            .string_value(header)
            .build()
            .unwrap();
        queues
            .send_message()
            .queue_url(cloud.queue("input").await.url())
            .message_body(json!({"version": 1, "source": {"key": "v.mp4"}}).to_string())
            .message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, header)
            .send()
            .await
            .unwrap();
    });
    let environment = collector.environment();
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    place.finish_with(&environment);
    let spans = collector.trace(TRACE, "notify");
    assert_eq!(one(&spans, "receive").parent, PARENT);
    assert_eq!(one(&spans, "attempt").links, [PARENT]);
    assert_eq!(one(&spans, "notify").parent, PARENT);
}

#[test]
fn cloud_events_continue_their_trace_even_where_no_spans_are_exported() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    place.put("v.mp4", &std::fs::read(video::short()).unwrap());
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/uploads", "type": "com.example.uploaded",
        "traceparent": traceparent, "tracestate": "vendor=1",
        "data": {"version": 1, "source": {"key": "v.mp4"}},
    });
    place.send(&event.to_string());
    let mut worker = place.worker(&[], &["--until-idle"]);
    assert!(worker.wait().success(), "{}", worker.log());
    let [notification] = notifications(&place).try_into().unwrap();
    assert_eq!(notification.attributes["traceparent"], traceparent);
    assert_eq!(notification.attributes["tracestate"], "vendor=1");
    let sent: Value = serde_json::from_str(&notification.body).unwrap();
    assert_eq!(
        (&sent["traceparent"], &sent["tracestate"]),
        (&json!(traceparent), &json!("vendor=1"))
    );
    let lines = log::check(&worker.log());
    let completed = lines
        .iter()
        .find(|line| line["message"] == "job completed")
        .unwrap();
    assert_eq!(completed["trace_id"], TRACE);
}

#[test]
fn jobs_complete_while_the_collector_is_unreachable_and_one_line_says_so() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let id = place.submit(video::short(), &[]);
    // Nothing listens on port 1.
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("VF_LOG", "warn"),
    ];
    let mut worker = place.worker(&environment, &["--until-idle"]);
    assert!(worker.wait().success(), "{}", worker.log());
    assert_eq!(place.job(&id)["status"], "completed");
    let lines = log::check(&worker.log());
    let failures = lines
        .iter()
        .filter(|line| line["message"].as_str().unwrap().starts_with("failed to export"));
    let failures: Vec<_> = failures.collect();
    assert!((1..=2).contains(&failures.len()), "{failures:#?}");

    let mut command = place.command(&["jobs"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "not a URL");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{text}");
}
