//! Additional retryable errors.

use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};

/// Retries requests whose credentials expired between signing and verification. The retry is signed again.
#[derive(Debug)]
pub(super) struct Expired;

impl ClassifyRetry for Expired {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let body = context.response().and_then(|response| response.body().bytes());
        let code = b"<Code>ExpiredToken</Code>";
        match body {
            Some(body) if body.windows(code.len()).any(|part| part == code) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "expired credentials"
    }
}
