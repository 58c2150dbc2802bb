//! `SqsQueue` on the server in `VF_TEST_SQS`, and on a server with scripted responses.
#![allow(clippy::unwrap_used)]

mod answers;
mod conformance;
mod events;
mod inputs;
mod outage;
#[path = "../resources/mod.rs"]
mod resources;
mod scripted;

use std::collections::HashMap;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sqs::types::QueueAttributeName;
use uuid::Uuid;
use videoframes_core::queue::{SqsOptions, SqsQueue};

/// Returns the configuration for a server at this address.
fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("key", "a secret that is never printed", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

/// A server on which anyone may create queues.
struct Server {
    config: SdkConfig,
    client: Client,
}

impl Server {
    /// Returns the server for tests.
    fn of_tests() -> Option<Self> {
        let endpoint = resources::named("VF_TEST_SQS", "skipped on SQS")?;
        let config = config(&endpoint);
        let client = Client::new(&config);
        Some(Self { config, client })
    }

    async fn make(&self, name: &str, redrive_to: Option<&str>) {
        let mut attributes = HashMap::new();
        if name.ends_with(".fifo") {
            attributes.insert(QueueAttributeName::FifoQueue, "true".to_owned());
        }
        if let Some(url) = redrive_to {
            let arn = QueueAttributeName::QueueArn;
            let request = self.client.get_queue_attributes().queue_url(url);
            let asked = request.attribute_names(arn.clone()).send().await.unwrap();
            let arn = &asked.attributes.unwrap()[&arn];
            attributes.insert(
                QueueAttributeName::RedrivePolicy,
                format!(r#"{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 4}}"#),
            );
        }
        let request = self.client.create_queue().queue_name(name);
        request.set_attributes(Some(attributes)).send().await.unwrap();
    }

    async fn connect(&self, name: &str, options: SqsOptions) -> SqsQueue {
        SqsQueue::connect(&self.config, name, &options).await.unwrap()
    }

    /// Creates a queue and its dead-letter queue. `kind` is the suffix of their names.
    async fn fresh(&self, kind: &str) -> (SqsQueue, SqsQueue) {
        let name = Uuid::new_v4().simple().to_string();
        let (work, dead) = (format!("work-{name}{kind}"), format!("dead-{name}{kind}"));
        self.make(&dead, None).await;
        let letters = self.connect(&dead, SqsOptions::default()).await;
        self.make(&work, Some(letters.url())).await;
        let options = SqsOptions::default().dead_letter_queue(dead);
        (self.connect(&work, options).await, letters)
    }
}
