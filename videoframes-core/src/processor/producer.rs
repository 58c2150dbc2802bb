//! The trace context that the producer of a message has set.

use serde::Deserialize;

use crate::queue::Message;
use crate::trace::TraceContext;

/// Returns the trace context of a message: from its attributes, else from the X-Ray header, else from its body.
pub(super) fn trace_context(message: &Message) -> Option<TraceContext> {
    let attribute = |name: &str| message.attributes.get(name).map(String::as_str);
    attribute(TraceContext::TRACEPARENT)
        .and_then(|parent| TraceContext::new(parent, attribute(TraceContext::TRACESTATE)))
        .or_else(|| TraceContext::from_aws_header(message.aws_trace_header.as_deref()?))
        .or_else(|| serde_json::from_str::<Body>(&message.body).ok()?.trace_context())
}

/// The parts of a body that may hold a trace context: a CloudEvent with the extension for distributed tracing, or a
/// message from SNS with attributes.
#[derive(Deserialize)]
struct Body {
    traceparent: Option<String>,
    tracestate: Option<String>,
    #[serde(rename = "MessageAttributes")]
    sns: Option<Attributes>,
}

#[derive(Deserialize)]
struct Attributes {
    traceparent: Option<Attribute>,
    tracestate: Option<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "Value")]
    value: String,
}

impl Body {
    fn trace_context(self) -> Option<TraceContext> {
        let value = |attribute: Option<Attribute>| attribute.map(|attribute| attribute.value);
        let (parent, state) = match (self.traceparent, self.sns) {
            (Some(parent), _) => (parent, self.tracestate),
            (None, Some(sns)) => (value(sns.traceparent)?, value(sns.tracestate)),
            (None, None) => return None,
        };
        TraceContext::new(&parent, state.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::queue::ReceiptHandle;

    const HEADER: &str = "Root=1-00000000-000000000000000000000002;Parent=0000000000000002;Sampled=1";

    fn traceparent(id: u32) -> String {
        format!("00-{id:032}-{id:016}-01")
    }

    #[test]
    fn attributes_precede_the_header_and_the_body() {
        let body = format!(
            r#"{{"version":1,"job_id":"7","traceparent":"{}"}}"#,
            traceparent(3)
        );
        let sns = format!(
            r#"{{"Type":"Notification","Message":"","MessageAttributes":{{
                "traceparent":{{"Type":"String","Value":"{}"}},"n":{{"Type":"Number","Value":"1"}}}}}}"#,
            traceparent(4)
        );
        let invalid = "00-x";
        let valid = traceparent(1);
        for (attribute, header, body, expected) in [
            (Some(valid.as_str()), Some(HEADER), body.as_str(), Some(1)),
            (None, Some(HEADER), &body, Some(2)),
            (None, None, &body, Some(3)),
            (None, None, &sns, Some(4)),
            (Some(invalid), None, &body, Some(3)),
            (Some(invalid), Some("Root=x"), "frames, please", None),
            (None, None, r#"{"traceparent":7}"#, None),
            (None, None, "[]", None),
        ] {
            let mut message = Message::new("id", body, ReceiptHandle::new(""), 1);
            message.aws_trace_header = header.map(str::to_owned);
            message.attributes = attribute
                .map(|value| (TraceContext::TRACEPARENT.to_owned(), value.to_owned()))
                .into_iter()
                .collect::<BTreeMap<_, _>>();
            let found = trace_context(&message);
            let expected = expected.map(traceparent);
            assert_eq!(
                found.as_ref().map(TraceContext::traceparent),
                expected.as_deref(),
                "{message:?}"
            );
        }
    }
}
