//! What the client says of a call that failed, in words that can be kept and shown.

use std::error::Error;
use std::fmt;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use crate::queue::QueueError;

/// Longest text of a failure, in characters.
const LONGEST: usize = 400;

/// Why a call, or one entry of a batch, failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) struct Failure {
    code: String,
    message: String,
}

impl Failure {
    pub(super) fn of<E, R>(error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: fmt::Debug,
    {
        match error.as_service_error() {
            Some(error) => Self::new(
                error.code().unwrap_or("no code"),
                error.message().unwrap_or_default(),
            ),
            None => Self::new("", &chain(error.source())),
        }
    }

    pub(super) fn new(code: &str, message: &str) -> Self {
        let one_line = |text: &str| -> String {
            let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
            text.take(LONGEST).collect()
        };
        Self {
            code: one_line(code),
            message: one_line(message),
        }
    }

    /// Whether it says that a receipt handle is no longer, or never was, that of a message. Servers say so
    /// in different ways.
    pub(super) fn is_of_receipt(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        let names_receipt = ["receipthandle", "receipt handle"]
            .iter()
            .any(|name| message.contains(name));
        self.is("MessageNotInflight")
            || self.is("ReceiptHandleIsInvalid")
            || (self.is("InvalidParameterValue") && names_receipt)
    }

    /// Whether the same message will never be taken.
    pub(super) fn is_of_message(&self) -> bool {
        [
            "BatchRequestTooLong",
            "InvalidMessageContents",
            "InvalidParameterValue",
            "MissingParameter",
        ]
        .iter()
        .any(|code| self.is(code))
    }

    /// Whether the server did not answer, or answered that it cannot for now.
    pub(in crate::queue) fn is_outage(&self) -> bool {
        let busy = [
            "Throttl",
            "ServiceUnavailable",
            "InternalError",
            "InternalFailure",
            "no code",
        ];
        self.code.is_empty() || busy.iter().any(|code| self.is(code))
    }

    /// Codes come with prefixes (`AWS.SimpleQueueService.`) and suffixes (`Exception`), or without.
    fn is(&self, code: &str) -> bool {
        self.code.contains(code)
    }

    pub(super) fn unavailable(self, action: &'static str, queue: &str) -> QueueError {
        QueueError::Unavailable {
            action,
            queue: queue.to_owned(),
            source: Box::new(self),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", message) => f.write_str(message),
            (code, "") => f.write_str(code),
            (code, message) => write!(f, "{code}: {message}"),
        }
    }
}

impl Error for Failure {}

/// The causes of an error in one line, from the outermost.
fn chain(mut error: Option<&dyn Error>) -> String {
    let mut text = String::new();
    while let Some(cause) = error {
        let message = cause.to_string();
        if !text.ends_with(&message) {
            let separator = if text.is_empty() { "" } else { ": " };
            text = format!("{text}{separator}{message}");
        }
        error = cause.source();
    }
    if text.is_empty() {
        "it does not answer".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_say_that_a_receipt_is_stale_is_understood() {
        for (code, message) in [
            ("ReceiptHandleIsInvalid", "The input receipt handle is invalid."),
            ("AWS.SimpleQueueService.MessageNotInflight", ""),
            ("com.amazonaws.sqs#MessageNotInflight", ""),
            (
                "InvalidParameterValue",
                "Value AQEB for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not \
                 available for visibility timeout change.",
            ),
            (
                "InvalidParameterValueException",
                "Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
            ),
        ] {
            assert!(Failure::new(code, message).is_of_receipt(), "{code}");
        }
        let too_long = "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout \
                        for the message is beyond the limit [43200 seconds]";
        assert!(!Failure::new("InvalidParameterValue", too_long).is_of_receipt());
        assert!(!Failure::new("QueueDoesNotExist", "").is_of_receipt());
    }

    #[test]
    fn texts_are_one_bounded_line() {
        let text = Failure::new("SignatureDoesNotMatch", &"a\nb".repeat(1000)).to_string();
        assert!(text.len() < 450 && !text.contains('\n'), "{text}");
    }
}
