//! Notifications for clients: one event for each time a job becomes terminal.

use serde_json::json;
use uuid::Uuid;

use super::{JobMessage, OutboxDestination, OutboxMessage, VideoJob};
use crate::clock::UnixMillis;
use crate::trace::TraceContext;

/// Namespace of the identifiers of notifications.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_9a52_93c4_4b0e_8a55_2f0e_77c1_d3aa);

impl OutboxMessage {
    /// Returns the notification of a terminal job: a CloudEvent (version 1.0, JSON).
    ///
    /// Its identifier depends only on job, generation and status, so that recipients can detect a redelivery.
    #[must_use]
    pub fn notification(job: &VideoJob) -> Self {
        let name = format!("{}/{}/{}", job.id, job.generation, job.status);
        let id = Uuid::new_v5(&NAMESPACE, name.as_bytes());
        let mut event = json!({
            "specversion": "1.0",
            "id": id,
            "source": "/videoframes",
            "type": format!("videoframes.job.{}", job.status),
            "subject": job.id,
            "datacontenttype": "application/json",
            "data": {
                "job_id": job.id,
                "status": job.status,
                "generation": job.generation,
                "source": job.source,
                "result": job.result,
                "error": job.error().map(|error| json!({"code": error.code, "message": error.message})),
                "client_metadata": job.client_metadata,
                "tenant": job.tenant,
                "priority": job.priority,
            },
        });
        if let Some(finished) = job.finished_at {
            event["time"] = json!(finished);
        }
        if let Some(trace) = &job.trace {
            event[TraceContext::TRACEPARENT] = json!(trace.traceparent());
            if let Some(state) = trace.tracestate() {
                event[TraceContext::TRACESTATE] = json!(state);
            }
        }
        Self {
            id,
            destination: OutboxDestination::Notifier,
            job: job.id,
            body: xml_safe(event.to_string()),
            trace: job.trace.clone(),
            tenant: job.tenant.clone(),
            priority: job.priority,
            redelivery: false,
        }
    }

    /// Returns a message that enqueues a job for the workers, written at `now`.
    #[must_use]
    pub fn to_workers(job: &VideoJob, now: UnixMillis) -> Self {
        Self {
            id: Uuid::now_v7(),
            destination: OutboxDestination::Input,
            job: job.id,
            body: JobMessage::known(job, now),
            trace: job.trace.clone(),
            tenant: job.tenant.clone(),
            priority: job.priority,
            redelivery: false,
        }
    }
}

/// Escapes characters that are legal in JSON but not in XML, which SQS requires.
///
/// Client metadata or keys with such characters must not prevent the delivery of a notification.
fn xml_safe(json: String) -> String {
    if !json.contains(['\u{fffe}', '\u{ffff}']) {
        return json;
    }
    json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_character_can_be_sent_and_round_trips() {
        let all: String = ('\0'..=char::MAX).collect();
        let sent = xml_safe(Value::from(all.as_str()).to_string());
        let legal = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
        assert!(sent.chars().all(legal));
        assert_eq!(serde_json::from_str::<Value>(&sent).ok(), Some(Value::from(all)));
    }
}
