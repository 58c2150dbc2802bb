//! Configuration of clients for AWS and compatible services, and measurement of their requests.

mod config;
mod measure;

pub use config::{AwsOptions, SdkConfig, s3_endpoint_is_set, sdk_config};
pub(crate) use measure::{Measure, Service};
