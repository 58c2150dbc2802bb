//! Classifies responses of the store, with messages that contain no address, signature or key.

use std::error::Error;
use std::io;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::storage::StorageError;

/// Maximum length of a message from the store in characters.
const TEXT: usize = 300;

/// An unsuccessful response.
#[derive(Debug)]
pub(super) struct Refusal {
    status: Option<u16>,
    code: Option<String>,
    error: io::Error,
}

impl Refusal {
    pub(super) fn from_sdk<E>(error: SdkError<E, HttpResponse>, bucket: &str) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let response = error.raw_response();
        let status = response.map(|response| response.status().as_u16());
        let region = response.and_then(|response| response.headers().get("x-amz-bucket-region"));
        let service = error.as_service_error();
        let code = service.and_then(|error| error.code()).map(bounded);
        let response = Response {
            status,
            code: code.as_deref(),
            message: service.and_then(|error| error.message()),
            region,
            bucket,
        };
        let error = match &error {
            SdkError::ServiceError(_) => response.error(),
            SdkError::TimeoutError(_) => {
                io::Error::new(io::ErrorKind::TimedOut, "the store did not respond in time")
            }
            error => io::Error::other(causes(error)),
        };
        Self { status, code, error }
    }

    /// Returns whether a precondition of the request failed.
    pub(super) fn is_unmet(&self) -> bool {
        self.status == Some(412) || self.has_code("PreconditionFailed")
    }

    /// Returns whether the request conflicted with another write.
    pub(super) fn is_conflict(&self) -> bool {
        self.has_code("ConditionalRequestConflict") || self.status == Some(409)
    }

    /// Returns whether the object or version does not exist, according to the response.
    pub(super) fn is_missing(&self) -> bool {
        let unexplained = self.code.is_none() && matches!(self.status, Some(404 | 405));
        // The status for a delete marker is 405.
        unexplained
            || ["NoSuchKey", "NoSuchVersion", "NotFound", "MethodNotAllowed"]
                .iter()
                .any(|code| self.has_code(code))
    }

    /// Returns whether the upload does not exist.
    pub(super) fn is_missing_upload(&self) -> bool {
        self.has_code("NoSuchUpload")
    }

    /// Returns whether the requested range starts at or after the end of the object.
    pub(super) fn is_past_end(&self) -> bool {
        self.status == Some(416)
    }

    /// Returns whether the response has no reason, as for HEAD requests.
    pub(super) fn is_unexplained(&self) -> bool {
        let code = self.code.as_deref();
        matches!(self.status, Some(400..=405))
            && matches!(
                code,
                None | Some("NotFound" | "Forbidden" | "BadRequest" | "Bad Request")
            )
    }

    fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Returns whether the store denies access to this object only. Credentials, clock, region, bucket and
    /// load concern every object.
    fn concerns_object(&self) -> bool {
        let cause = Cause::from_code(self.code.as_deref().unwrap_or_default(), self.status);
        matches!(cause, Cause::Denied | Cause::Other)
            && matches!(self.status, Some(400..=499))
            && !matches!(self.status, Some(408 | 409 | 425 | 429))
            && !self.code.as_deref().is_some_and(is_overload)
    }

    /// Returns the error for a request that reads an object.
    pub(super) fn into_error(self, action: &'static str, name: &str) -> StorageError {
        if self.is_missing() {
            return StorageError::NotFound(name.to_owned());
        }
        if self.concerns_object() {
            return StorageError::Refused {
                action,
                name: name.to_owned(),
                source: self.error,
            };
        }
        failure(action, name, self.error)
    }

    /// Returns the error for a request where the object cannot be missing.
    pub(super) fn into_failure(self, action: &'static str, name: &str) -> StorageError {
        failure(action, name, self.error)
    }
}

pub(super) fn failure(action: &'static str, name: &str, source: io::Error) -> StorageError {
    StorageError::Io {
        action,
        name: name.to_owned(),
        source,
    }
}

/// The cause of an error, if it concerns more than one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The bucket does not exist.
    Bucket,
    /// The credentials have expired.
    Expired,
    /// The credentials are wrong.
    Credentials,
    /// The clocks differ.
    Clock,
    /// The bucket is in another region.
    Region,
    /// Access is denied, possibly to one object only.
    Denied,
    /// Any other cause.
    Other,
}

impl Cause {
    fn from_code(code: &str, status: Option<u16>) -> Self {
        match (code, status) {
            ("NoSuchBucket", _) => Self::Bucket,
            ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired", _) => {
                Self::Expired
            }
            (
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "InvalidToken"
                | "InvalidClientTokenId"
                | "UnrecognizedClientException"
                | "AuthFailure"
                | "AccountProblem"
                | "NotSignedUp",
                _,
            ) => Self::Credentials,
            ("RequestTimeTooSkewed", _) => Self::Clock,
            (
                "PermanentRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException"
                | "MovedPermanently",
                _,
            )
            | (_, Some(301)) => Self::Region,
            ("AccessDenied" | "Forbidden", _) | ("", Some(403)) => Self::Denied,
            _ => Self::Other,
        }
    }
}

/// Returns whether a code means that the store is overloaded, which some stores report with status 400.
fn is_overload(code: &str) -> bool {
    let parts = [
        "SlowDown",
        "Throttl",
        "RequestTimeout",
        "TooManyRequests",
        "LimitExceeded",
    ];
    parts.iter().any(|part| code.contains(part))
}

/// The relevant parts of a response.
struct Response<'a> {
    status: Option<u16>,
    code: Option<&'a str>,
    message: Option<&'a str>,
    region: Option<&'a str>,
    bucket: &'a str,
}

impl Response<'_> {
    fn error(&self) -> io::Error {
        let denied = |text: String| io::Error::new(io::ErrorKind::PermissionDenied, text);
        let (bucket, code) = (self.bucket, self.code.unwrap_or_default());
        match Cause::from_code(code, self.status) {
            Cause::Bucket => {
                let text = format!("the bucket '{bucket}' does not exist");
                io::Error::new(io::ErrorKind::NotFound, text)
            }
            Cause::Expired => denied("the credentials have expired".to_owned()),
            Cause::Credentials => denied(format!("the credentials are wrong ({code})")),
            Cause::Clock => {
                denied("the clock of this machine differs too much from the store's".to_owned())
            }
            Cause::Region => {
                let region = self.region.map(|region| format!(" ({})", bounded(region)));
                let region = region
                    .or_else(|| self.message.map(|message| format!(": {}", bounded(message))))
                    .unwrap_or_default();
                io::Error::other(format!(
                    "the bucket '{bucket}' is in another region{region}"
                ))
            }
            Cause::Denied => denied(
                "access is denied; without permission to list the bucket, this is also the answer for a missing object"
                    .to_owned(),
            ),
            Cause::Other => {
                let mut text = "the store returned".to_owned();
                for word in [self.status.map(|status| status.to_string()), Some(code.to_owned())] {
                    if let Some(word) = word.filter(|word| !word.is_empty()) {
                        text = format!("{text} {word}");
                    }
                }
                match self.message {
                    Some(message) => io::Error::other(format!("{text}: {}", bounded(message))),
                    None => io::Error::other(text),
                }
            }
        }
    }
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let message = error.to_string();
        if !text.ends_with(&message) {
            let between = if text.is_empty() { "" } else { ": " };
            text = format!("{text}{between}{message}");
        }
        next = error.source();
    }
    bounded(&text)
}

fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_of(code: &str, status: u16, message: &str) -> String {
        let response = Response {
            status: Some(status),
            code: (!code.is_empty()).then_some(code),
            message: (!message.is_empty()).then_some(message),
            region: None,
            bucket: "videos",
        };
        response.error().to_string()
    }

    #[test]
    fn errors_that_an_operator_can_fix_have_clear_messages() {
        assert_eq!(
            message_of("NoSuchBucket", 404, ""),
            "the bucket 'videos' does not exist"
        );
        assert_eq!(
            message_of("ExpiredToken", 400, ""),
            "the credentials have expired"
        );
        assert_eq!(
            message_of("SignatureDoesNotMatch", 403, "The request signature…"),
            "the credentials are wrong (SignatureDoesNotMatch)"
        );
        assert!(message_of("RequestTimeTooSkewed", 403, "").contains("clock"));
        assert!(message_of("", 403, "").contains("without permission to list"));
        assert!(message_of("PermanentRedirect", 301, "").contains("another region"));
        assert_eq!(
            message_of("SlowDown", 503, "Reduce"),
            "the store returned 503 SlowDown: Reduce"
        );
        assert_eq!(message_of("", 500, ""), "the store returned 500");
    }

    #[test]
    fn only_denied_access_to_the_object_concerns_the_object() {
        for (status, code, refused) in [
            (403, "AccessDenied", true),
            (403, "", true),
            (400, "", true),
            (400, "InvalidArgument", true),
            (405, "Odd", true),
            (400, "ExpiredToken", false),
            (403, "InvalidAccessKeyId", false),
            (403, "SignatureDoesNotMatch", false),
            (403, "RequestTimeTooSkewed", false),
            (400, "AuthorizationHeaderMalformed", false),
            (301, "", false),
            (404, "NoSuchBucket", false),
            (400, "RequestTimeout", false),
            (400, "KMS.ThrottlingException", false),
            (409, "OperationAborted", false),
            (429, "", false),
            (503, "SlowDown", false),
            (500, "", false),
        ] {
            let refusal = Refusal {
                status: Some(status),
                code: (!code.is_empty()).then(|| code.to_owned()),
                error: io::Error::other("said"),
            };
            let error = refusal.into_error("read", "video.mp4");
            let is_refused = matches!(error, StorageError::Refused { .. });
            assert_eq!(is_refused, refused, "{status} {code}: {error:?}");
            assert_eq!(error.is_retryable(), !refused, "{status} {code}");
        }
    }

    #[test]
    fn messages_of_the_store_are_truncated() {
        let text = message_of("Odd", 400, &"x\n".repeat(10_000));
        assert!(text.len() < 400 && !text.contains('\n'));
    }
}
