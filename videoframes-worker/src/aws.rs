//! AWS configuration, and failures of requests to S3 and SQS.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use videoframes_core::aws::{AwsOptions, SdkConfig, sdk_config};
use videoframes_core::error::chain;

use videoframes_console::{Failure, exit};

/// Part of the message of the AWS client if there are no credentials.
const NO_CREDENTIALS: &str = "no credentials found";
/// Loads the AWS configuration from the environment.
pub(crate) async fn environment() -> Result<SdkConfig, Failure> {
    let config = sdk_config(&AwsOptions::default()).await;
    match config.region() {
        Some(_) => Ok(config),
        None => Err(Failure::new(exit::USAGE, "no AWS region is set").hint("set AWS_REGION")),
    }
}

/// A failed request.
#[derive(Debug)]
pub(crate) struct Refusal {
    action: &'static str,
    what: String,
    code: Option<String>,
    status: Option<u16>,
    message: String,
}

impl Refusal {
    /// Creates a refusal. `action` is the IAM action of the request; `what` completes "failed to {what}".
    pub(crate) fn new<E>(
        action: &'static str,
        what: impl Into<String>,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let service = error.as_service_error();
        let succeeded = error
            .raw_response()
            .is_some_and(|response| response.status().is_success());
        let message = match service {
            // A successful status with an unreadable body is no refusal: the cause says more than the status.
            Some(service) if !succeeded => service.message().unwrap_or_default().to_owned(),
            _ => match chain(error) {
                // The client lists all credential providers, which fills a page.
                all if all.contains(NO_CREDENTIALS) => NO_CREDENTIALS.to_owned(),
                all => all,
            },
        };
        Self {
            action,
            what: what.into(),
            code: service.and_then(|service| service.code()).map(str::to_owned),
            status: error.raw_response().map(|response| response.status().as_u16()),
            message,
        }
    }

    pub(crate) fn has_code(&self, codes: &[&str]) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        // SQS prefixes some codes with the name of the service.
        codes.contains(&code.rsplit('.').next().unwrap_or(code))
    }

    pub(crate) fn has_status(&self, status: u16) -> bool {
        self.status == Some(status)
    }

    /// Returns whether the server does not support the request, as some AWS-compatible servers do not.
    pub(crate) fn is_unsupported(&self) -> bool {
        let codes = [
            "NotImplemented",
            "MethodNotAllowed",
            "UnsupportedOperation",
            "InvalidAttributeName",
        ];
        self.has_status(501) || self.has_status(405) || self.has_code(&codes)
    }

    fn is_of_credentials(&self) -> bool {
        let codes = [
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "InvalidSecurity",
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidToken",
        ];
        self.has_code(&codes) || (self.status.is_none() && self.message.contains("credential"))
    }

    fn hint(&self) -> Option<String> {
        if self.is_of_credentials() {
            return Some("check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_PROFILE".to_owned());
        }
        let allowed = format!("allow {}; docs/iam has policies", self.action);
        match self.status {
            // The response to a HEAD request has no body with the error code.
            Some(403) if self.code.is_none() => Some(format!("check the credentials; {allowed}")),
            Some(403) => Some(allowed),
            None => Some("check the network, AWS_REGION and AWS_ENDPOINT_URL".to_owned()),
            _ if self.has_code(&["AccessDenied", "AccessDeniedException"]) => Some(allowed),
            _ => None,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let mut message = format!("failed to {}", refusal.what);
        let status = refusal.status.map(|status| format!("HTTP {status}"));
        let code = refusal.code.clone().or(status);
        for part in [code, Some(refusal.message.clone())].into_iter().flatten() {
            if !part.is_empty() {
                message += &format!(": {part}");
            }
        }
        let failure = Self::new(exit::UNAVAILABLE, message);
        match refusal.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
