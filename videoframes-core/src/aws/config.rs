//! Client configuration.

use std::time::Duration;

pub use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};

/// Settings that override the environment. Credentials come from the same sources as for the AWS command
/// line: environment, profile, container, instance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsOptions {
    /// Region; by default from the environment or profile.
    pub region: Option<String>,
    /// Endpoint instead of AWS; by default from the environment or profile.
    pub endpoint: Option<String>,
    /// Maximum time to establish a connection.
    pub connect_timeout: Duration,
    /// Maximum number of attempts per request. Only the client retries requests.
    pub attempts: u32,
}

impl Default for AwsOptions {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            connect_timeout: Duration::from_secs(5),
            attempts: 4,
        }
    }
}

impl AwsOptions {
    /// Sets the region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets the endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Sets the maximum time to establish a connection.
    #[must_use]
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Sets the maximum number of attempts per request.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }
}

/// Loads the remaining settings from environment and profile. Credentials are loaded when they are needed.
pub async fn sdk_config(options: &AwsOptions) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(options.connect_timeout);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard().with_max_attempts(options.attempts));
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &options.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}

/// Returns whether the environment sets an endpoint for S3 other than AWS: such stores usually require the
/// bucket in the path.
pub fn s3_endpoint_is_set() -> bool {
    let endpoints = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    endpoints.into_iter().any(is_set)
}
