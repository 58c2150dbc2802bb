//! Messages on the control socket: one JSON object per line, one response per request.

use serde::{Deserialize, Serialize};

/// A request to a running worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub(super) enum Request {
    /// Stop receiving messages.
    Pause,
    /// Resume receiving messages.
    Resume,
    /// Replace the log filter.
    LogLevel {
        /// A level or a filter of targets.
        filter: String,
    },
}

/// The response to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub(super) enum Reply {
    /// The request was carried out.
    Done,
    /// The request cannot be carried out.
    Refused {
        /// Human-readable reason.
        reason: String,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_are_stable_json() {
        let filter = "debug".to_owned();
        for (request, json) in [
            (Request::Pause, r#"{"command":"pause"}"#),
            (Request::Resume, r#"{"command":"resume"}"#),
            (
                Request::LogLevel { filter },
                r#"{"command":"log_level","filter":"debug"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), json);
            assert_eq!(serde_json::from_str::<Request>(json).unwrap(), request);
        }
        assert_eq!(
            serde_json::to_string(&Reply::Done).unwrap(),
            r#"{"result":"done"}"#
        );
    }
}
