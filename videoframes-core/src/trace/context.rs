//! The trace context of a message or a job.

use std::fmt;
use std::str::FromStr;

/// Length of a `traceparent` of version 00.
const TRACEPARENT: usize = 55;
/// Maximum length of a `tracestate`, as recommended.
const TRACESTATE: usize = 512;

/// A W3C trace context: the identifiers of a trace and of one of its spans.
///
/// Displayed and parsed as one line: `traceparent`, then a space and `tracestate` if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// `traceparent` of version 00, in lower case.
    traceparent: String,
    tracestate: Option<String>,
}

impl TraceContext {
    /// Name of the message attribute and of the CloudEvents extension for [`TraceContext::traceparent`].
    pub const TRACEPARENT: &str = "traceparent";
    /// Name of the message attribute and of the CloudEvents extension for [`TraceContext::tracestate`].
    pub const TRACESTATE: &str = "tracestate";

    /// Returns the context of a `traceparent` and a `tracestate`, or `None` if the `traceparent` is invalid. Ignores
    /// an invalid `tracestate`.
    #[must_use]
    pub fn new(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let (version, rest) = traceparent.split_once('-')?;
        // Later versions may append fields.
        let known = traceparent.len() == TRACEPARENT;
        let longer = version != "00" && traceparent.as_bytes().get(TRACEPARENT) == Some(&b'-');
        if !is_hex(version, 2) || version == "ff" || !(known || longer) {
            return None;
        }
        let mut fields = rest.split('-');
        let (trace_id, span_id, flags) = (fields.next()?, fields.next()?, fields.next()?);
        let context = Self::from_parts(trace_id, span_id, flags)?;
        let tracestate = tracestate.filter(|state| is_tracestate(state));
        Some(Self {
            tracestate: tracestate.map(str::to_owned),
            ..context
        })
    }

    /// Returns the context of an X-Ray trace header, such as the system attribute `AWSTraceHeader` of SQS, or `None` if
    /// the header names no span.
    #[must_use]
    pub fn from_aws_header(header: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut fields = header.split(';').filter_map(|field| field.trim().split_once('='));
            fields.find_map(|(key, value)| (key == name).then_some(value))
        };
        // A root is "1-", the time in 8 digits, "-" and 24 random digits.
        let (time, random) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        if !is_hex(time, 8) {
            return None;
        }
        let flags = match field("Sampled") {
            Some("1") => "01",
            _ => "00",
        };
        Self::from_parts(&format!("{time}{random}"), field("Parent")?, flags)
    }

    fn from_parts(trace_id: &str, span_id: &str, flags: &str) -> Option<Self> {
        let is_id = |id: &str, digits| is_hex(id, digits) && id.bytes().any(|digit| digit != b'0');
        (is_id(trace_id, 32) && is_id(span_id, 16) && is_hex(flags, 2)).then(|| Self {
            traceparent: format!("00-{trace_id}-{span_id}-{flags}"),
            tracestate: None,
        })
    }

    /// Returns the value of the header `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// Returns the value of the header `tracestate`, if any.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// Returns the identifier of the trace: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.traceparent[3..35]
    }

    /// Returns the identifier of the span: 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        &self.traceparent[36..52]
    }

    /// Returns whether the producer records the trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        u8::from_str_radix(&self.traceparent[53..], 16).is_ok_and(|flags| flags & 1 == 1)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.traceparent)?;
        match &self.tracestate {
            Some(state) => write!(f, " {state}"),
            None => Ok(()),
        }
    }
}

/// Error for a text that is not a [`TraceContext`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C trace context")]
pub struct ParseTraceContextError;

impl FromStr for TraceContext {
    type Err = ParseTraceContextError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let (traceparent, tracestate) = match line.split_once(' ') {
            Some((traceparent, tracestate)) => (traceparent, Some(tracestate)),
            None => (line, None),
        };
        Self::new(traceparent, tracestate).ok_or(ParseTraceContextError)
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_tracestate(state: &str) -> bool {
    (1..=TRACESTATE).contains(&state.len()) && state.bytes().all(|b| matches!(b, b' '..=b'~'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn valid_contexts_round_trip() {
        for (traceparent, tracestate, line) in [
            (VALID, None, VALID.to_owned()),
            (
                VALID,
                Some("rojo=00f067aa0ba902b7"),
                format!("{VALID} rojo=00f067aa0ba902b7"),
            ),
            // A later version is read as version 00.
            (&*format!("cc{}-x", &VALID[2..]), None, VALID.to_owned()),
            (VALID, Some("a\nb"), VALID.to_owned()),
            (VALID, Some(&"x".repeat(513)), VALID.to_owned()),
        ] {
            let context = TraceContext::new(traceparent, tracestate).unwrap();
            assert_eq!(context.to_string(), line);
            assert_eq!(line.parse(), Ok(context));
        }
        let context = TraceContext::new(VALID, None).unwrap();
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id(), "00f067aa0ba902b7");
        assert!(context.is_sampled());
    }

    #[test]
    fn invalid_contexts_are_rejected() {
        for traceparent in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\u{b9}",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::new(traceparent, None), None, "{traceparent}");
        }
    }

    #[test]
    fn headers_of_x_ray_are_contexts() {
        let root = "1-5759e988-bd862e3fe1be46a994272793";
        for (header, expected) in [
            (
                format!("Root={root};Parent=53995c3f42cd8ad8;Sampled=1"),
                Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"),
            ),
            (
                format!(
                    "Self=1-67891234-12456789abcdef012345678;Root={root}; Parent=53995c3f42cd8ad8 ;Sampled=0"
                ),
                Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00"),
            ),
            (
                format!("Sampled=0; Root={root};Parent=53995c3f42cd8ad8;Lineage=a87bd80c:0"),
                Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00"),
            ),
            (
                format!("Root={root};Parent=53995c3f42cd8ad8"),
                Some("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00"),
            ),
            (format!("Root={root}"), None),
            (
                "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8".to_owned(),
                None,
            ),
            (
                "Root=1-5759e98-8bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8".to_owned(),
                None,
            ),
            (String::new(), None),
        ] {
            let context = TraceContext::from_aws_header(&header);
            assert_eq!(
                context.as_ref().map(TraceContext::traceparent),
                expected,
                "{header}"
            );
        }
    }
}
