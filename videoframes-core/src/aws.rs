//! How AWS, and what speaks as it does, is reached.

use std::time::Duration;

pub use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};

/// What the environment does not say, or not as it is wanted. Credentials come from where the AWS
/// command line finds them: environment, profile, container, instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsOptions {
    /// Region; that of the environment or the profile where not given.
    pub region: Option<String>,
    /// Where to connect to instead of AWS; that of the environment or the profile where not given.
    pub endpoint: Option<String>,
    /// How long one connection may take to come about.
    pub connect_timeout: Duration,
    /// How often a request is tried, the first time included. Nothing above the client tries again by
    /// itself.
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

/// Looks the rest up in environment and profile. Credentials are looked up when they are needed.
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

/// Whether the environment names another endpoint for S3 than AWS's: such stores mostly want the bucket in
/// the path.
pub fn s3_endpoint_is_set() -> bool {
    let endpoints = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    endpoints.into_iter().any(is_set)
}
