//! Errors of the SQS client, reduced to a code and a message.

use std::error::Error;
use std::fmt;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

/// Maximum length of a code or message in characters.
const MAX_CHARS: usize = 400;

/// The reason why a call or an entry of a batch failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) struct Failure {
    code: String,
    message: String,
}

impl Failure {
    pub(super) fn from_sdk<E, R>(error: &SdkError<E, R>) -> Self
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
            text.take(MAX_CHARS).collect()
        };
        Self {
            code: one_line(code),
            message: one_line(message),
        }
    }

    /// Returns whether a receipt handle is stale or invalid. Servers report this in different ways.
    pub(super) fn is_stale_receipt(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        let names_receipt = ["receipthandle", "receipt handle"]
            .iter()
            .any(|name| message.contains(name));
        self.has_code("MessageNotInflight")
            || self.has_code("ReceiptHandleIsInvalid")
            || (self.has_code("InvalidParameterValue") && names_receipt)
    }

    /// Returns whether the queue will never accept the same message.
    pub(super) fn is_invalid_message(&self) -> bool {
        [
            "BatchRequestTooLong",
            "InvalidMessageContents",
            "InvalidParameterValue",
            "MissingParameter",
        ]
        .iter()
        .any(|code| self.has_code(code))
    }

    /// Returns whether the server did not respond, or reported a temporary failure.
    pub(in crate::queue) fn is_outage(&self) -> bool {
        let busy = [
            "Throttl",
            "ServiceUnavailable",
            "InternalError",
            "InternalFailure",
            "no code",
        ];
        self.code.is_empty() || busy.iter().any(|code| self.has_code(code))
    }

    /// Codes may have prefixes (`AWS.SimpleQueueService.`) and suffixes (`Exception`).
    fn has_code(&self, code: &str) -> bool {
        self.code.contains(code)
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

/// Returns the chain of causes in one line, outermost first.
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
        "no answer".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_errors_for_stale_receipts_are_recognized() {
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
            assert!(Failure::new(code, message).is_stale_receipt(), "{code}");
        }
        let too_long = "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout \
                        for the message is beyond the limit [43200 seconds]";
        assert!(!Failure::new("InvalidParameterValue", too_long).is_stale_receipt());
        assert!(!Failure::new("QueueDoesNotExist", "").is_stale_receipt());
    }

    #[test]
    fn messages_are_one_line_of_limited_length() {
        let text = Failure::new("SignatureDoesNotMatch", &"a\nb".repeat(1000)).to_string();
        assert!(text.len() < 450 && !text.contains('\n'), "{text}");
    }
}
